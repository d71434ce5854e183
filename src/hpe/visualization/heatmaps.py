"""Maps of a crop drawn over it: what is high is bright and coloured, what is low leaves the grey picture."""

from __future__ import annotations

import cv2
import numpy as np

_DIMMED = 0.35


def heatmap_overlay(image: np.ndarray, heatmap, *, size: int, highest: float | None = None) -> np.ndarray:
    """Draws a map over a crop.

    Args:
        image: (S, S, 3) uint8 RGB.
        heatmap: (C, C), of any C; what is below 0 is drawn as 0.
        size: side of the result in pixels.
        highest: value of the brightest colour; None for the map's own highest, if that is above 0.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    heatmap = np.maximum(np.nan_to_num(np.asarray(heatmap, np.float32)), 0.0)
    highest = float(heatmap.max()) if highest is None else highest
    share = np.clip(heatmap / (highest if highest > 0 else 1.0), 0.0, 1.0)
    share = cv2.resize(share, (size, size), interpolation=cv2.INTER_LINEAR)[..., None]
    colors = cv2.applyColorMap(np.uint8(255 * share[..., 0]), cv2.COLORMAP_INFERNO)[..., ::-1]
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    grey = _DIMMED * cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.clip(grey * (1 - share) + colors * np.maximum(share, 0.0), 0, 255).astype(np.uint8)

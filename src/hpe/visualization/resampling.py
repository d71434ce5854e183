"""Enlarging and reducing pictures so that pixel areas, and with them drawn points, stay in place.

Pixel centres lie at integers. Enlarging `factor` times therefore moves x to factor x + (factor - 1) / 2.
"""

from __future__ import annotations

import cv2
import numpy as np


def enlarge_points(points, factor: float) -> np.ndarray:
    """Returns points (..., 2), pixels, where they lie in the picture enlarged `factor` times."""
    return np.asarray(points, np.float64) * factor + (factor - 1) / 2


def repeat_pixels(image: np.ndarray, factor: int) -> np.ndarray:
    """Enlarges (H, W, C) by repeating pixels; `average_pixels` gives back exactly the same picture."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def average_pixels(image: np.ndarray, factor: int) -> np.ndarray:
    """Reduces a uint8 picture (H * factor, W * factor, C) by the rounded mean of blocks of pixels."""
    if factor == 1:
        return image
    height, width = image.shape[0] // factor, image.shape[1] // factor
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def enlarge_to(image: np.ndarray, min_size: int) -> tuple[np.ndarray, float]:
    """Enlarges a picture (H, W, 3) whose longer side is below `min_size` to it.

    Returns:
        The picture, the same one if it is large enough, and the factor.
    """
    longer = max(image.shape[:2])
    if longer >= min_size:
        return image, 1.0
    factor = min_size / longer
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), factor

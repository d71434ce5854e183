"""Lines of text on a picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (255, 255, 255)
# What is behind the text keeps this share of its brightness.
_SHADE = 0.35


def write_lines(image: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Writes lines into the top left corner of a copy of a picture, light on dark, as large as fits.

    Args:
        image: (H, W, 3) uint8 RGB.
        lines: of ASCII; OpenCV's font has nothing else.
    """
    picture = image.copy()
    height, width = picture.shape[:2]
    scale = float(np.clip(width / 1000, 0.35, 1.0))
    widest = max(cv2.getTextSize(line, _FONT, scale, 1)[0][0] for line in lines)
    scale *= min(1.0, 0.94 * width / max(widest, 1))
    step = round(34 * scale) + 2
    margin = round(10 * scale) + 2
    bottom = min(height, step * len(lines) + 2 * margin)
    picture[:bottom] = (picture[:bottom] * _SHADE).astype(np.uint8)
    for number, line in enumerate(lines, start=1):
        cv2.putText(
            picture,
            line,
            (margin, margin + step * number - round(9 * scale)),
            _FONT,
            scale,
            _INK,
            1,
            cv2.LINE_AA,
        )
    return picture

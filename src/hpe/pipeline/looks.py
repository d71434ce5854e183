"""How a training crop looks, whatever it shows: colours, blur by motion, and things in front."""

from __future__ import annotations

import cv2
import numpy as np

from hpe.pipeline import occluders

# Longest trace of a moving camera, in pixels of a crop of 224.
LONGEST_BLUR = 15.0


def change(
    picture: np.ndarray,
    *,
    colors: np.ndarray | None = None,
    blur: np.ndarray | None = None,
    occluder: int | None = None,
    objects: str = occluders.PAINTED,
) -> None:
    """Changes a crop in place: first what stands in front, then the blur, then the colours.

    Args:
        picture: (S, S, 3) uint8 RGB.
        colors: (3,) factors of the channels, as SPIN's noise; None for none.
        blur: (2,) length in pixels of a crop of 224, and radians from x to y, of a trace that every point leaves;
            lengths below 1 do nothing.
        occluder: seed of things in front; None or below 0 for none.
        objects: of `hpe.pipeline.occluders.paste`.
    """
    if occluder is not None and occluder >= 0:
        occluders.paste(picture, int(occluder), objects)
    if blur is not None:
        kernel = motion_kernel(float(blur[0]) * len(picture) / 224, float(blur[1]))
        if kernel is not None:
            picture[...] = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    if colors is not None and (colors != 1).any():
        np.rint(np.minimum(picture * colors.astype(np.float32), 255.0), out=picture, casting="unsafe")


def motion_kernel(length: float, angle: float) -> np.ndarray | None:
    """Returns the kernel of a straight trace of a length in pixels, in the direction of an angle; None if short."""
    if length < 1:
        return None
    reach = int(np.ceil(length / 2))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = -columns * np.sin(angle) + rows * np.cos(angle)
    # A line one pixel wide, its borders softened.
    kernel = np.clip(1 - np.abs(across), 0, 1) * np.clip(length / 2 + 0.5 - np.abs(along), 0, 1)
    return (kernel / kernel.sum()).astype(np.float32)

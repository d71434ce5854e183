"""The square crop that a network sees, and the way from its coordinates back into the frame.

A pixel of the frame becomes crop pixel `scale * px + offset`; pixel centres lie at integers on both sides.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hpe.geometry.cameras import normalized_to_pixels

# Share of the crop's side that a person's box fills: LSP's people are about 150 px tall in crops of 224 px, and a
# box leaves a little room around its person.
BOX_SHARE = 0.8


@dataclasses.dataclass(frozen=True)
class Crop:
    """A similarity from frame pixels to crop pixels.

    Attributes:
        scale: crop pixels per frame pixel.
        offset: (x, y) crop pixel of the frame's pixel (0, 0).
        size: side of the crop in pixels.
    """

    scale: float
    offset: tuple[float, float]
    size: int

    def take(self, image: np.ndarray) -> np.ndarray:
        """Cuts the crop (S, S, 3) out of an image (H, W, 3); outside the image its edge is repeated."""
        # OpenCV warps no image of more than 32767 pixels a side, and what the crop does not show costs time.
        (left, right), (top, bottom) = (self._seen(axis, image.shape[1 - axis]) for axis in (0, 1))
        window = image[top:bottom, left:right]
        offset = self.offset[0] + self.scale * left, self.offset[1] + self.scale * top
        if self.scale < 0.5:
            # Bilinear sampling reads four pixels only: shrink first, so that none is passed over.
            factor = 2 * self.scale
            small_size = (max(1, round(window.shape[1] * factor)), max(1, round(window.shape[0] * factor)))
            small = cv2.resize(window, small_size, interpolation=cv2.INTER_AREA)
            fx, fy = small_size[0] / window.shape[1], small_size[1] / window.shape[0]
        else:
            small, fx, fy = window, 1.0, 1.0
        # Areas, not centres, keep their place in a resize: x_small = fx (x + 1/2) - 1/2.
        kx, ky = self.scale / fx, self.scale / fy
        matrix = np.float64(
            [
                [kx, 0, offset[0] - kx * (0.5 * fx - 0.5)],
                [0, ky, offset[1] - ky * (0.5 * fy - 0.5)],
            ]
        )
        return cv2.warpAffine(
            small, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    def _seen(self, axis: int, length: int) -> tuple[int, int]:
        """Returns first and one-past-last pixel of the frame, of `length`, that the crop needs along an axis."""
        # Two crop pixels more, or two of the frame, keep the window's own edge out of the interpolation.
        margin = 2 / min(self.scale, 1.0)
        first = -self.offset[axis] / self.scale - margin
        last = (self.size - 1 - self.offset[axis]) / self.scale + margin
        start = int(np.clip(np.floor(first), 0, length - 1))
        return start, int(np.clip(np.ceil(last) + 1, start + 1, length))

    def to_frame(self, joints2d: np.ndarray) -> np.ndarray:
        """Converts crop coordinates (..., 2) in [-1, 1] to frame pixels."""
        pixels = normalized_to_pixels(np.asarray(joints2d), self.size)
        return (pixels - np.asarray(self.offset)) / self.scale

    def frame_camera(self, camera: np.ndarray) -> tuple[float, float, float]:
        """Converts a crop's weak-perspective camera (s, tx, ty) to frame pixels.

        Returns:
            (pixels per metre, cx, cy): x_px = pixels_per_metre * X + cx, and likewise y.
        """
        s, tx, ty = (float(value) for value in camera)
        half = self.size / 2
        return (
            s * half / self.scale,
            ((s * tx + 1) * half - self.offset[0]) / self.scale,
            ((s * ty + 1) * half - self.offset[1]) / self.scale,
        )


def box_crop(box: tuple[float, float, float, float], size: int) -> Crop:
    """Returns the crop in which a person's box (x, y, width, height), frame pixels, is centred.

    Raises:
        ValueError: the box has no area.
    """
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise ValueError(f"A box needs a positive width and height. Received: box={box}")
    scale = size * BOX_SHARE / max(width, height)
    center = (x + (width - 1) / 2, y + (height - 1) / 2)
    middle = (size - 1) / 2
    return Crop(scale, (middle - scale * center[0], middle - scale * center[1]), size)


def frame_crop(height: int, width: int, size: int) -> Crop:
    """Returns the crop that takes the whole frame for the person's box."""
    return box_crop((0.0, 0.0, float(width), float(height)), size)

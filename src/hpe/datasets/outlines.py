"""Segmentations that annotation files hold themselves: polygons, and run lengths as COCO has them.

The work is bounded by the picture, whatever numbers a file has: polygons are cut at its frame before they are
drawn, and run lengths are those of a mask of its size.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np

# Polygons are drawn to this share of a pixel, and cut this far outside of the picture.
_SUBPIXEL_BITS = 4
_MARGIN = 16.0
# No outline of a person has more points; COCO's largest have some thousands.
_MAX_POINTS = 50_000

_DAMAGED = "segmentation is damaged"


@dataclasses.dataclass(frozen=True)
class Outline:
    """A segmentation as in a file, see `draw_outline`."""

    content: Any

    def draw(self, height: int, width: int) -> tuple[np.ndarray | None, str]:
        """Returns the mask, or None and why there is none; see `draw_outline`."""
        return draw_outline(self.content, height, width)


def draw_outline(segmentation: Any, height: int, width: int) -> tuple[np.ndarray | None, str]:
    """Draws a segmentation.

    Args:
        segmentation: list of polygons [x, y, x, y, ...], the pixel (0, 0) reaching from 0 to 1; one such polygon;
            or COCO's run lengths {"size": [height, width], "counts": [...] or text}.
        height: of the image in pixels.
        width: of the image in pixels.

    Returns:
        (height, width) uint8 of 0 and 255, and ""; or None and why there is no mask.
    """
    if not segmentation:
        return None, "no segmentation"
    try:
        if isinstance(segmentation, dict):
            mask = decode_runs(segmentation, height, width)
        elif isinstance(segmentation, list):
            mask = _draw_polygons(segmentation, height, width)
        else:
            return None, _DAMAGED
    except (KeyError, TypeError, ValueError, OverflowError):
        return None, _DAMAGED
    return (mask, "") if mask.any() else (None, "segmentation is empty")


def decode_runs(content: dict, height: int, width: int) -> np.ndarray:
    """Returns the mask (height, width) uint8 of 0 and 255 that COCO's run lengths say, column after column.

    Raises:
        KeyError, TypeError, ValueError: if they are not those of an image of this size.
    """
    if [int(side) for side in content["size"]] != [height, width]:
        raise ValueError("run lengths of another size")
    counts = content["counts"]
    runs = np.array(_uncompressed(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise ValueError("run lengths do not fill the image")
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 255
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _uncompressed(text: str) -> list[int]:
    """Returns the run lengths of COCO's text: five bits a letter; all but three count from the last but one."""
    runs: list[int] = []
    value = shift = 0
    for letter in text.encode("ascii"):
        bits = letter - 48
        if not 0 <= bits < 64 or shift > 30:
            raise ValueError("run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs


def _draw_polygons(segmentation: list, height: int, width: int) -> np.ndarray:
    polygons = [segmentation] if isinstance(segmentation[0], int | float) else segmentation
    mask = np.zeros((height, width), np.uint8)
    drawn = 0
    for polygon in polygons:
        points = np.array(polygon, np.float64).reshape(-1, 2)
        drawn += len(points)
        if len(points) < 3 or not np.isfinite(points).all() or drawn > _MAX_POINTS:
            raise ValueError("no polygon")
        points = cut_polygon(points - 0.5, (-_MARGIN, -_MARGIN), (width + _MARGIN, height + _MARGIN))
        if len(points):
            # One by one: where polygons overlap, together they would cut each other out.
            corners = np.rint(points * 2**_SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(mask, [corners], 255, shift=_SUBPIXEL_BITS)
    return mask


def cut_polygon(points: np.ndarray, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Cuts a polygon (N, 2) at a rectangle (Sutherland and Hodgman, CACM 1974); returns (M, 2), M >= 0.

    Edges along the rectangle may be left where a polygon leaves it and comes back.
    """
    for axis in (0, 1):
        for bound, sign in ((low[axis], 1.0), (high[axis], -1.0)):
            inside = sign * (points[:, axis] - bound)
            if (inside >= 0).all():
                continue
            following, inside_after = np.roll(points, -1, axis=0), np.roll(inside, -1)
            crosses = (inside >= 0) != (inside_after >= 0)
            share = inside / np.where(crosses, inside - inside_after, 1)
            cuts = points + share[:, None] * (following - points)
            cuts[:, axis] = bound
            pairs = np.stack([points, cuts], axis=1)
            points = pairs[np.stack([inside >= 0, crosses], axis=1)]
            if not len(points):
                return points
    return points

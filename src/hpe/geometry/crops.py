"""The square crop that a network sees: where it lies in a picture, its pixels, and the way back.

A person's box becomes a similarity from pixels of the picture to pixels of the crop, and nothing else does:
training, evaluation and prediction cut by it. Pixel centres lie at integers on both sides, so that the middle of
a crop of `size` pixels is (size - 1) / 2; there lies the middle of the box, to half a pixel (`on_pixels`), and
about it a crop is turned and mirrored.
"""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from hpe.geometry.cameras import normalized_to_pixels

# Share of the crop's side that a person's box fills: LSP's people are about 150 px tall in crops of 224 px, and a
# box leaves a little room around its person.
BOX_SHARE = 0.8

# OpenCV warps nothing as long as some pictures.
_LONGEST_WARPED = 32766

# Crops of whole pixels are resized. That repeats the outermost pixels instead of reading those beside them, which
# does not matter as long as a crop is hardly larger than its pixels.
_LARGEST_RESIZED = 1.25
# How far from whole pixels, in pixels, rounding in the maps may have moved a crop.
_WHOLE = 1e-4


def image_to_crop(center, scale, *, size: int, angle=0.0, mirror=False) -> np.ndarray:
    """Returns the affine maps from pixels of a picture to pixels of crops.

    Args:
        center: (..., 2) pixel of the picture that is the middle of the crop.
        scale: (...) crop pixels per pixel of the picture.
        size: side of the crops in pixels.
        angle: (...) radians by which the crop is turned about its middle, clockwise, since y points down.
        mirror: (...) whether it is mirrored, left to right, after that.

    Returns:
        (..., 2, 3) float64 A: a pixel (x, y) lands on A (x, y, 1).
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    cos, sin = np.cos(np.asarray(angle, np.float64)), np.sin(np.asarray(angle, np.float64))
    sign = np.where(mirror, -1.0, 1.0)
    rows = np.broadcast_arrays(scale * sign * cos, -scale * sign * sin, scale * sin, scale * cos)
    linear = np.stack(rows, axis=-1).reshape(*rows[0].shape, 2, 2)
    offset = (size - 1) / 2 - np.einsum("...ij,...j->...i", linear, center)
    return np.concatenate([linear, offset[..., None]], axis=-1)


def reduction_of(scale: float, largest: int = 2**20) -> int:
    """Returns by how much a picture is reduced before it is sampled, a power of two.

    Bilinear sampling reads four pixels only: beyond two-fold minification it would pass pixels over.
    """
    return min(2 ** max(math.floor(math.log2(1 / scale)), 0), largest)


def on_pixels(center, scale, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Moves upright crops onto whole pixels of the reduced pictures, which takes a third of the time to sample.

    A crop moves by at most half such a pixel, 0.6 of its own, and what it shows of a picture grows or shrinks by as
    much. Crops that enlarge by more than a quarter stay as they are.

    Args:
        center: (..., 2) of `image_to_crop`.
        scale: (...) of `image_to_crop`.
        size: side of the crops in pixels.

    Returns:
        Their centres and scales, float64; the corners and sides that follow are multiples of `reduction_of`.
    """
    center, scale = np.asarray(center, np.float64), np.asarray(scale, np.float64)
    block = 2.0 ** np.maximum(np.floor(-np.log2(scale)), 0.0)
    side = np.maximum(np.rint(size / scale / block), 1.0) * block
    # The outer edges of pixels, not their middles, are what a block begins with.
    corner = np.floor((center + 0.5 - side[..., None] / 2) / block[..., None] + 0.5) * block[..., None]
    moved = size <= _LARGEST_RESIZED * side
    center = np.where(moved[..., None], corner + (side[..., None] - 1) / 2, center)
    return center, np.where(moved, size / side, scale)


def bounds(matrix: np.ndarray, size: int, reduction=1) -> np.ndarray:
    """Returns what sampling crops reads of pictures that have no end.

    Args:
        matrix: (..., 2, 3) of `image_to_crop`.
        size: side of the crops in pixels.
        reduction: (...) of `reduction_of`.

    Returns:
        (..., 4) int64: left, top, right, bottom in pixels, the last two excluded; multiples of the reduction.
    """
    (a, b, x), (c, d, y) = (np.moveaxis(matrix[..., row, :], -1, 0) for row in (0, 1))
    determinant = a * d - b * c
    inverse = np.stack([d, -b, -c, a], axis=-1).reshape(*np.shape(a), 2, 2) / determinant[..., None, None]
    middle = np.stack([(size - 1) / 2 - x, (size - 1) / 2 - y], axis=-1)
    center = (inverse @ middle[..., None])[..., 0]
    reach = np.abs(inverse).sum(axis=-1) * (size / 2)
    blocks = np.asarray(reduction, np.int64)[..., None]
    first = np.floor((center - reach) / blocks).astype(np.int64) - 1
    last = np.ceil((center + reach) / blocks).astype(np.int64) + 2
    return np.concatenate([first * blocks, last * blocks], axis=-1)


def inside(start: int, end: int, length: int) -> slice:
    """Returns which of the pixels [start, end) a picture of a length has; the nearest one if it has none."""
    first = min(max(start, 0), length - 1)
    return slice(first, max(min(end, length), first + 1))


def reduce_by_means(pixels: np.ndarray, reduction: int) -> np.ndarray:
    """Averages (H, W, ...) over blocks from the corner on; its border is repeated to fill up the last ones."""
    if reduction == 1:
        return pixels
    height, width = pixels.shape[:2]
    below, after = -height % reduction, -width % reduction
    if below or after:
        pixels = cv2.copyMakeBorder(pixels, 0, below, 0, after, cv2.BORDER_REPLICATE)
    size = (width + after) // reduction, (height + below) // reduction
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def warp(
    pixels: np.ndarray,
    matrix: np.ndarray,
    size: int,
    *,
    first: tuple[int, int] = (0, 0),
    reduction: int = 1,
    nearest: bool = False,
    background: float | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Samples a crop from a part of a picture.

    Args:
        pixels: (h, w) or (h, w, C), the part, reduced.
        matrix: (2, 3) of `image_to_crop`, for the picture.
        size: side of the crop in pixels.
        first: column and row of the part's first pixel among those of the reduced picture.
        reduction: by how much it is reduced.
        nearest: take the nearest pixel instead of the bilinear mean of four.
        background: value outside the part; None repeats its border.
        out: (size, size) or (size, size, C) to be filled.

    Returns:
        The crop, of the type of the pixels.
    """
    step = 1 + max(pixels.shape[:2]) // _LONGEST_WARPED
    if step > 1:
        pixels = pixels[::step, ::step]
    block = reduction * step
    # A pixel of the reduced picture lies in the middle of its block.
    left, top = (reduction * place + (reduction - 1) / 2 for place in first)
    (a, b, x), (c, d, y) = matrix.tolist()
    x, y = a * left + b * top + x, c * left + d * top + y
    a, b, c, d = a * block, b * block, c * block, d * block
    turned = bool(b or c)
    if not turned:
        sampled = _resized(pixels, (a, x), (d, y), size, nearest=nearest, background=background, out=out)
        if sampled is not None:
            return sampled
    if nearest and not turned and pixels.ndim == 2:
        return _nearest(pixels, (a, x), (d, y), size, background=background, out=out)
    columns, rows = (
        (range(size), range(size))
        if turned
        else (
            _shown(scale, start, pixels.shape[1 - axis], size)
            for axis, (scale, start) in enumerate(((a, x), (d, y)))
        )
    )
    whole = len(columns) == len(rows) == size
    sampled = cv2.warpAffine(
        pixels,
        np.array([[a, b, x - columns.start], [c, d, y - rows.start]]),
        (len(columns), len(rows)),
        dst=out if whole else None,
        flags=cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE if background is None else cv2.BORDER_CONSTANT,
        borderValue=(background or 0.0,) * 4,
    )
    if whole:
        return sampled
    return cv2.copyMakeBorder(
        sampled,
        rows.start,
        size - rows.stop,
        columns.start,
        size - columns.stop,
        cv2.BORDER_REPLICATE if background is None else cv2.BORDER_CONSTANT,
        dst=out,
        value=(background or 0.0,) * 4,
    )


def _resized(pixels, across, down, size: int, *, nearest: bool, background, out) -> np.ndarray | None:
    """Samples a crop of whole pixels, see `on_pixels`; None if it is another.

    Args:
        pixels, nearest, background, out: of `warp`.
        across, down: of `_nearest`.
        size: side of the crop in pixels.
    """
    side = round(size / down[0])
    if size > _LARGEST_RESIZED * side:
        return None
    windows, margins = [], []
    for (scale, start), length in zip((down, across), pixels.shape[:2], strict=True):
        exact = 0.5 - (start + 0.5 if scale > 0 else start + 0.5 - size) / scale
        corner = round(exact)
        if abs(exact - corner) > _WHOLE or abs(size / abs(scale) - side) > _WHOLE:
            return None
        first, last = max(corner, 0), min(corner + side, length)
        if first >= last:  # beside the picture
            return None
        windows.append(slice(first, last))
        margins += [first - corner, corner + side - last]
    window = pixels[tuple(windows)]
    if any(margins):
        if side > 2 * size:  # The border would be larger than the crop, without end.
            return None
        border = cv2.BORDER_REPLICATE if background is None else cv2.BORDER_CONSTANT
        window = cv2.copyMakeBorder(window, *margins, border, value=(background or 0.0,) * 4)
    mirrored = across[0] < 0
    sampled = cv2.resize(
        window,
        (size, size),
        dst=None if mirrored else out,
        interpolation=cv2.INTER_NEAREST_EXACT if nearest else cv2.INTER_LINEAR,
    )
    return cv2.flip(sampled, 1, dst=out) if mirrored else sampled


def _nearest(pixels, across, down, size: int, *, background, out) -> np.ndarray:
    """Samples an upright crop by the nearest pixel: whole rows, then whole columns, in less than half the time.

    Args:
        pixels: (h, w).
        across: crop pixels per pixel of the picture, below 0 where mirrored, and crop pixel of its first column.
        down: the same of rows.
        size, background, out: of `warp`.
    """
    sources, shown = [], []
    for (scale, start), length in zip((down, across), pixels.shape, strict=True):
        places = np.floor((np.arange(size) - start) / scale + 0.5).astype(np.int64)
        inside = np.flatnonzero((places >= 0) & (places < length)) if background is not None else range(size)
        part = slice(inside[0], inside[-1] + 1) if len(inside) else slice(0)
        shown.append(part)
        sources.append(places[part].clip(0, length - 1))
    if out is None:
        out = np.empty((size, size), pixels.dtype)
    rows, columns = sources
    if len(rows) < size or len(columns) < size:
        out[...] = background
    if len(rows) and len(columns):
        # Turned over, columns are rows, which are copied as a whole.
        sampled = cv2.transpose(pixels.take(rows, axis=0))
        out[tuple(shown)] = cv2.transpose(sampled.take(columns, axis=0))
    return out


def _shown(scale: float, start: float, length: int, size: int) -> range:
    """Returns which pixels of an upright crop show a picture along an axis, and the first beyond on either side.

    Beyond these the border goes on, or there is background; sampling that would take longer than all the rest.

    Args:
        scale: crop pixels per pixel of the picture, below 0 where mirrored.
        start: crop pixel of its first pixel.
        length: of the picture in pixels.
        size: of the crop.
    """
    ends = start - scale / 2, start + scale * (length - 1) + scale / 2
    first, last = math.floor(min(ends)) - 1, math.ceil(max(ends)) + 1
    first = min(max(first, 0), size - 1)
    return range(first, max(min(last + 1, size), first + 1))


@dataclasses.dataclass(frozen=True)
class Crop:
    """One crop of a picture.

    Attributes:
        scale: crop pixels per pixel of the picture.
        offset: (x, y) crop pixel of the picture's pixel (0, 0), before the crop is turned and mirrored.
        size: side of the crop in pixels.
        angle: radians by which the crop is turned about its middle, clockwise.
        mirror: whether it is mirrored after that.
    """

    scale: float
    offset: tuple[float, float]
    size: int
    angle: float = 0.0
    mirror: bool = False

    @property
    def image_to_crop(self) -> np.ndarray:
        """The affine map (2, 3) from pixels of the picture to pixels of the crop."""
        center = ((self.size - 1) / 2 - np.asarray(self.offset)) / self.scale
        return image_to_crop(center, self.scale, size=self.size, angle=self.angle, mirror=self.mirror)

    def take(self, image: np.ndarray) -> np.ndarray:
        """Cuts the crop (S, S, 3) out of an image (H, W, 3); outside the image its edge is repeated."""
        matrix, reduction = self.image_to_crop, reduction_of(self.scale)
        # What the crop does not show costs time, and OpenCV warps no image of more than 32767 pixels a side.
        left, top, right, bottom = bounds(matrix, self.size, reduction).tolist()
        rows, columns = inside(top, bottom, image.shape[0]), inside(left, right, image.shape[1])
        first = columns.start // reduction, rows.start // reduction
        window = image[first[1] * reduction : rows.stop, first[0] * reduction : columns.stop]
        reduced = reduce_by_means(window, reduction)
        return warp(reduced, matrix, self.size, first=first, reduction=reduction)

    def take_mask(self, mask: np.ndarray) -> np.ndarray:
        """Cuts the crop (S, S) uint8 out of a mask (H, W) of the picture by the nearest pixel; outside it is 0."""
        left, top, right, bottom = bounds(self.image_to_crop, self.size).tolist()
        rows, columns = inside(top, bottom, mask.shape[0]), inside(left, right, mask.shape[1])
        window = (mask[rows, columns] != 0).astype(np.uint8)
        first = columns.start, rows.start
        return warp(window, self.image_to_crop, self.size, first=first, nearest=True, background=0.0)

    def to_frame(self, joints2d: np.ndarray) -> np.ndarray:
        """Converts crop coordinates (..., 2) in [-1, 1] to pixels of the picture."""
        matrix = self.image_to_crop
        pixels = normalized_to_pixels(np.asarray(joints2d), self.size)
        return (pixels - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T

    def frame_camera(self, camera: np.ndarray) -> tuple[float, float, float]:
        """Converts a crop's weak-perspective camera (s, tx, ty) to pixels of the picture.

        Returns:
            (pixels per metre, cx, cy): x_px = pixels_per_metre * X + cx, and likewise y.

        Raises:
            ValueError: the crop is turned or mirrored, of which such a camera knows nothing.
        """
        if self.angle or self.mirror:
            raise ValueError(
                f"The crop is turned or mirrored. Received: angle={self.angle}, mirror={self.mirror}"
            )
        s, tx, ty = (float(value) for value in camera)
        half = self.size / 2
        return (
            s * half / self.scale,
            ((s * tx + 1) * half - self.offset[0]) / self.scale,
            ((s * ty + 1) * half - self.offset[1]) / self.scale,
        )


def box_crop(box: tuple[float, float, float, float], size: int, *, box_share: float = BOX_SHARE) -> Crop:
    """Returns the crop in which a person's box (x, y, width, height), pixels, is centred, see `on_pixels`.

    Args:
        box: first pixel and numbers of pixels; fractions are fine.
        size: side of the crop in pixels.
        box_share: share of the crop's side that the longer side of the box fills.

    Raises:
        ValueError: the box has no area.
    """
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise ValueError(f"A box needs a positive width and height. Received: box={box}")
    center = (x + (width - 1) / 2, y + (height - 1) / 2)
    center, scale = on_pixels(center, size * box_share / max(width, height), size=size)
    x, y = ((size - 1) / 2 - scale * center).tolist()
    return Crop(float(scale), (x, y), size)

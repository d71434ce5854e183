"""The people of a batch of encoded images become square uint8 crops of the images and their masks.

Everything from the bytes to the crop happens in one call of Python per batch, whose time is spent in OpenCV without
holding Python's lock: half the time of TensorFlow's operations, whose branches and splits cost as much per image as
resampling does. Its threads are Python's: where kernels have to be deterministic, tf.data makes one call of Python
at a time, whatever it is told. Outside the image its border is repeated - for masks there is background. Turned
crops are warped from an upright window that holds them. See `hpe.pipeline.augmentation` for the map.
"""

from __future__ import annotations

import concurrent.futures
import functools
import math
import os

import cv2
import numpy as np
import tensorflow as tf

from hpe.pipeline import decoding
from hpe.pipeline.augmentation import Placement, turned_window
from hpe.pipeline.python_calls import ends_with_python

# Masks are stored as 0 and 255; the cut is in the middle because some originals went through JPEG.
_MASK_CUT = 128

_LONGEST_WARPED = 32766

# Windows of masks that are larger than so many crops are not made: they would be the most of the work.
_LARGE_EXTENT = 4


def crop_people(
    encoded: tf.Tensor,
    encoded_masks: tf.Tensor,
    placement: Placement,
    *,
    size: int,
    names: tf.Tensor,
    threads: int = 1,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes the windows of B images and their masks, and resamples them to crops: bilinear and nearest.

    Grey, CMYK and transparent images become RGB. Beyond two-fold minification the image is first reduced by
    block means, in the JPEG decoder where it can be.

    Args:
        encoded: (B,) string, JPEG or PNG.
        encoded_masks: (B,) string, PNG or JPEG of the image's size, at least 128 where the person is; or empty.
        placement: where the crops lie, with the batch axis (B,).
        size: side of the crops in pixels.
        names: (B,) string, for messages.
        threads: number of threads that share the work; what comes out does not depend on it.

    Returns:
        (B, size, size, 3) uint8 RGB; (B, size, size) uint8, 1 where the person is and zeros if there is no mask;
        height and width (B, 2) int32 of the images.

    Raises:
        tf.errors.InvalidArgumentError: if bytes do not decode or a mask has another size than its image.
    """
    numbers = [placement.extent, placement.reduction, tf.cast(placement.mirror, tf.int32)]
    arguments = [encoded, encoded_masks, names, placement.corner, tf.stack(numbers, axis=-1)]
    if placement.angle is not None:
        window = turned_window(placement)
        arguments += [placement.angle, window.corner, window.extent]
    images, silhouettes, shapes = tf.numpy_function(
        functools.partial(_crop_batch, size=size, threads=threads),
        arguments,
        [tf.uint8, tf.uint8, tf.int32],
        stateful=False,
    )
    batch = encoded.shape
    return (
        tf.ensure_shape(images, [*batch, size, size, 3]),
        tf.ensure_shape(silhouettes, [*batch, size, size]),
        tf.ensure_shape(shapes, [*batch, 2]),
    )


@ends_with_python
def _crop_batch(
    encoded: np.ndarray,
    encoded_masks: np.ndarray,
    names: np.ndarray,
    corners: np.ndarray,
    numbers: np.ndarray,
    angles: np.ndarray | None = None,
    window_corners: np.ndarray | None = None,
    window_extents: np.ndarray | None = None,
    *,
    size: int,
    threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Does the work of `crop_people`; `numbers` (B, 3) are extent, reduction and mirror."""
    batch = len(encoded)
    images = np.empty((batch, size, size, 3), np.uint8)
    silhouettes = np.zeros((batch, size, size), np.uint8)
    shapes = np.empty((batch, 2), np.int32)
    places = np.concatenate([corners, numbers], axis=1).tolist()
    turned = [None] * batch
    if angles is not None:
        windows = np.concatenate([window_corners, window_extents[:, None]], axis=1).tolist()
        turned = [
            (angle, window) if angle else None for angle, window in zip(angles.tolist(), windows, strict=True)
        ]

    def crop(rows: range) -> None:
        for row in rows:
            out = images[row], silhouettes[row]
            try:
                shapes[row] = _crop_one(encoded[row], encoded_masks[row], places[row], turned[row], *out)
            except cv2.error as error:
                message = f"({names[row].decode(errors='replace')}): its image cannot be cropped: {error}"
                raise ValueError(message.replace("\n", " ")) from None
            except ValueError as error:
                raise ValueError(f"({names[row].decode(errors='replace')}): its {error}") from None

    _share_out(crop, batch, threads)
    return images, silhouettes, shapes


def _share_out(work, count: int, threads: int) -> None:
    """Calls `work` with ranges that make up `count`, each in a thread of its own, one of them this one."""
    own, *others = (range(first, count, threads) for first in range(threads))
    try:
        pending = [_pool(threads).submit(work, rows) for rows in others if rows]
    except RuntimeError:  # There are no threads to be had: Python is about to end, or has as many as it may.
        own, pending = range(count), []
    work(own)
    for future in pending:
        future.result()


@functools.cache
def _pool(threads: int) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="hpe_crops")


if hasattr(os, "register_at_fork"):
    # A child has the pool, but none of its threads.
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _crop_one(
    encoded: bytes,
    encoded_mask: bytes,
    place: list[int],
    turned: tuple[float, list[int]] | None,
    image: np.ndarray,
    silhouette: np.ndarray,
) -> tuple[int, int]:
    """Fills in one crop.

    Args:
        encoded: the image.
        encoded_mask: its mask, or nothing.
        place: left, top, extent, reduction and mirror of the Placement.
        turned: of a turned crop its angle, and left, top and extent of the upright window that holds it.
        image: (size, size, 3) uint8, to be filled.
        silhouette: (size, size) uint8 zeros, to be filled where there is a mask.

    Returns:
        Height and width of the image.

    Raises:
        ValueError: saying what is wrong with "image" or "mask".
    """
    left, top, extent, reduction, mirror = place
    window = turned[1] if turned else (left, top, extent)
    pixels, shape = _named("image", decoding.decode_window, encoded, *window, reduction)
    if turned:
        transform = _turn((left, top), extent, bool(mirror), turned[0], len(image))
        _warp(pixels, transform, window[:2], reduction, shape, image)
    else:
        pixels = _repeat_border(pixels, left // reduction, top // reduction, extent // reduction)
        _resample(pixels, bool(mirror), image)
    if encoded_mask:
        mask = _named("mask", decoding.decode_mask, encoded_mask)
        if mask.shape != shape:
            found, expected = (" ".join(map(str, lengths)) for lengths in (mask.shape, shape))
            raise ValueError(f"mask has height and width {found}, but its image {expected}")
        if turned:
            _warp_mask(mask, transform, silhouette)
        else:
            _crop_mask(mask, left, top, extent, bool(mirror), silhouette)
    return shape


def _named(what: str, function, *arguments):
    """Calls a function whose errors lack a subject."""
    try:
        return function(*arguments)
    except ValueError as error:
        raise ValueError(f"{what} {error}") from None


# ---- upright crops -----------------------------------------------------------------------------------------


def _resample(pixels: np.ndarray, mirror: bool, out: np.ndarray) -> None:
    """Resamples a square window (E, E, 3) to a crop (size, size, 3), both uint8."""
    cv2.resize(pixels, out.shape[:2], dst=out, interpolation=cv2.INTER_LINEAR)
    if mirror:
        cv2.flip(out, 1, dst=out)


def _repeat_border(pixels: np.ndarray, left: int, top: int, extent: int) -> np.ndarray:
    """Extends the part of a window that lies in the image, (h, w, C), to (extent, extent, C)."""
    height, width = pixels.shape[:2]
    if height == extent and width == extent:
        return pixels
    before, above = min(max(-left, 0), extent - width), min(max(-top, 0), extent - height)
    after, below = extent - width - before, extent - height - above
    return cv2.copyMakeBorder(pixels, above, below, before, after, cv2.BORDER_REPLICATE)


def _crop_mask(mask: np.ndarray, left: int, top: int, extent: int, mirror: bool, out: np.ndarray) -> None:
    """Resamples the window of a mask (H, W) to a silhouette (size, size) of 0 and 1, nearest; uint8."""
    size = len(out)
    if extent > _LARGE_EXTENT * size:
        _pick_mask(mask, left, top, extent, mirror, out)
        return
    before, above = max(-left, 0), max(-top, 0)
    inside = mask[max(top, 0) : max(top + extent, 0), max(left, 0) : max(left + extent, 0)]
    if not inside.size:
        return
    after, below = extent - before - inside.shape[1], extent - above - inside.shape[0]
    window = cv2.copyMakeBorder(inside, above, below, before, after, cv2.BORDER_CONSTANT, value=0)
    nearest = cv2.resize(window, out.shape, interpolation=cv2.INTER_NEAREST_EXACT)
    np.greater_equal(nearest[:, ::-1] if mirror else nearest, _MASK_CUT, out=out.view(bool))


def _pick_mask(mask: np.ndarray, left: int, top: int, extent: int, mirror: bool, out: np.ndarray) -> None:
    """Does what `_crop_mask` does without making the window, pixel by pixel."""
    # The source pixel nearest to crop pixel u is floor((u + 1/2) / zoom), here in integers.
    size = len(out)
    steps = (2 * np.arange(size) + 1) * extent // (2 * size)
    rows, columns = (start + steps for start in (top, left))
    (first_row, end_row), (first_column, end_column) = (
        np.searchsorted(source, (0, length))
        for source, length in zip((rows, columns), mask.shape, strict=True)
    )
    nearest = mask[np.ix_(rows[first_row:end_row], columns[first_column:end_column])] >= _MASK_CUT
    out[first_row:end_row, first_column:end_column] = nearest
    if mirror:
        out[:] = out[:, ::-1].copy()


# ---- turned crops ------------------------------------------------------------------------------------------


def _turn(
    corner: tuple[int, int], extent: int, mirror: bool, angle: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the map from crop pixels to source pixels, a matrix (2, 2) and an offset (2,).

    The inverse of the map of `hpe.pipeline.augmentation`, mirror first.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * (extent / size) * [-1 if mirror else 1, 1]
    return turn, np.array(corner) + (extent - 1) / 2 - turn.sum(axis=1) * (size - 1) / 2


def _warp(
    pixels: np.ndarray,
    transform: tuple[np.ndarray, np.ndarray],
    corner: list[int],
    reduction: int,
    image_shape: tuple[int, int],
    out: np.ndarray,
) -> None:
    """Warps what of an upright window lies in the image, (h, w, 3), reduced, to a crop (size, size, 3)."""
    turn, start = transform
    last = (np.array(image_shape[::-1]) - 1) // reduction
    first = np.clip(np.array(corner) // reduction, 0, last)
    reduced_start = (start - (reduction - 1) / 2) / reduction - first
    cv2.warpAffine(
        pixels,
        np.column_stack([turn / reduction, reduced_start]),
        out.shape[:2],
        dst=out,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _warp_mask(mask: np.ndarray, transform: tuple[np.ndarray, np.ndarray], out: np.ndarray) -> None:
    """Warps a mask (H, W) to a silhouette (size, size) of 0 and 1, nearest; uint8."""
    turn, start = transform
    # OpenCV warps nothing as long as some images, so that they are thinned out.
    step = 1 + max(mask.shape) // _LONGEST_WARPED
    silhouette = cv2.warpAffine(
        mask[::step, ::step],
        np.column_stack([turn / step, start / step]),
        out.shape,
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    np.greater_equal(silhouette, _MASK_CUT, out=out.view(bool))

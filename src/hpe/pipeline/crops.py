"""Encoded images and masks become square uint8 crops, without decoding more than the crop needs.

TensorFlow decodes, which is strict about damage, of a JPEG the window only; OpenCV resamples, whose fixed-point
loops take a third of the time of TensorFlow's resizing and rounding. Outside the image its border is repeated -
for masks there is background. Turned crops are warped from an upright window that holds them. See
`hpe.pipeline.augmentation` for the map.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import tensorflow as tf

from hpe.pipeline.augmentation import REDUCTIONS, Placement, turned_window

_JPEG_START = b"\xff\xd8\xff"

# As fast as the default here, and the pixels are those that OpenCV shows and predicts from.
_DCT_METHOD = "INTEGER_ACCURATE"

# Masks are stored as 0 and 255; the cut is in the middle because some originals went through JPEG.
_MASK_CUT = 128

_LONGEST_WARPED = 32766


def crop_person(
    encoded: tf.Tensor, encoded_mask: tf.Tensor, placement: Placement, *, size: int, name: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Decodes the window of an image and its mask, and resamples them to the crop: bilinear and nearest.

    Grey, CMYK and transparent images become RGB. Beyond two-fold minification the image is first reduced by
    block means, in the JPEG decoder where it can be.

    Args:
        encoded: scalar string, JPEG or PNG.
        encoded_mask: scalar string, PNG or JPEG of the image's size, at least 128 where the person is; or empty.
        placement: where the crop lies; no batch axes.
        size: side of the crop in pixels.
        name: scalar string, for the message about a mask of another size.

    Returns:
        (size, size, 3) uint8 RGB; (size, size) uint8, 1 where the person is and zeros if there is no mask; height
        and width (2,) int32 of the image.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes do not decode or the mask has another size than the image.
    """
    window = placement if placement.angle is None else turned_window(placement)
    is_jpeg = tf.strings.substr(encoded, 0, len(_JPEG_START)) == _JPEG_START
    pixels, image_shape = tf.cond(
        is_jpeg & (window.reduction == 1),
        lambda: _decode_jpeg_window(encoded, window, 1),
        lambda: tf.cond(
            is_jpeg,
            lambda: _decode_reduced_jpeg_window(encoded, window),
            lambda: _decode_png_window(encoded, window),
        ),
    )
    mask = tf.cond(
        tf.strings.length(encoded_mask) > 0,
        lambda: _decode_mask(encoded_mask, image_shape, name),
        lambda: tf.zeros((0, 0, 1), tf.uint8),
    )
    numbers = [placement.extent, placement.reduction, tf.cast(placement.mirror, tf.int32)]
    numbers = tf.concat([placement.corner, numbers], axis=0)
    if placement.angle is None:
        function, arguments = _resample, [pixels, mask, numbers]
    else:
        function = _resample_turned
        arguments = [pixels, mask, numbers, placement.angle, window.corner, image_shape]
    image, silhouette = tf.numpy_function(
        functools.partial(function, size=size), arguments, [tf.uint8, tf.uint8], stateful=False
    )
    return tf.ensure_shape(image, (size, size, 3)), tf.ensure_shape(silhouette, (size, size)), image_shape


# ---- decoding: TensorFlow -----------------------------------------------------------------------------------


def _inside(corner: tf.Tensor, extent: tf.Tensor, shape: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the first and one past the last pixel of the window that lie in the image, as (row, column).

    Of a window that misses the image the nearest pixel is left.
    """
    corner = corner[::-1]
    first = tf.clip_by_value(corner, 0, shape - 1)
    return first, tf.clip_by_value(corner + extent, first + 1, shape)


def _decode_jpeg_window(
    encoded: tf.Tensor, placement: Placement, reduction: int
) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.io.extract_jpeg_shape(encoded)[:2]
    first, end = _inside(placement.corner // reduction, placement.extent // reduction, -(-shape // reduction))
    window = tf.concat([first, end - first], axis=0)
    pixels = tf.io.decode_and_crop_jpeg(encoded, window, channels=3, ratio=reduction, dct_method=_DCT_METHOD)
    return pixels, shape


def _decode_reduced_jpeg_window(encoded: tf.Tensor, placement: Placement) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.switch_case(
        tf.reduce_sum(tf.cast(placement.reduction >= REDUCTIONS[2:], tf.int32)),
        [functools.partial(_decode_jpeg_window, encoded, placement, ratio) for ratio in REDUCTIONS[1:]],
    )


def _decode_png_window(encoded: tf.Tensor, placement: Placement) -> tuple[tf.Tensor, tf.Tensor]:
    pixels = tf.io.decode_png(encoded, channels=3)
    shape = tf.shape(pixels)[:2]
    first, end = _inside(placement.corner, placement.extent, shape)
    # A window that misses the image keeps one pixel, whose place inside its block must not matter.
    reduction = placement.reduction
    first = (first // reduction) * reduction
    pixels = pixels[first[0] : end[0], first[1] : end[1]]
    return tf.cond(reduction == 1, lambda: pixels, lambda: _block_means(pixels, reduction)), shape


def _decode_mask(encoded: tf.Tensor, image_shape: tf.Tensor, name: tf.Tensor) -> tf.Tensor:
    mask = tf.io.decode_png(encoded, channels=1)  # Takes JPEG too.
    shape = tf.shape(mask)[:2]
    # The bare operation: `tf.debugging.Assert` wraps it in a branch, which costs more than what it saves.
    same_size = tf.raw_ops.Assert(
        condition=tf.reduce_all(shape == image_shape),
        data=[name, "the mask has height and width", shape, "but the image has", image_shape],
    )
    with tf.control_dependencies([same_size] if same_size is not None else []):
        return tf.identity(mask)


def _block_means(pixels: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
    """Averages (H, W, 3) uint8 over blocks from the corner; blocks that are cut average what is there."""

    def reduce(values: tf.Tensor, axis: int) -> tf.Tensor:
        length = tf.shape(values)[axis]
        blocks = tf.range(length) // block
        by_row = values if axis == 0 else tf.transpose(values, (1, 0, 2))
        means = tf.math.segment_mean(by_row, blocks)
        return means if axis == 0 else tf.transpose(means, (1, 0, 2))

    means = reduce(reduce(tf.cast(pixels, tf.float32), 0), 1)
    return tf.cast(means + 0.5, tf.uint8)


# ---- resampling: OpenCV and NumPy ---------------------------------------------------------------------------


def _resample(
    pixels: np.ndarray, mask: np.ndarray, numbers: np.ndarray, *, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the crop (size, size, 3) and the silhouette (size, size), both uint8.

    Args:
        pixels: (h, w, 3) uint8, what of the window lies in the image, reduced.
        mask: (H, W, 1) uint8, the whole mask; (0, 0, 1) if there is none.
        numbers: (5,) int32: left, top, extent, reduction and mirror of the Placement.
        size: side of the crop in pixels.
    """
    left, top, extent, reduction, mirror = numbers.tolist()
    pixels = _repeat_border(pixels, left // reduction, top // reduction, extent // reduction)
    image = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_LINEAR)
    if mirror:
        image = cv2.flip(image, 1)
    if not mask.size:
        return image, np.zeros((size, size), np.uint8)
    return image, _crop_mask(mask[..., 0], left, top, extent, bool(mirror), size)


def _resample_turned(
    pixels: np.ndarray,
    mask: np.ndarray,
    numbers: np.ndarray,
    angle: np.ndarray,
    corner: np.ndarray,
    image_shape: np.ndarray,
    *,
    size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Does what `_resample` does for a crop that is turned by `angle`.

    Args:
        pixels: (h, w, 3) uint8, what of the upright window lies in the image, reduced.
        mask: (H, W, 1) uint8, the whole mask; (0, 0, 1) if there is none.
        numbers: (5,) int32: left, top, extent, reduction and mirror of the Placement.
        angle: () float32, radians.
        corner: (2,) int32, x and y of the first source pixel of the upright window.
        image_shape: (2,) int32, height and width of the image.
        size: side of the crop in pixels.
    """
    if angle == 0:
        return _resample(pixels, mask, numbers, size=size)
    left, top, extent, reduction, mirror = numbers.tolist()
    # Crop pixels to source pixels: the inverse of the map of `hpe.pipeline.augmentation`, mirror first.
    cos, sin = math.cos(angle), math.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]]) * (extent / size) * [-1 if mirror else 1, 1]
    start = np.array([left, top]) + (extent - 1) / 2 - turn.sum(axis=1) * (size - 1) / 2

    last = (image_shape[::-1] - 1) // reduction
    first = np.clip(corner // reduction, 0, last)
    reduced_start = (start - (reduction - 1) / 2) / reduction - first
    image = cv2.warpAffine(
        pixels,
        np.column_stack([turn / reduction, reduced_start]),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if not mask.size:
        return image, np.zeros((size, size), np.uint8)
    # OpenCV warps nothing as long as some images, so that they are thinned out.
    step = 1 + max(mask.shape) // _LONGEST_WARPED
    silhouette = cv2.warpAffine(
        mask[::step, ::step, 0],
        np.column_stack([turn / step, start / step]),
        (size, size),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return image, (silhouette >= _MASK_CUT).astype(np.uint8)


def _repeat_border(pixels: np.ndarray, left: int, top: int, extent: int) -> np.ndarray:
    """Extends the part of a window that lies in the image, (h, w, C), to (extent, extent, C)."""
    height, width = pixels.shape[:2]
    if height == extent and width == extent:
        return pixels
    before, above = min(max(-left, 0), extent - width), min(max(-top, 0), extent - height)
    after, below = extent - width - before, extent - height - above
    return cv2.copyMakeBorder(pixels, above, below, before, after, cv2.BORDER_REPLICATE)


def _crop_mask(mask: np.ndarray, left: int, top: int, extent: int, mirror: bool, size: int) -> np.ndarray:
    """Returns the window of a mask (H, W) uint8, nearest, as (size, size) uint8 of 0 and 1."""
    # The source pixel nearest to crop pixel u is floor((u + 1/2) / zoom), here in integers.
    steps = (2 * np.arange(size) + 1) * extent // (2 * size)
    rows, columns = top + steps, left + steps
    (first_row, end_row), (first_column, end_column) = (
        np.searchsorted(source, (0, length))
        for source, length in zip((rows, columns), mask.shape, strict=True)
    )
    columns = columns[first_column:end_column]
    if mirror:
        columns, first_column, end_column = columns[::-1], size - end_column, size - first_column
    nearest = mask.take(rows[first_row:end_row], axis=0).take(columns, axis=1)
    crop = np.zeros((size, size), np.uint8)
    crop[first_row:end_row, first_column:end_column] = nearest >= _MASK_CUT
    return crop

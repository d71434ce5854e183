"""Encoded images and masks become square uint8 crops, without decoding more than the crop needs.

Only the window is decoded (JPEG), everything stays uint8 except inside the one resampling, and outside the
image its border is repeated - for masks there is background. See `hpe.pipeline.augmentation` for the map.
"""

from __future__ import annotations

import tensorflow as tf

from hpe.pipeline.augmentation import REDUCTIONS, Placement

_JPEG_START = b"\xff\xd8\xff"

# As fast as the default here, and the pixels are those that OpenCV shows and predicts from.
_DCT_METHOD = "INTEGER_ACCURATE"

# Masks are stored as 0 and 255; the cut is in the middle because some originals went through JPEG.
_MASK_CUT = 128


def crop_image(encoded: tf.Tensor, placement: Placement, *, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes the window of an image and resamples it, bilinear, to the crop.

    Grey, CMYK and transparent images become RGB. Beyond two-fold minification the image is first reduced by
    block means, in the JPEG decoder where it can be.

    Args:
        encoded: scalar string, JPEG or PNG.
        placement: where the crop lies; no batch axes.
        size: side of the crop in pixels.

    Returns:
        (size, size, 3) uint8 RGB, and the height and width (2,) int32 of the image.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes do not decode.
    """
    pixels, image_shape = tf.cond(
        _is_jpeg(encoded),
        lambda: _decode_jpeg_window(encoded, placement),
        lambda: _decode_png_window(encoded, placement),
    )
    extent = placement.extent // placement.reduction
    corner = placement.corner // placement.reduction
    pixels = _repeat_border(pixels, corner, extent)
    resized = tf.raw_ops.ResizeBilinear(images=pixels[None], size=(size, size), half_pixel_centers=True)[0]
    crop = tf.cast(resized + 0.5, tf.uint8)
    crop = tf.cond(placement.mirror, lambda: tf.reverse(crop, axis=(1,)), lambda: crop)
    return tf.ensure_shape(crop, (size, size, 3)), image_shape


def crop_mask(
    encoded: tf.Tensor, image_shape: tf.Tensor, placement: Placement, *, size: int, name: tf.Tensor
) -> tf.Tensor:
    """Decodes a mask and resamples it, nearest, to the crop; outside the image there is background.

    Args:
        encoded: scalar string, PNG or JPEG of the image's size, at least 128 where the person is; or empty.
        image_shape: (2,) int32 height and width of the image.
        placement: where the crop lies; no batch axes.
        size: side of the crop in pixels.
        name: scalar string, for the message about a mask of another size.

    Returns:
        (size, size) uint8, 1 where the person is; zeros if there is no mask.

    Raises:
        tf.errors.InvalidArgumentError: if the bytes do not decode or the mask has another size.
    """
    mask = tf.cond(
        tf.strings.length(encoded) > 0,
        lambda: _decode_mask_crop(encoded, image_shape, placement, size, name),
        lambda: tf.zeros((size, size), tf.uint8),
    )
    return tf.ensure_shape(mask, (size, size))


def _is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    return tf.strings.substr(encoded, 0, len(_JPEG_START)) == _JPEG_START


def _inside(corner: tf.Tensor, extent: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns first and one-past-last pixel of the window in the image; the nearest one if it is empty."""
    first = tf.clip_by_value(corner, 0, length - 1)
    return first, tf.clip_by_value(corner + extent, first + 1, length)


def _decode_jpeg_window(encoded: tf.Tensor, placement: Placement) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.io.extract_jpeg_shape(encoded)[:2]

    def decode(reduction: int):
        reduced = -(-shape // reduction)
        corner, extent = placement.corner // reduction, placement.extent // reduction
        left, right = _inside(corner[0], extent, reduced[1])
        top, bottom = _inside(corner[1], extent, reduced[0])
        window = tf.stack([top, left, bottom - top, right - left])
        return tf.io.decode_and_crop_jpeg(
            encoded, window, channels=3, ratio=reduction, dct_method=_DCT_METHOD
        )

    reduced_pixels = tf.cond(
        placement.reduction == 1,
        lambda: decode(1),
        lambda: tf.switch_case(
            tf.reduce_sum(tf.cast(placement.reduction >= REDUCTIONS[2:], tf.int32)),
            [lambda reduction=reduction: decode(reduction) for reduction in REDUCTIONS[1:]],
        ),
    )
    return reduced_pixels, shape


def _decode_png_window(encoded: tf.Tensor, placement: Placement) -> tuple[tf.Tensor, tf.Tensor]:
    pixels = tf.io.decode_png(encoded, channels=3)
    shape = tf.shape(pixels)[:2]
    left, right = _inside(placement.corner[0], placement.extent, shape[1])
    top, bottom = _inside(placement.corner[1], placement.extent, shape[0])
    # A window that misses the image keeps one pixel, whose place inside its block must not matter.
    reduction = placement.reduction
    left, top = (left // reduction) * reduction, (top // reduction) * reduction
    pixels = pixels[top:bottom, left:right]
    return tf.cond(reduction == 1, lambda: pixels, lambda: _block_means(pixels, reduction)), shape


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


def _repeat_border(pixels: tf.Tensor, corner: tf.Tensor, extent: tf.Tensor) -> tf.Tensor:
    """Extends the part of a window that lies in the image, (h, w, C), to (extent, extent, C)."""
    height, width = tf.unstack(tf.shape(pixels)[:2])
    missing = extent - width
    before = tf.clip_by_value(-corner[0], 0, missing)
    left = tf.tile(pixels[:, :1], (1, before, 1))
    right = tf.tile(pixels[:, -1:], (1, missing - before, 1))
    pixels = tf.concat([left, pixels, right], axis=1)
    # Whole rows are cheap to gather, columns are not.
    above = tf.clip_by_value(-corner[1], 0, extent - height)
    return tf.gather(pixels, tf.clip_by_value(tf.range(extent) - above, 0, height - 1))


def _decode_mask_crop(
    encoded: tf.Tensor, image_shape: tf.Tensor, placement: Placement, size: int, name: tf.Tensor
) -> tf.Tensor:
    mask = tf.io.decode_png(encoded, channels=1)
    shape = tf.shape(mask)[:2]
    same_size = tf.debugging.Assert(
        tf.reduce_all(shape == image_shape),
        [name, "the mask has height and width", shape, "but the image has", image_shape],
    )
    # The source pixel nearest to crop pixel u is floor((u + 1/2) / zoom), here in integers.
    steps = (2 * tf.range(size) + 1) * placement.extent // (2 * size)
    columns = placement.corner[0] + tf.cond(placement.mirror, lambda: steps[::-1], lambda: steps)
    rows = placement.corner[1] + steps
    inside = ((rows >= 0) & (rows < shape[0]))[:, None] & ((columns >= 0) & (columns < shape[1]))[None]
    with tf.control_dependencies([same_size]):
        crop = tf.gather(mask[..., 0], tf.clip_by_value(rows, 0, shape[0] - 1))
    # Gathering rows of the transpose would be faster, but oneDNN logs an error when it is to transpose uint8.
    crop = tf.gather(crop, tf.clip_by_value(columns, 0, shape[1] - 1), axis=1)
    return tf.cast((crop >= _MASK_CUT) & inside, tf.uint8)

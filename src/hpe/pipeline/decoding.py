"""Encoded images and masks become NumPy arrays, without decoding much more of an image than its crop needs.

OpenCV decodes, which takes less time than TensorFlow's decoder. It knows whole images only, so that small windows
of large JPEGs are decoded by TensorFlow. Both use the same library for JPEG: pixels are the same but at the edge of
a window, beside which TensorFlow's decoder knows no colour, and in CMYK, by 1. Both refuse what is cut off.
"""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
import tensorflow as tf

_JPEG_START = b"\xff\xd8"

# As OpenCV does it, so that pixels do not depend on which of the two decodes.
_DCT_METHOD = "INTEGER_ACCURATE"

_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}

# A call of TensorFlow pays off from as many pixels beside the window on: about 0.1 ms.
_MANY_PIXELS = 100_000

# Markers of JPEG (ITU-T T.81, table B.1): start of frame, whatever the coding; and those without a length.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset([0x01, *range(0xD0, 0xD9)])

_UNDECODABLE = "does not decode"


def decode_window(
    encoded: bytes, left: int, top: int, extent: int, reduction: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """Decodes what of a square window lies in an image, reduced by block means.

    Grey, CMYK and transparent images become RGB; marks of orientation are ignored, as labels do.

    Args:
        encoded: JPEG or PNG.
        left: first column of the window, a multiple of `reduction`; may lie outside the image, as may `top`.
        top: its first row, a multiple of `reduction`.
        extent: side of the window in pixels, a multiple of `reduction`.
        reduction: 1, 2, 4 or 8. JPEGs are reduced while they are decoded.

    Returns:
        (h, w, 3) uint8 RGB, of a window that misses the image the nearest pixel; height and width of the image.

    Raises:
        ValueError: if the bytes do not decode.
    """
    if encoded.startswith(_JPEG_START):
        height, width = jpeg_shape(encoded)
        rows, columns = (
            _inside(start // reduction, extent // reduction, -(-length // reduction))
            for start, length in ((top, height), (left, width))
        )
        inside = (rows.stop - rows.start) * (columns.stop - columns.start)
        if height * width - inside * reduction**2 > _MANY_PIXELS:
            return _decode_with_tensorflow(encoded, rows, columns, reduction), (height, width)
        return _decode(encoded, _FLAGS[reduction])[rows, columns], (height, width)
    pixels = _decode(encoded, _FLAGS[1])
    height, width = pixels.shape[:2]
    rows, columns = _inside(top, extent, height), _inside(left, extent, width)
    if reduction == 1:
        return pixels[rows, columns], (height, width)
    # A window that misses the image keeps one pixel, whose place inside its block must not matter.
    rows, columns = (slice(kept.start // reduction * reduction, kept.stop) for kept in (rows, columns))
    return _block_means(pixels[rows, columns], reduction), (height, width)


def decode_mask(encoded: bytes) -> np.ndarray:
    """Returns a mask (H, W) uint8 from PNG or JPEG; ValueError if the bytes do not decode."""
    return _decode(encoded, cv2.IMREAD_GRAYSCALE)


def jpeg_shape(encoded: bytes) -> tuple[int, int]:
    """Returns height and width of a JPEG from the header of its frame; ValueError if there is none."""
    # Decoders pass over stray bytes between the segments.
    at = encoded.find(b"\xff", 2)
    while 0 <= at <= len(encoded) - 9:
        marker = encoded[at + 1]
        if marker == 0xFF:  # filling
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _FRAMES:
            return int.from_bytes(encoded[at + 5 : at + 7]), int.from_bytes(encoded[at + 7 : at + 9])
        else:
            at += 2 + int.from_bytes(encoded[at + 2 : at + 4])
        at = encoded.find(b"\xff", at)
    raise ValueError(_UNDECODABLE)


def _inside(start: int, extent: int, length: int) -> slice:
    """Returns which of the pixels [start, start + extent) there are; the nearest one if there are none."""
    first = min(max(start, 0), length - 1)
    return slice(first, max(min(start + extent, length), first + 1))


def _decode(encoded: bytes, flags: int) -> np.ndarray:
    pixels = None
    if encoded:  # of nothing OpenCV makes an error of its own
        with contextlib.suppress(cv2.error):  # such as of images of more than 2^30 pixels
            pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(_UNDECODABLE)
    return pixels


def _decode_with_tensorflow(encoded: bytes, rows: slice, columns: slice, reduction: int) -> np.ndarray:
    window = [rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start]
    try:
        with tf.device("CPU"):
            return tf.io.decode_and_crop_jpeg(
                encoded, window, channels=3, ratio=reduction, dct_method=_DCT_METHOD
            ).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(_UNDECODABLE) from error


def _block_means(pixels: np.ndarray, block: int) -> np.ndarray:
    """Averages (H, W, 3) uint8 over blocks from the corner; blocks that are cut average what is there."""
    means = pixels.astype(np.float32)
    for axis in (0, 1):
        starts = np.arange(0, means.shape[axis], block)
        counts = np.diff(starts, append=means.shape[axis]).astype(np.float32)
        means = np.add.reduceat(means, starts, axis=axis) / np.expand_dims(counts, tuple({0, 1, 2} - {axis}))
    return (means + 0.5).astype(np.uint8)

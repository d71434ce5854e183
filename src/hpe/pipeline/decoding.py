"""Encoded images become NumPy arrays, without decoding much more of an image than its crop needs.

OpenCV decodes, which takes less time than TensorFlow's decoder. It knows whole images only, so that small windows
of large JPEGs are decoded by TensorFlow. Both use the same library for JPEG: pixels are the same but at the edge of
a window, beside which TensorFlow's decoder knows no colour, and in CMYK, by 1. Both refuse what is cut off.
"""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
import tensorflow as tf

from hpe.geometry.crops import inside, reduce_by_means

# What JPEG decoding reduces by for free; beyond two-fold minification, plain bilinear sampling aliases.
REDUCTIONS = (1, 2, 4, 8)

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
MANY_PIXELS = 100_000

# Markers of JPEG (ITU-T T.81, table B.1): start of frame, whatever the coding; and those without a length.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset([0x01, *range(0xD0, 0xD9)])

_UNDECODABLE = "does not decode"


def decode_window(
    encoded: bytes, bounds: tuple[int, int, int, int], reduction: int
) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """Decodes what of a window lies in an image, reduced by block means.

    Grey, CMYK and transparent images become RGB; marks of orientation are ignored, as labels do.

    Args:
        encoded: JPEG or PNG.
        bounds: left, top, right and bottom of the window, multiples of `reduction`; may lie outside the image.
        reduction: one of `REDUCTIONS`. JPEGs are reduced while they are decoded.

    Returns:
        (h, w, 3) uint8 RGB, of a window that misses the image the nearest pixel; the place (column, row) of the
        first of them in the reduced image; height and width of the image.

    Raises:
        ValueError: if the bytes do not decode.
    """
    if encoded.startswith(_JPEG_START):
        height, width = jpeg_shape(encoded)
        rows, columns = _reduced(bounds, (height, width), reduction)
        used = (rows.stop - rows.start) * (columns.stop - columns.start)
        if height * width - used * reduction**2 > MANY_PIXELS:
            pixels = decode_with_tensorflow(encoded, rows, columns, reduction)
        else:
            pixels = _decode(encoded, _FLAGS[reduction])[rows, columns]
        return pixels, (columns.start, rows.start), (height, width)
    pixels = _decode(encoded, _FLAGS[1])
    height, width = pixels.shape[:2]
    rows, columns = _reduced(bounds, (height, width), reduction)
    window = pixels[
        rows.start * reduction : rows.stop * reduction, columns.start * reduction : columns.stop * reduction
    ]
    return reduce_by_means(window, reduction), (columns.start, rows.start), (height, width)


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


def _reduced(
    bounds: tuple[int, int, int, int], shape: tuple[int, int], reduction: int
) -> tuple[slice, slice]:
    """Returns the rows and columns of the reduced image that a window has."""
    left, top, right, bottom = (side // reduction for side in bounds)
    height, width = (-(-length // reduction) for length in shape)
    return inside(top, bottom, height), inside(left, right, width)


def _decode(encoded: bytes, flags: int) -> np.ndarray:
    pixels = None
    if encoded:  # of nothing OpenCV makes an error of its own
        with contextlib.suppress(cv2.error):  # such as of images of more than 2^30 pixels
            pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(_UNDECODABLE)
    return pixels


def decode_with_tensorflow(encoded: bytes, rows: slice, columns: slice, reduction: int) -> np.ndarray:
    """Decodes a window (h, w, 3) of a JPEG alone, reduced; raises ValueError where it cannot be read."""
    window = [rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start]
    try:
        with tf.device("CPU"):
            return tf.io.decode_and_crop_jpeg(
                encoded, window, channels=3, ratio=reduction, dct_method=_DCT_METHOD
            ).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise ValueError(_UNDECODABLE) from error

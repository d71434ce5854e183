"""Whatever a caller has for a picture becomes (H, W, 3) uint8 RGB, or one clear error."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from hpe.formats.exif import focal_length
from hpe.visualization.grids import read_image

# EXIF data lie in one segment near the start of a file, of at most 64 kB; others may go before it.
_LONGEST_HEAD = 2**20

_WANTED = "a picture is (H, W, 3) uint8 RGB, or (H, W) grey, (H, W, 4) RGBA, or floats in [0, 1] or [0, 255]"


def is_one_picture(images) -> bool:
    """Tells whether `images` is one picture rather than a sequence of them."""
    if isinstance(images, (str, os.PathLike)):
        return True
    if isinstance(images, (list, tuple)):
        return False
    return np.ndim(images) < 4


def read_photo(path: str | os.PathLike) -> tuple[np.ndarray, float | None]:
    """Reads a picture file, turned upright where its EXIF data say how.

    Returns:
        (H, W, 3) uint8 RGB, and the focal length in pixels that the file tells, or None.

    Raises:
        UserError: the file cannot be read or does not decode.
    """
    image = read_image(path)
    with open(path, "rb") as file:
        return image, focal_length(file.read(_LONGEST_HEAD), image.shape[:2])


def as_pictures(images) -> list[np.ndarray]:
    """Returns a list of (H, W, 3) uint8 RGB pictures.

    Args:
        images: a sequence of what `as_picture` takes, or one array (N, H, W, C).

    Raises:
        TypeError, ValueError: one of them is no picture; its place is named.
        UserError: a file cannot be read.
    """
    pictures = []
    for number, image in enumerate(images):
        try:
            pictures.append(as_picture(image))
        except (TypeError, ValueError) as error:
            raise type(error)(f"picture {number}: {error}") from None
    return pictures


def as_picture(image) -> np.ndarray:
    """Returns a picture as (H, W, 3) uint8 RGB.

    Args:
        image: an array, or something that NumPy makes one of (a tensor, a picture of Pillow); grey pictures are
            repeated in the three channels, transparency lies on white, 16 bits become 8, floats in [0, 1] are
            scaled to [0, 255]. Or the path of a picture file.

    Raises:
        TypeError: it holds no numbers.
        ValueError: its shape or its values are no picture's.
        UserError: the file cannot be read.
    """
    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    try:
        array = np.asarray(image)
    except ValueError:
        array = np.empty((), object)
    if array.dtype.kind not in "uif":
        raise TypeError(f"{_WANTED}. Received: {type(image).__name__} of {array.dtype}")
    shape = array.shape
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = " (channels come last)" if array.ndim == 3 and shape[0] in (1, 3, 4) else ""
        raise ValueError(f"{_WANTED}{hint}. Received: shape={shape}, dtype={array.dtype}")
    array = _as_bytes(array, f"Received: shape={shape}, dtype={array.dtype}")
    if array.shape[2] == 4:
        opacity = array[..., 3:].astype(np.float32) / 255
        array = np.round(array[..., :3] * opacity + 255 * (1 - opacity)).astype(np.uint8)
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    return np.ascontiguousarray(array)


def _as_bytes(array: np.ndarray, received: str) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    low, high = array.min(), array.max()
    received = f"{received}, values {low:g} to {high:g}"
    if not (low >= 0 and np.isfinite(high)):
        raise ValueError(f"{_WANTED}. {received}")
    if array.dtype.kind == "f":
        if high > 255:
            raise ValueError(f"{_WANTED}. {received}")
        scaled = array * 255.0 if high <= 1 else array
        return np.round(scaled).astype(np.uint8)
    if array.dtype == np.uint16:
        return np.round(array / 257.0).astype(np.uint8)
    if high > 255:
        raise ValueError(f"{_WANTED}. {received}")
    return array.astype(np.uint8)


def as_boxes(boxes, size: tuple[int, int]) -> list[tuple[float, float, float, float]]:
    """Returns the boxes of one picture.

    Args:
        boxes: a sequence of (x, y, width, height) in pixels, one such box, or None for the whole picture.
        size: (height, width) of the picture.

    Raises:
        ValueError: a box has no area, or lies outside the picture.
    """
    height, width = size
    if boxes is None:
        return [(0.0, 0.0, float(width), float(height))]
    wanted = "boxes are (x, y, width, height) in pixels, one for each person"
    try:
        array = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{wanted}. Received: boxes={boxes!r}") from None
    if array.size == 0:
        return []
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{wanted}. Received: shape={array.shape}")
    for x, y, across, down in array:
        box = f"box={x:g},{y:g},{across:g},{down:g}"
        if not (np.isfinite((x, y, across, down)).all() and across > 0 and down > 0):
            raise ValueError(f"a box has a positive width and height. Received: {box}")
        if x >= width or y >= height or x + across <= 0 or y + down <= 0:
            raise ValueError(f"a box lies in the picture of {width} x {height} pixels. Received: {box}")
    return [tuple(float(number) for number in box) for box in array]


def as_masks(masks, count: int, size: tuple[int, int]) -> list[np.ndarray | None]:
    """Returns the masks (H, W) uint8 of a picture's people, None for each where there are none.

    Args:
        masks: (N, H, W), non-zero pixels are the person; or None.
        count: of the people.
        size: (height, width) of the picture.

    Raises:
        ValueError: they are not of so many people, or not of the picture's size.
    """
    if masks is None:
        return [None] * count
    masks = np.asarray(masks)
    if masks.shape != (count, *size):
        raise ValueError(f"masks are (N, H, W), one for each box. Received: shape={masks.shape}")
    return list((masks != 0).astype(np.uint8))


def per_picture(values, count: int, name: str) -> Sequence:
    """Returns one value for each of several pictures: None is None for all.

    Args:
        values: None, or a sequence.
        count: of the pictures.
        name: of the argument, for the message.

    Raises:
        ValueError: there are more or fewer values.
    """
    if values is None:
        return [None] * count
    if not hasattr(values, "__len__") or len(values) != count:
        raise ValueError(
            f"{name} of a list of pictures is a list with one entry for each. Received: "
            f"{len(values) if hasattr(values, '__len__') else values} for {count} pictures"
        )
    return values

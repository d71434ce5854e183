"""Picture files, and grids of pictures."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence

import cv2
import numpy as np

from hpe import files
from hpe.errors import UserError
from hpe.formats.images import load_image as read_image

__all__ = ["grid", "read_image", "write_image"]

_PAPER = 255
_INK = (40, 40, 46)
_GAP = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def grid(images: Sequence[np.ndarray], columns: int, *, captions: Sequence[str] | None = None) -> np.ndarray:
    """Lays pictures out in rows.

    Args:
        images: (H, W, 3) uint8 RGB each; smaller ones are centred in cells of the largest height and width.
        columns: pictures per row.
        captions: one line of text below each picture, shortened where it is too long; None leaves no room.

    Returns:
        (H, W, 3) uint8 RGB on white.

    Raises:
        ValueError: there is no picture, or captions are not as many as pictures.
    """
    if not len(images) or columns < 1:
        raise ValueError(f"grid needs a picture and a column. Received: {len(images)}, columns={columns}")
    if captions is not None and len(captions) != len(images):
        raise ValueError(f"captions must be as many as pictures. Received: {len(captions)}, {len(images)}")
    height = max(image.shape[0] for image in images)
    width = max(image.shape[1] for image in images)
    scale = float(np.clip(width / 500, 0.35, 0.8))
    strip = 0 if captions is None else round(28 * scale) + 4
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    cell_height, cell_width = height + strip + _GAP, width + _GAP
    picture = np.full((rows * cell_height + _GAP, columns * cell_width + _GAP, 3), _PAPER, np.uint8)
    for n, image in enumerate(images):
        top = _GAP + n // columns * cell_height
        left = _GAP + n % columns * cell_width
        y = top + (height - image.shape[0]) // 2
        x = left + (width - image.shape[1]) // 2
        picture[y : y + image.shape[0], x : x + image.shape[1]] = image
        if captions is not None:
            text = _shorten(captions[n], scale, width - 4)
            origin = (left + 1, top + height + strip - round(9 * scale) - 2)
            cv2.putText(picture, text, origin, _FONT, scale, _INK, 1, cv2.LINE_AA)
    return picture


def _shorten(text: str, scale: float, width: int) -> str:
    """Drops the end of a line that is wider than `width` pixels."""
    if cv2.getTextSize(text, _FONT, scale, 1)[0][0] <= width:
        return text
    while text and cv2.getTextSize(text + "..", _FONT, scale, 1)[0][0] > width:
        text = text[:-1]
    return text + ".."


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a picture, format by the name's ending, so that no half file is ever left under that name.

    Args:
        path: the file; its folder is made where it is missing.
        image: (H, W, 3) RGB or (H, W) grey, uint8.

    Raises:
        UserError: the ending is unknown or the file cannot be written.
    """
    path = pathlib.Path(path)
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    try:
        encoded = cv2.imencode(path.suffix, pixels)[1]
    except cv2.error:
        raise UserError(f"{path}: cannot write pictures of type {path.suffix!r}; use .png or .jpg.") from None
    files.write_bytes(path, encoded.tobytes())

"""What a photograph says of the lens: the focal length in its EXIF data, of JPEG files.

EXIF is a TIFF structure in the segment APP1: a directory of entries of 12 bytes each, number of the tag, type,
count, and the value or where it lies (Exif 2.32, 4.6.2).
"""

from __future__ import annotations

import math
import struct

# Tags.
_EXIF_DIRECTORY = 0x8769
_FOCAL_LENGTH_35MM = 0xA405

# Types: 16 and 32 bits.
_SHORT, _LONG = 3, 4

_APP1, _SCAN, _START = 0xE1, 0xDA, b"\xff\xd8"
_IDENTIFIER = b"Exif\0\0"
# Millimetres: a focal length "in 35 mm film" is that of a frame of 36 x 24 mm that shows the same diagonal.
_FILM_DIAGONAL = math.hypot(36.0, 24.0)


def focal_length(content: bytes, size: tuple[int, int]) -> float | None:
    """Returns the focal length in pixels that a JPEG file tells, or None.

    Args:
        content: of the file.
        size: (height, width) of the picture in pixels.
    """
    try:
        exif = _exif(content)
        millimetres = None if exif is None else _focal_length_35mm(exif)
    except (struct.error, IndexError):
        return None
    if not millimetres:  # 0 means that it is not known
        return None
    return millimetres / _FILM_DIAGONAL * math.hypot(*size)


def _exif(content: bytes) -> bytes | None:
    """Returns the TIFF structure of the EXIF data."""
    if not content.startswith(_START):
        return None
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == _SCAN:
            return None
        length = struct.unpack_from(">H", content, place + 2)[0]
        segment = content[place + 4 : place + 2 + length]
        if marker == _APP1 and segment.startswith(_IDENTIFIER):
            return segment[len(_IDENTIFIER) :]
        place += 2 + max(length, 2)
    return None


def _focal_length_35mm(tiff: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return None
    directory = _entries(tiff, order, struct.unpack_from(order + "I", tiff, 4)[0])
    if _EXIF_DIRECTORY not in directory:
        return None
    return _entries(tiff, order, directory[_EXIF_DIRECTORY]).get(_FOCAL_LENGTH_35MM)


def _entries(tiff: bytes, order: str, place: int) -> dict[int, int]:
    """Returns the entries of a directory that are one integer."""
    found = {}
    for number in range(struct.unpack_from(order + "H", tiff, place)[0]):
        entry = place + 2 + 12 * number
        tag, kind, count = struct.unpack_from(order + "HHI", tiff, entry)
        if count == 1 and kind in (_SHORT, _LONG):
            found[tag] = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, entry + 8)[0]
    return found

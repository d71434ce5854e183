"""The focal length in EXIF data: in both byte orders, and nothing where there is none."""

import math
import struct

import pytest

from hpe.formats.exif import focal_length


def jpeg(order, entries, *, before=b""):
    """The start of a JPEG file with EXIF data: entries (tag, type, value) of the Exif directory."""
    mark = {"<": b"II", ">": b"MM"}[order]
    tiff = mark + struct.pack(order + "HI", 42, 8)
    tiff += struct.pack(order + "H", 1) + struct.pack(order + "HHII", 0x8769, 4, 1, 26) + bytes(4)
    tiff += struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        tiff += struct.pack(order + "HHI", tag, kind, 1)
        tiff += struct.pack(order + "H", value) + bytes(2) if kind == 3 else struct.pack(order + "I", value)
    segment = b"Exif\0\0" + tiff
    return (
        b"\xff\xd8" + before + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + b"\xff\xda\0\2"
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_the_focal_length_is_that_of_a_film_of_the_same_diagonal(order, kind):
    other = b"\xff\xe0\0\x10JFIF\0" + bytes(9)
    content = jpeg(order, [(0x829A, 5, 99), (0xA405, kind, 26)], before=other)
    # 26 mm before 36 x 24 mm.
    assert focal_length(content, (3000, 4000)) == pytest.approx(26 / math.hypot(36, 24) * 5000)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        jpeg("<", [(0x829A, 5, 99)]),
        jpeg("<", [(0xA405, 3, 0)]),
        jpeg(">", [(0xA405, 3, 26)])[:40],
        jpeg(">", [(0xA405, 3, 26)]).replace(b"MM", b"XX"),
        b"\xff\xd8\xff\xe1\0\0",
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0II*\0\xff\xff\xff\xff",
    ],
)
def test_what_tells_no_focal_length_gives_none(content):
    assert focal_length(content, (3000, 4000)) is None

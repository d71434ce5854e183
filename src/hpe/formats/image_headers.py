"""What the headers of image files say, without decoding: format, size, EXIF orientation, where the image ends.

Sizes are looked at before memory is asked for; ends tell a half image from a whole one, and a whole one from the
film that a telephone writes behind it. Sources: ITU T.81 (JPEG), W3C PNG and its APNG part, TIFF 6.0, Exif 2.32,
Google's WebP container specification, ISO/IEC 14496-12 and 23008-12 (HEIF, AVIF).
"""

from __future__ import annotations

import dataclasses
import re
import struct

_PNG_START = b"\x89PNG\r\n\x1a\n"
_ORIENTATION_TAG = 0x0112
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101
_MAX_PAGES = 10_000

# A marker in the compressed data of a JPEG: neither a stuffed zero nor a restart.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}

# Formats that no part of the project reads, by their first bytes; they are told by name.
_UNREAD = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"%PDF", "PDF"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
    (b"II*\0\x10\0\0\0CR", "Canon raw"),
    (b"FUJIFILM", "Fujifilm raw"),
    (b"<svg", "SVG"),
    (b"\0\0\x01\0", "icon"),
)


class Truncated(Exception):
    """An image that ends before its own end."""


class Unknown(Exception):
    """No image of a format that is read; the message is the format's name where that is known, else empty."""


@dataclasses.dataclass(frozen=True)
class Header:
    """What the header of an image says.

    Attributes:
        format: such as `JPEG`.
        height, width: in pixels as they are decoded, before `orientation` is applied.
        orientation: EXIF's, 1 to 8, that is still to be applied; 1 where there is none.
        pictures: how many pages or frames the file holds.
        channels: of a JPEG, as stored; 0 for others.
        end: number of bytes up to the end of the image.
    """

    format: str
    height: int
    width: int
    orientation: int = 1
    pictures: int = 1
    channels: int = 0
    end: int = 0


def read_header(content: bytes) -> Header:
    """Reads the header of an image file.

    Args:
        content: the whole file.

    Raises:
        Truncated: if it ends too early.
        Unknown: if it is of none of the formats, or its header is damaged.
    """
    try:
        if content.startswith(b"\xff\xd8\xff"):
            header = _jpeg(content)
        elif content.startswith(_PNG_START):
            header = _png(content)
        elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            header = _webp(content)
        elif content[:4] in (b"II*\0", b"MM\0*") and not content.startswith(b"II*\0\x10\0\0\0CR"):
            header = _tiff(content)
        elif content[:6] in (b"GIF87a", b"GIF89a"):
            header = _gif(content)
        elif content[:2] == b"BM" and len(content) >= 26:
            width, height = struct.unpack_from("<ii", content, 18)
            header = Header("BMP", abs(height), abs(width), end=len(content))
        elif content[4:8] == b"ftyp" and (format_name := _brand(content)):
            header = _heif(content, format_name)
        else:
            raise Unknown(next((name for start, name in _UNREAD if content.startswith(start)), ""))
    except (struct.error, IndexError, ValueError) as error:
        raise Truncated from error
    if not header.height or not header.width:
        raise Unknown("")
    return header


def _jpeg(content: bytes) -> Header:
    place, size, orientation, scanned = 2, None, 1, False
    while True:
        # Any number of fill bytes may stand before a marker.
        if content[place] != 0xFF:
            raise Unknown("")
        while content[place] == 0xFF:
            place += 1
        marker = content[place]
        place += 1
        if marker == 0xD9:
            if size is None or not scanned:
                raise Unknown("")
            return Header("JPEG", *size[:2], orientation, channels=size[2], end=place)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack_from(">H", content, place)
        segment, place = content[place + 2 : place + length], place + length
        if length < 2:
            raise Unknown("")
        if marker in _JPEG_FRAMES:
            height, width, channels = struct.unpack_from(">HHB", segment, 1)
            size = height, width, channels
        elif marker == 0xE1 and segment.startswith(b"Exif\0"):
            orientation = exif_orientation(segment[6:])
        elif marker == 0xDA:
            scanned = True
            found = _JPEG_MARKER.search(content, place)
            if found is None:
                raise Truncated
            place = found.start()


def _png(content: bytes) -> Header:
    place, size, orientation, pictures = 8, None, 1, 1
    while True:
        length, kind = struct.unpack_from(">I4s", content, place)
        start, place = place + 8, place + 12 + length
        if place > len(content):
            raise Truncated
        if kind == b"IHDR":
            size = struct.unpack_from(">II", content, start)
        elif kind == b"acTL":
            pictures = max(1, struct.unpack_from(">I", content, start)[0])
        elif kind == b"eXIf":
            orientation = exif_orientation(content[start : place - 4])
        elif kind == b"IEND":
            if size is None:
                raise Unknown("")
            return Header("PNG", size[1], size[0], orientation, pictures, end=place)


def _webp(content: bytes) -> Header:
    end = 8 + struct.unpack_from("<I", content, 4)[0]
    if end > len(content):
        raise Truncated
    place, size, orientation, frames = 12, None, 1, 0
    while place + 8 <= end:
        kind, length = struct.unpack_from("<4sI", content, place)
        data = content[place + 8 : place + 8 + min(length, 1 << 16)]
        if kind == b"VP8X":
            size = tuple(1 + int.from_bytes(data[at : at + 3], "little") for at in (7, 4))
        elif kind == b"VP8 " and size is None:
            width, height = struct.unpack_from("<HH", data, 6)
            size = height & 0x3FFF, width & 0x3FFF
        elif kind == b"VP8L" and size is None:
            (bits,) = struct.unpack_from("<I", data, 1)
            size = 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
        elif kind == b"ANMF":
            frames += 1
        elif kind == b"EXIF":
            orientation = exif_orientation(data.removeprefix(b"Exif\0\0"))
        place += 8 + length + (length & 1)
    if size is None:
        raise Unknown("")
    return Header("WebP", *size, orientation, max(1, frames), end=end)


def _tiff(content: bytes) -> Header:
    pages = 0
    first: dict[int, int] = {}
    seen: set[int] = set()
    order = "<" if content[:2] == b"II" else ">"
    (place,) = struct.unpack_from(order + "I", content, 4)
    while place and place not in seen and pages < _MAX_PAGES:
        seen.add(place)
        tags, place = _directory(content, place, order)
        # Thumbnails and masks are directories, too, but not pages.
        pages += not tags.get(0x00FE, 0) & 0b101
        first = first or tags
    size = first.get(_HEIGHT_TAG, 0), first.get(_WIDTH_TAG, 0)
    # OpenCV turns TIFFs as it decodes them, whatever it is asked for.
    turned = _valid(first.get(_ORIENTATION_TAG, 1)) >= 5
    return Header("TIFF", *(size[::-1] if turned else size), pictures=max(1, pages), end=len(content))


def _gif(content: bytes) -> Header:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    place, frames = 13 + _color_table(flags), 0
    while place < len(content) and content[place] != 0x3B:
        if content[place] == 0x2C:
            frames += 1
            place += 10 + _color_table(content[place + 9]) + 1
        elif content[place] == 0x21:
            place += 2
        else:
            break
        while content[place]:
            place += 1 + content[place]
        place += 1
    return Header("GIF", height, width, pictures=max(1, frames), end=len(content))


def _color_table(flags: int) -> int:
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _brand(content: bytes) -> str:
    (length,) = struct.unpack_from(">I", content, 0)
    brands = {content[8:12], *re.findall(rb"[\s\S]{4}", content[16 : min(length, 256)])}
    if brands & _AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & _HEIC_BRANDS else ""


def _heif(content: bytes, name: str) -> Header:
    # Pictures may be put together from tiles: the whole is the largest of the sizes.
    sizes = [
        struct.unpack_from(">II", content, found.end() + 4)
        for found in re.finditer(rb"\0\0\0\x14ispe", content[: 1 << 20])
    ]
    if not sizes:
        # A header alone has a format, though it cannot be read.
        return Header(name, 1, 1, end=len(content))
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(name, height, width, end=len(content))


def exif_orientation(content: bytes) -> int:
    """Returns the orientation that EXIF data say, from the byte order on; 1 where they say none or are damaged."""
    order = {b"II": "<", b"MM": ">"}.get(content[:2])
    if order is None:
        return 1
    try:
        tags, _ = _directory(content, struct.unpack_from(order + "I", content, 4)[0], order)
    except struct.error:
        return 1
    return _valid(tags.get(_ORIENTATION_TAG, 1))


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _directory(content: bytes, place: int, order: str) -> tuple[dict[int, int], int]:
    """Returns the whole numbers of a directory of TIFF by their tags, and the place of the next directory."""
    (count,) = struct.unpack_from(order + "H", content, place)
    tags = {}
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", content, entry)
        if kind == 3:
            (tags[tag],) = struct.unpack_from(order + "H", content, entry + 8)
        elif kind == 4:
            (tags[tag],) = struct.unpack_from(order + "I", content, entry + 8)
    # EXIF data of one directory may end without saying that no other follows.
    following = content[place + 2 + 12 * count :][:4]
    return tags, struct.unpack(order + "I", following)[0] if len(following) == 4 else 0

"""Reading image and mask files: the one place where pictures of users are decoded.

EXIF's orientation is applied, so that records, preview and the library see the same pixels. What cannot be read is
told by a reason, with the name of its format where that is known.
"""

from __future__ import annotations

import dataclasses
import io
import os
import struct
import zlib

import cv2
import numpy as np

from hpe.errors import UserError
from hpe.formats import image_headers, limits
from hpe.formats.image_headers import Header

JPEG_START = b"\xff\xd8\xff"
PNG_START = b"\x89PNG\r\n\x1a\n"
# Chunks of PNG: the header is first; its bit depth, colour, and ways to compress, filter and interlace.
_HEADER_CHUNK, _ONE_BIT_GREY = b"\0\0\0\rIHDR", bytes([1, 0, 0, 0, 0])
_CHUNK, _AFTER_HEADER = 12, 33

# What may be decoded whatever the file's length; more only where the file has a bit for every fourth pixel.
ALWAYS_PIXELS = 1 << 26
NEVER_MORE_PIXELS = 1 << 28
_PIXELS_PER_BYTE = 32
_SHORT_TAIL = 1024

_JPEG_QUALITY = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]
_LOSSLESS = {"PNG", "BMP", "TIFF", "GIF"}
# Whether the orientation exchanges height and width, whether it mirrors, and by how many quarters the rest turns.
_TURNS = {
    1: (False, 0),
    2: (True, 0),
    3: (False, 2),
    4: (True, 2),
    5: (True, 1),
    6: (False, 3),
    7: (True, 3),
    8: (False, 1),
}


class BadImage(Exception):
    """A file that cannot serve as image or mask; the message is the reason, in words that group well."""


@dataclasses.dataclass(frozen=True)
class EncodedImage:
    """An image as it goes into records.

    Attributes:
        content: JPEG or PNG, upright without regard to EXIF. The file's own bytes where they are that.
        height, width: of the upright image in pixels.
        orientation: EXIF's orientation that was applied, 1 for none.
        pictures: how many pages or frames the file holds; this is the first.
    """

    content: bytes
    height: int
    width: int
    orientation: int = 1
    pictures: int = 1

    @property
    def stored_size(self) -> tuple[int, int]:
        """Height and width before the orientation was applied."""
        return (self.width, self.height) if self.orientation >= 5 else (self.height, self.width)


def read_image(path: str | os.PathLike) -> EncodedImage:
    """Reads an image file and makes sure that it decodes.

    Args:
        path: a JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC file; of several pages or frames the first is read.

    Raises:
        BadImage: if it cannot be read, is of another format, is truncated, too large or does not decode.
    """
    content = _read(path, "image")
    header = _header(content, "image")
    pixels = turn(_decode(content, header, cv2.IMREAD_COLOR, "image"), header.orientation)
    if header.format in ("JPEG", "PNG") and header.orientation == 1 and header.channels <= 3:
        # What lies behind the image, such as the film of a telephone, is not part of it; a few bytes may stay.
        encoded = content[: header.end] if len(content) - header.end > _SHORT_TAIL else content
    elif header.format in _LOSSLESS:
        encoded = _encode(pixels, ".png", [])
    else:
        encoded = _encode(pixels, ".jpg", _JPEG_QUALITY)
    return EncodedImage(encoded, *pixels.shape[:2], header.orientation, header.pictures)


def load_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a picture of any of the formats of `read_image`, upright as EXIF says.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: the file cannot be read or does not decode.
    """
    return decode_image(limits.read_bytes(path), source=os.fspath(path))


def decode_image(content: bytes, *, source: str) -> np.ndarray:
    """Decodes a picture, upright as EXIF says.

    Args:
        content: the bytes of the file.
        source: where they come from, for the message.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: they do not decode.
    """
    try:
        header = _header(content, "picture")
        pixels = _decode(content, header, cv2.IMREAD_COLOR, "picture")
    except BadImage as error:
        raise UserError(f"{source}: {error}.") from error
    return cv2.cvtColor(turn(pixels, header.orientation), cv2.COLOR_BGR2RGB)


def count_pictures(path: str | os.PathLike) -> int:
    """Returns how many pages or frames an image file holds; 1 where its header cannot be read."""
    try:
        return image_headers.read_header(limits.read_bytes(path)).pictures
    except (UserError, image_headers.Truncated, image_headers.Unknown):
        return 1


def read_mask(path: str | os.PathLike, *, sizes: tuple[tuple[int, int], ...] = ()) -> np.ndarray:
    """Reads a segmentation in the layout of Unite the People: anything but 0 in the first channel is person.

    Args:
        path: the file, with any number of channels.
        sizes: heights and widths that it may have; empty for any.

    Returns:
        (H, W) uint8, 0 and 255, as stored without regard to EXIF.

    Raises:
        BadImage: if it cannot be read, does not decode, or has another size.
    """
    content = _read(path, "segmentation")
    header = _header(content, "segmentation")
    if sizes and (header.height, header.width) not in sizes:
        raise BadImage("segmentation has another size than its image")
    pixels = _decode(content, header, cv2.IMREAD_UNCHANGED, "segmentation")
    if pixels.ndim == 3:
        # OpenCV turns RGB(A) into BGR(A): the first channel of the file is its third.
        pixels = pixels[:, :, 2] if pixels.shape[2] >= 3 else pixels[:, :, 0]
    return (pixels > 0).view(np.uint8) * np.uint8(255)


def encode_mask(mask: np.ndarray) -> bytes:
    """Returns a (H, W) uint8 mask of 0 and 255 as PNG of one bit per pixel; equal masks give equal bytes.

    One bit is not only smaller: the input pipeline decodes it in less than half the time of eight.
    """
    return _encode(mask, ".png", [cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 9])


def decode_bilevel(encoded: bytes) -> np.ndarray | None:
    """Decodes a PNG of one bit per pixel as `encode_mask` writes it, in a quarter of the time that OpenCV takes.

    Returns:
        (H, W) uint8 0 and 1; None of any other file and of a damaged one, about which a decoder has more to say.
    """
    if not encoded.startswith(PNG_START + _HEADER_CHUNK) or encoded[24:29] != _ONE_BIT_GREY:
        return None
    width, height = struct.unpack_from(">2I", encoded, 16)
    row = 1 + -(-width // 8)
    if height * width > ALWAYS_PIXELS:
        return None
    place, data = _AFTER_HEADER, []
    while (kind := encoded[place + 4 : place + 8]) != b"IEND":
        length = int.from_bytes(encoded[place : place + 4], "big")
        if kind != b"IDAT":
            return None
        data.append(encoded[place + 8 : place + 8 + length])
        place += _CHUNK + length
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(b"".join(data), height * row + 1)
    except zlib.error:
        return None
    if len(content) != height * row or not stream.eof:
        return None
    rows = np.frombuffer(content, np.uint8).reshape(height, row)
    # The first byte of a row says how it is filtered.
    return None if rows[:, 0].any() else np.unpackbits(rows[:, 1:], axis=1, count=width)


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turns stored pixels (H, W, ...) upright as EXIF's orientation says; returns a contiguous array."""
    mirrored, quarters = _TURNS[orientation]
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, quarters))


def turn_points(points: np.ndarray, orientation: int, height: int, width: int) -> np.ndarray:
    """Moves points (..., 2) in pixels of the stored image to where `turn` moves its pixels.

    Args:
        points: x and y, pixel centres at integers.
        orientation: EXIF's.
        height: of the stored image.
        width: of the stored image.
    """
    mirrored, quarters = _TURNS[orientation]
    x, y = points[..., 0], points[..., 1]
    if mirrored:
        x = width - 1 - x
    for _ in range(quarters):
        # A quarter turn against the clock, as numpy.rot90 does.
        x, y, height, width = y, width - 1 - x, width, height
    return np.stack([x, y], axis=-1)


def mirrors(orientation: int) -> bool:
    """Whether an orientation of EXIF exchanges left and right."""
    return _TURNS[orientation][0]


def _encode(pixels: np.ndarray, ending: str, options: list[int]) -> bytes:
    done, encoded = cv2.imencode(ending, pixels, options)
    if not done:
        raise ValueError(
            f"An image could not be encoded. Received: shape={pixels.shape} dtype={pixels.dtype}"
        )
    return encoded.tobytes()


def _read(path: str | os.PathLike, what: str) -> bytes:
    if not os.path.exists(path):
        raise BadImage(f"{what} is missing")
    try:
        return limits.read_bytes(path)
    except UserError as error:
        raise BadImage(f"{what} cannot be read") from error


def _header(content: bytes, what: str) -> Header:
    try:
        header = image_headers.read_header(content)
    except image_headers.Truncated as error:
        raise BadImage(f"{what} is truncated") from error
    except image_headers.Unknown as error:
        name = str(error)
        if not name and content.startswith((JPEG_START, PNG_START)):
            raise BadImage(f"{what} does not decode") from error
        known = "JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC"
        reason = f"is {name}, which is not read; convert it to JPEG or PNG" if name else f"is none of {known}"
        raise BadImage(f"{what} {reason}") from error
    pixels = header.height * header.width
    if pixels > max(ALWAYS_PIXELS, min(_PIXELS_PER_BYTE * len(content), NEVER_MORE_PIXELS)):
        raise BadImage(f"{what} is too large ({header.width} x {header.height} pixels)")
    return header


def _decode(content: bytes, header: Header, flags: int, what: str) -> np.ndarray:
    """Returns the stored pixels as OpenCV orders channels; BadImage if they do not decode."""
    if header.format in ("AVIF", "HEIC"):
        pixels = _decode_heif(content, header.format)
        if pixels is None:
            raise BadImage(
                f"{what} is {header.format}, which the installed libraries cannot read; install hpe[heif] or "
                "convert it to JPEG"
            )
        return pixels
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):
        pixels = None
    if pixels is None or pixels.size == 0:
        raise BadImage(f"{what} does not decode")
    return pixels


def _decode_heif(content: bytes, name: str) -> np.ndarray | None:
    """Returns the upright pixels of an AVIF or HEIC file as BGR; None where no library reads it."""
    for decode in (
        (_decode_with_pillow_heif,) if name == "HEIC" else (_decode_with_pillow, _decode_with_opencv)
    ):
        try:
            pixels = decode(content)
        except Exception:  # not installed, or whatever a library raises on a file that it does not read
            continue
        if pixels is not None:
            return pixels
    return None


def _decode_with_pillow_heif(content: bytes) -> np.ndarray:
    import pillow_heif

    image = pillow_heif.open_heif(io.BytesIO(content), convert_hdr_to_8bit=True).to_pillow()
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])


def _decode_with_pillow(content: bytes) -> np.ndarray:
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(content), formats=["AVIF"]) as image:
        return np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[:, :, ::-1])


def _decode_with_opencv(content: bytes) -> np.ndarray | None:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)

import zlib

import cv2
import numpy as np
import pytest

from hpe.pipeline import decoding
from tests.pipeline.people import encode, textured_image


def _window(encoded, left, top, extent, reduction):
    pixels, _, shape = decoding.decode_window(encoded, (left, top, left + extent, top + extent), reduction)
    return pixels, shape


def _all_of(encoded):
    return cv2.imdecode(
        np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    )


@pytest.mark.parametrize("corner", [(0, 0), (-64, 32), (304, 208), (4000, -4000), (400, 264)])
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_both_decoders_give_the_same_pixels(corner, reduction, monkeypatch):
    encoded = encode(textured_image(0, 361, 503), ".jpg")
    used = []
    tensorflow = decoding.decode_with_tensorflow
    monkeypatch.setattr(
        decoding, "decode_with_tensorflow", lambda *given: used.append(given) or tensorflow(*given)
    )
    ours, shape = _window(encoded, *corner, 96, reduction)
    assert used  # 170,000 of the pixels lie beside the window
    monkeypatch.setattr(decoding, "MANY_PIXELS", 10**9)
    theirs, same_shape = _window(encoded, *corner, 96, reduction)
    assert len(used) == 1
    assert shape == same_shape == (361, 503)
    assert ours.dtype == np.uint8
    difference = np.abs(ours.astype(int) - theirs)
    # A decoder that starts at the window knows no colour beside it, with which OpenCV's smooths the edge.
    assert difference[2:-2, 2:-2].max(initial=0) == 0
    assert difference.max() <= 4


def test_a_window_is_cut_out_of_the_image():
    image = textured_image(1, 60, 80)
    for suffix in (".png", ".jpg"):
        encoded = encode(image, suffix)
        pixels, shape = _window(encoded, 50, -10, 40, 1)
        assert shape == (60, 80)
        np.testing.assert_array_equal(pixels, _all_of(encoded)[:30, 50:])


@pytest.mark.parametrize(
    "options",
    [
        [],
        [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
        [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444],
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_shape_is_that_of_the_frame(options, channels):
    image = textured_image(2, 37, 75)[..., :channels]
    encoded = cv2.imencode(".jpg", image, options)[1].tobytes()
    assert decoding.jpeg_shape(encoded) == (37, 75)


def test_thumbnails_comments_and_filling_are_passed_over():
    thumbnail = encode(textured_image(3, 16, 24), ".jpg")
    encoded = encode(textured_image(4, 33, 41), ".jpg")
    exif = b"\xff\xe1" + (len(thumbnail) + 8).to_bytes(2) + b"Exif\x00\x00" + thumbnail
    comment = b"\xff\xff\xff\xfe\x00\x04\xff\xc0"
    assert decoding.jpeg_shape(encoded[:2] + exif + comment + encoded[2:]) == (33, 41)


def test_stray_bytes_between_segments_are_passed_over_as_decoders_do():
    encoded = encode(textured_image(4, 33, 41), ".jpg")
    frame = encoded.index(b"\xff\xc0")
    stray = encoded[:frame] + bytes(5) + encoded[frame:]
    pixels, shape = _window(stray, 0, 0, 41, 1)
    assert shape == (33, 41)
    np.testing.assert_array_equal(pixels, _all_of(encoded))


def test_images_that_are_too_large_for_opencv_are_refused():
    header = b"\x00\x01\x11\x70\x00\x01\x11\x70\x08\x00\x00\x00\x00"  # 70,000 x 70,000, grey
    chunk = b"IHDR" + header
    png = b"\x89PNG\r\n\x1a\n" + len(header).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    png += b"\x00\x00\x00\x00IEND" + zlib.crc32(b"IEND").to_bytes(4)
    with pytest.raises(ValueError, match="does not decode"):
        _window(png, 0, 0, 8, 1)


def test_headers_that_lead_nowhere_are_refused():
    encoded = encode(textured_image(5, 33, 41), ".jpg")
    start = encoded.index(b"\xff\xc0")
    for damaged in (
        b"\xff\xd8",
        encoded[: start + 4],
        encoded[:20] + bytes(400),
        b"\xff\xd8\xff\xe0\x00\x00" * 9,
    ):
        with pytest.raises(ValueError, match="does not decode"):
            decoding.jpeg_shape(damaged)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.98])
def test_what_is_cut_off_is_refused_by_both_decoders(suffix, share, monkeypatch):
    encoded = encode(textured_image(6, 361, 503), suffix)
    encoded = encoded[: int(len(encoded) * share)]
    for many in (10**9, 0):
        monkeypatch.setattr(decoding, "MANY_PIXELS", many)
        with pytest.raises(ValueError, match="does not decode"):
            _window(encoded, 10, 10, 480, 1)


def test_orientation_marks_are_ignored_as_in_the_labels():
    image = textured_image(7, 40, 60)
    encoded = encode(image, ".jpg")
    tiff = (
        b"MM\x00\x2a\x00\x00\x00\x08"
        + b"\x00\x01"
        + b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    exif = b"Exif\x00\x00" + tiff
    turned = encoded[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + encoded[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (60, 40, 3)
    pixels, shape = _window(turned, 0, 0, 60, 1)
    assert shape == (40, 60)
    np.testing.assert_array_equal(pixels, _all_of(encoded))

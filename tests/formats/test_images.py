"""Images keep their bytes, are upright as EXIF says, and every kind of damage has its reason."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.formats import image_headers
from hpe.formats import images as image_files

PIL_Image = pytest.importorskip("PIL.Image")


def noise(height=30, width=20):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def quadrants(height=24, width=40):
    """Returns RGB pixels with another colour in each corner."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (250, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 250, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 250)
    return pixels


def saved(pixels, format_name, orientation=1, **options):
    exif = PIL_Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    PIL_Image.fromarray(pixels).save(file, format_name, exif=exif, **options)
    return file.getvalue()


def reason_of(path):
    with pytest.raises(image_files.BadImage) as caught:
        image_files.read_image(path)
    return str(caught.value)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_bytes_are_kept_without_what_lies_behind_the_image(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), noise())
    content = path.read_bytes()
    for tail in (b"", bytes(5000), 200 * b"\0\0\0\x18ftypmp42 \xff\xda film \xff\xd9 IEND"):
        path.write_bytes(content + tail)
        image = image_files.read_image(path)
        assert (image.content, image.height, image.width) == (content, 30, 20)


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_images_are_refused(tmp_path, ending, share):
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), noise())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert reason_of(path) == "image is truncated"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "image is none of JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC"),
        (b"text that is no image", "image is none of JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF or HEIC"),
        (b"\xff\xd8\xff\xe0 nothing \xff\xda like an image \xff\xd9", "image is truncated"),
        (b"\x89PNG\r\n\x1a\n nothing like an image IEND\xaeB`\x82", "image is truncated"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "image is JPEG XL, which is not read; convert it to JPEG or PNG"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
            "image is HEIC, which the installed libraries cannot",
        ),
        (
            b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
            "image is AVIF, which the installed libraries can",
        ),
    ],
)
def test_files_that_are_no_images(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert reason_of(path).startswith(reason)


def test_missing_and_unreadable_files(tmp_path):
    assert reason_of(tmp_path / "a.jpg") == "image is missing"
    with pytest.raises(image_files.BadImage, match="segmentation cannot be read"):
        image_files.read_mask(tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_are_upright_as_exif_says(tmp_path, format_name, orientation):
    """The reference is OpenCV's own turning, where it does turn."""
    path = tmp_path / "a"
    path.write_bytes(saved(quadrants(), format_name, orientation))
    expected = image_files.turn(quadrants(), orientation)
    if format_name in ("JPEG", "PNG"):
        turned = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.abs(turned.astype(int) - expected).mean() < 8
    assert np.abs(image_files.load_image(path).astype(int) - expected).mean() < 8
    image = image_files.read_image(path)
    assert (image.height, image.width) == expected.shape[:2]
    # What records hold is read without regard to EXIF.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    stored = cv2.cvtColor(cv2.imdecode(np.frombuffer(image.content, np.uint8), flags), cv2.COLOR_BGR2RGB)
    assert np.abs(stored.astype(int) - expected).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_move_with_the_pixels(orientation):
    height, width = 5, 8
    pixels = np.arange(height * width).reshape(height, width)
    turned = image_files.turn(pixels, orientation)
    y, x = np.mgrid[:height, :width]
    moved = image_files.turn_points(np.stack([x, y], -1), orientation, height, width)
    np.testing.assert_array_equal(turned[moved[..., 1], moved[..., 0]], pixels)
    # Left and right are exchanged where the turn has a determinant of -1.
    corner, right, below = (moved[0, 0], moved[0, 1], moved[1, 0])
    assert image_files.mirrors(orientation) == (np.linalg.det(np.stack([right - corner, below - corner])) < 0)


def test_heic_and_avif_are_read_where_libraries_are(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    heic = tmp_path / "a.heic"
    pillow_heif.from_pillow(PIL_Image.fromarray(quadrants(64, 96))).save(heic, quality=95)
    avif = tmp_path / "a.avif"
    avif.write_bytes(saved(quadrants(64, 96), "AVIF", 6, quality=95))
    for path, expected in ((heic, quadrants(64, 96)), (avif, image_files.turn(quadrants(64, 96), 6))):
        assert np.abs(image_files.load_image(path).astype(int) - expected).mean() < 6
        image = image_files.read_image(path)
        assert image.content.startswith(image_files.JPEG_START)
        assert (image.height, image.width) == expected.shape[:2]


def test_jpegs_in_four_colours_are_written_anew(tmp_path):
    """TensorFlow does not decode CMYK."""
    file = io.BytesIO()
    PIL_Image.fromarray(quadrants()).convert("CMYK").save(file, "JPEG")
    (tmp_path / "a.jpg").write_bytes(file.getvalue())
    assert image_headers.read_header(image_files.read_image(tmp_path / "a.jpg").content).channels == 3


@pytest.mark.parametrize("format_name", ["TIFF", "WEBP", "PNG", "GIF"])
def test_pages_and_frames_are_counted(tmp_path, format_name):
    frames = [PIL_Image.fromarray(np.roll(quadrants(), 5 * n, 1)) for n in range(3)]
    frames[0].save(tmp_path / "several", format_name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one", format_name)
    assert image_files.count_pictures(tmp_path / "several") == 3
    assert image_files.count_pictures(tmp_path / "one") == 1
    assert image_files.read_image(tmp_path / "several").pictures == 3


def png_of(height, width):
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(10))
    chunks = [
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in (header, data, b"IEND")
    ]
    return image_files.PNG_START + b"".join(chunks)


def test_declared_sizes_are_looked_at_before_anything_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", None)
    path = tmp_path / "a.png"
    path.write_bytes(png_of(30_000, 30_000))
    assert reason_of(path) == "image is too large (30000 x 30000 pixels)"
    with pytest.raises(UserError, match=r"a\.png: picture is too large"):
        image_files.load_image(path)
    path.write_bytes(png_of(200, 100))
    with pytest.raises(image_files.BadImage, match="another size than its image"):
        image_files.read_mask(path, sizes=((100, 200), (10, 10)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_first_channel_of_a_mask_counts(tmp_path, channels):
    person = np.zeros((9, 7), np.uint8)
    person[2:5, 3:6] = 1
    rgb = np.full((9, 7, channels), 200, np.uint8)
    rgb[:, :, 0] = person
    path = tmp_path / "mask.png"
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]
    cv2.imwrite(str(path), rgb[:, :, order])
    mask = image_files.read_mask(path)
    np.testing.assert_array_equal(mask, 255 * person)
    encoded = image_files.encode_mask(mask)
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded, 255 * person)
    assert encoded == image_files.encode_mask(mask)


@pytest.mark.parametrize("shape", [(1, 1), (7, 8), (40, 57), (300, 203)])
def test_masks_are_decoded_as_opencv_decodes_them(shape):
    mask = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)
    encoded = image_files.encode_mask(255 * mask)
    decoded = image_files.decode_bilevel(encoded)
    np.testing.assert_array_equal(decoded, mask)
    np.testing.assert_array_equal(
        255 * decoded, cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    )


def test_other_and_damaged_masks_are_left_to_opencv():
    encoded = image_files.encode_mask(255 * np.eye(20, dtype=np.uint8))
    assert image_files.decode_bilevel(encoded) is not None
    for place in range(len(encoded) - 16):
        assert image_files.decode_bilevel(encoded[:place]) is None
    changed = bytearray(encoded)
    changed[-20] ^= 1  # the checksum of the pixels
    assert image_files.decode_bilevel(bytes(changed)) is None
    for other in (np.eye(20, dtype=np.uint8), np.zeros((4, 4, 3), np.uint8)):
        assert image_files.decode_bilevel(cv2.imencode(".png", other)[1].tobytes()) is None
    assert image_files.decode_bilevel(b"") is None

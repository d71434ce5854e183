"""Images keep their bytes, and every kind of damage has its reason."""

import cv2
import numpy as np
import pytest

from hpe.formats import images as image_files


def noise(height=30, width=20):
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_bytes_are_kept(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), noise())
    assert image_files.read_image(path) == (path.read_bytes(), 30, 20)


@pytest.mark.parametrize("ending", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncated_images_are_refused(tmp_path, ending, share):
    path = tmp_path / f"a{ending}"
    cv2.imwrite(str(path), noise())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(image_files.BadImage, match=r"^image is truncated$"):
        image_files.read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "image is neither JPEG nor PNG"),
        (b"GIF89a and more", "image is neither JPEG nor PNG"),
        (b"\xff\xd8\xff\xe0 nothing \xff\xda like an image \xff\xd9", "image does not decode"),
        (b"\x89PNG\r\n\x1a\n nothing like an image IEND\xaeB`\x82", "image does not decode"),
    ],
)
def test_files_that_are_no_images(tmp_path, content, reason):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(image_files.BadImage, match=f"^{reason}$"):
        image_files.read_image(path)


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(image_files.BadImage, match="image is missing"):
        image_files.read_image(tmp_path / "a.jpg")
    with pytest.raises(image_files.BadImage, match="segmentation cannot be read"):
        image_files.read_mask(tmp_path)


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

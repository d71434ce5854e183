"""Whatever is given for a picture: used as it is meant, or one clear error."""

import numpy as np
import pytest

from hpe.inference.pictures import as_boxes, as_picture, as_pictures, is_one_picture
from hpe.visualization.grids import write_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "given",
    [
        RGB.astype(np.int64),
        RGB.astype(np.float32),
        RGB / 255.0,
        (RGB / 255.0).astype(np.float32),
        RGB.astype(np.uint16) * 257,
        RGB.tolist(),
        np.asfortranarray(RGB),
        np.concatenate([RGB, np.full((6, 5, 1), 255, np.uint8)], axis=2),
    ],
)
def test_the_same_picture_in_many_ways(given):
    picture = as_picture(given)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    np.testing.assert_array_equal(picture, RGB)


def test_bytes_are_not_copied():
    assert as_picture(RGB) is RGB or np.shares_memory(as_picture(RGB), RGB)


@pytest.mark.parametrize("given", [RGB[..., 0], RGB[..., :1]])
def test_grey_pictures_are_repeated(given):
    np.testing.assert_array_equal(as_picture(given), np.repeat(RGB[..., :1], 3, axis=2))


def test_what_is_transparent_is_white():
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    picture = as_picture(clear)
    assert tuple(picture[0, 0]) == (10, 20, 30)
    assert (picture[1] == 255).all()


def test_files_and_tensors_are_pictures(tmp_path):
    tf = pytest.importorskip("tensorflow")
    write_image(tmp_path / "a.png", RGB)
    np.testing.assert_array_equal(as_picture(tmp_path / "a.png"), RGB)
    np.testing.assert_array_equal(as_picture(tf.constant(RGB)), RGB)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((3, 6, 5), np.uint8), ValueError, r"channels come last.*shape=\(3, 6, 5\)"),
        (np.zeros((6, 5, 2), np.uint8), ValueError, r"Received: shape=\(6, 5, 2\), dtype=uint8"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, r"shape=\(0, 5, 3\)"),
        (np.zeros(7, np.uint8), ValueError, r"shape=\(7,\)"),
        (RGB / 255.0 - 1, ValueError, "values -1 to"),
        (RGB * 2.0, ValueError, r"Received: .* values .* to 510|values 0 to|Received"),
        (np.full((2, 2, 3), np.nan), ValueError, "nan"),
        (RGB.astype(np.int32) * 9, ValueError, "Received"),
        (RGB > 9, TypeError, "bool"),
        (RGB.astype(complex), TypeError, "complex128"),
        (None, TypeError, "NoneType"),
        ([[1, 2], [3]], TypeError, "list"),
    ],
)
def test_what_is_no_picture(given, error, message):
    with pytest.raises(error, match=message):
        as_picture(given)


def test_the_place_of_a_wrong_picture_in_a_list():
    with pytest.raises(ValueError, match=r"^picture 1: a picture is"):
        as_pictures([RGB, RGB[0, 0]])
    assert len(as_pictures(np.stack([RGB, RGB]))) == 2
    assert is_one_picture(RGB)
    assert is_one_picture(RGB[..., 0])
    assert not is_one_picture([RGB])
    assert not is_one_picture(RGB[None])


def test_boxes():
    assert as_boxes(None, (10, 20)) == [(0.0, 0.0, 20.0, 10.0)]
    assert as_boxes((1, 2, 3, 4), (10, 20)) == [(1.0, 2.0, 3.0, 4.0)]
    assert as_boxes(np.float32([[1, 2, 3, 4]] * 2), (10, 20)) == [(1.0, 2.0, 3.0, 4.0)] * 2
    assert as_boxes([], (10, 20)) == []


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(1, 2, 3)], r"shape=\(1, 3\)"),
        ([(1, 2, 0, 4)], "positive width and height. Received: box=1,2,0,4"),
        ([(1, 2, np.nan, 4)], "positive width"),
        ([(20, 2, 3, 4)], "lies in the picture of 20 x 10 pixels. Received: box=20,2,3,4"),
        ("1,2,3,4", "Received: boxes='1,2,3,4'"),
    ],
)
def test_wrong_boxes(boxes, message):
    with pytest.raises(ValueError, match=message):
        as_boxes(boxes, (10, 20))

"""Picture files are read and written whole, and grids put pictures where they belong."""

import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.visualization.grids import grid, read_image, write_image


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 250, (height, width, 3), dtype=np.uint8)


def test_png_round_trip_keeps_rgb_order(tmp_path):
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200
    path = tmp_path / "new" / "folder" / "a.png"
    write_image(path, image)
    np.testing.assert_array_equal(read_image(path), image)
    assert cv2.imread(str(path))[0, 0].tolist() == [0, 0, 200]
    assert os.listdir(path.parent) == ["a.png"]


def test_grey_pictures_are_written(tmp_path):
    write_image(tmp_path / "m.png", np.full((4, 5), 255, np.uint8))
    assert (read_image(tmp_path / "m.png") == 255).all()


def test_unwritable_place_is_one_line_and_leaves_the_old_file(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=r"file: cannot be written"):
        write_image(tmp_path / "file" / "a.png", picture(3, 3))
    with pytest.raises(UserError, match=r"cannot write pictures of type '\.xyz'; use \.png or \.jpg"):
        write_image(tmp_path / "a.xyz", picture(3, 3))


def test_full_disk_leaves_the_old_picture(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, picture(3, 3))
    old = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        write_image(path, picture(9, 9))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.png"]


def test_unreadable_pictures_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none.png: cannot be read .No such file"):
        read_image(tmp_path / "none.png")
    for data in (b"", b"no picture"):
        (tmp_path / "bad.jpg").write_bytes(data)
        with pytest.raises(UserError, match=r"bad.jpg: picture is none of JPEG"):
            read_image(tmp_path / "bad.jpg")


def test_grid_places_every_picture():
    images = [picture(20, 30, n) for n in range(5)]
    laid = grid(images, 3)
    for n, image in enumerate(images):
        hits = [
            (row, column)
            for row in range(laid.shape[0] - 19)
            for column in range(laid.shape[1] - 29)
            if (laid[row, column] == image[0, 0]).all()
            and (laid[row : row + 20, column : column + 30] == image).all()
        ]
        assert len(hits) == 1
        assert (hits[0][0] > 20) == (n >= 3)


def test_grid_centres_small_pictures_and_writes_captions():
    images = [np.zeros((20, 60, 3), np.uint8), np.zeros((10, 10, 3), np.uint8)]
    plain = grid(images, 2)
    assert (plain[4 + 5 : 4 + 15, 68 + 25 : 68 + 35] == 0).all()
    captioned = grid(images, 2, captions=["one", "a caption that is much too long"])
    assert captioned.shape[0] > plain.shape[0]
    strip = captioned[plain.shape[0] - 3 :]
    assert (strip != 255).any()
    assert (strip[:, -4:] == 255).all()


def test_grid_refuses_what_it_cannot_lay_out():
    with pytest.raises(ValueError, match="needs a picture"):
        grid([], 3)
    with pytest.raises(ValueError, match="as many as pictures"):
        grid([picture(3, 3)], 1, captions=["a", "b"])


def test_an_image_that_claims_a_size_beyond_all_limits_is_named(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "huge.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    )
    with pytest.raises(UserError, match=r"huge\.png: picture is t"):
        read_image(path)

"""Painted scenes and folders of photographs."""

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.synthetic import backgrounds


def write(path, color, size=(60, 80)):
    cv2.imwrite(str(path), np.full((*size, 3), color[::-1], np.uint8))


@pytest.mark.parametrize("size", [64, 201])
@pytest.mark.parametrize("painter", backgrounds._PAINTERS, ids=lambda painter: painter.__name__)
def test_every_kind_of_scene_can_be_painted(painter, size):
    pictures = []
    for seed in range(12):
        scene = painter(np.random.default_rng(seed), size, int(size * (0.2 + 0.06 * seed)))
        assert scene.shape == (size, size, 3)
        assert np.isfinite(scene).all()
        pictures.append(np.asarray(scene, np.float64))
    assert np.std(pictures, axis=0).mean() > 15


def test_scenes_are_varied_and_repeatable():
    scenes = [backgrounds.procedural(np.random.default_rng(n), 96, horizon=60) for n in range(30)]
    assert all(scene.dtype == np.uint8 and scene.shape == (96, 96, 3) for scene in scenes)
    again = backgrounds.procedural(np.random.default_rng(7), 96, horizon=60)
    np.testing.assert_array_equal(again, scenes[7])
    means = np.array([scene.mean(axis=(0, 1)) for scene in scenes])
    assert means.std(axis=0).min() > 20


@pytest.mark.parametrize("horizon", [-1e3, 0, 500])
def test_horizon_outside_the_picture_is_moved_into_it(horizon):
    for seed in range(12):
        assert backgrounds.procedural(np.random.default_rng(seed), 64, horizon=horizon).shape == (64, 64, 3)


def test_photographs_are_cut_and_resized(tmp_path):
    write(tmp_path / "a.png", (200, 10, 10))
    write(tmp_path / "b.JPG", (10, 200, 10), size=(400, 300))
    (tmp_path / "notes.txt").write_text("not a picture")
    seen = set()
    for seed in range(12):
        crop = backgrounds.photograph(np.random.default_rng(seed), 50, str(tmp_path))
        assert crop.shape == (50, 50, 3)
        seen.add("red" if crop[..., 0].mean() > 100 else "green")
    assert seen == {"red", "green"}


def test_order_on_disk_does_not_matter(tmp_path):
    for folder, names in (("one", "abc"), ("two", "cab")):
        (tmp_path / folder).mkdir()
        for name in names:
            write(tmp_path / folder / f"{name}.png", (10, 80 * "abc".index(name), 10))
    for seed in range(5):
        first, second = (
            backgrounds.photograph(np.random.default_rng(seed), 20, str(tmp_path / folder))
            for folder in ("one", "two")
        )
        np.testing.assert_array_equal(first, second)


def test_pictures_that_do_not_decode_are_passed_over(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(b"not a picture")
    (tmp_path / "c.jpg").mkdir()
    write(tmp_path / "d.png", (10, 10, 200))
    for seed in range(5):
        assert backgrounds.photograph(np.random.default_rng(seed), 20, str(tmp_path))[..., 2].mean() > 150


def test_folders_without_pictures_are_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^backgrounds=.*/missing: no such folder; give a folder of photo"):
        backgrounds.photograph(np.random.default_rng(0), 20, str(tmp_path / "missing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"/empty: holds no picture; expected files that end in \.jpg"):
        backgrounds.photograph(np.random.default_rng(0), 20, str(tmp_path / "empty"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no")
    with pytest.raises(UserError, match=r"/bad: none of its 1 pictures decodes\."):
        backgrounds.photograph(np.random.default_rng(0), 20, str(tmp_path / "bad"))

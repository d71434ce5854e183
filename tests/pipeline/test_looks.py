"""How crops look in training: colours, blur and things in front, each drawn with its probability."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import SettingError
from hpe.pipeline.augmentation import draw_jitter
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.looks import change, motion_kernel
from hpe.pipeline.occluders import load_objects, paste

GREY = np.full((64, 64, 3), 100, np.uint8)


def draw(**options):
    return draw_jitter([PipelineConfig(**options)], tf.zeros(4000, tf.int32), tf.constant([1, 2], tf.int64))


def test_each_is_drawn_with_its_probability():
    plain = draw()
    assert plain.colors is plain.blur is plain.occluder is None
    drawn = draw(
        color_noise=0.4,
        color_noise_probability=0.3,
        blur_probability=0.2,
        occluder_probability=0.6,
        rotation_max=60,
        rotation_probability=0.4,
        flip_probability=0.1,
    )
    colors = drawn.colors.numpy()
    changed = (colors != 1).all(axis=1)
    assert changed.mean() == pytest.approx(0.3, abs=0.03)
    assert colors.min() == pytest.approx(0.6, abs=0.02)
    assert colors.max() == pytest.approx(1.4, abs=0.02)
    assert (drawn.blur.numpy()[:, 0] > 0).mean() == pytest.approx(0.2, abs=0.03)
    assert (drawn.occluder.numpy() >= 0).mean() == pytest.approx(0.6, abs=0.03)
    assert (drawn.angle.numpy() != 0).mean() == pytest.approx(0.4, abs=0.03)
    assert drawn.mirror.numpy().mean() == pytest.approx(0.1, abs=0.03)
    np.testing.assert_array_equal(drawn.shift, plain.shift)


def test_colours_are_factors_of_the_channels():
    picture = GREY.copy()
    change(picture, colors=np.array([1.5, 1.0, 3.0]))
    assert picture[0, 0].tolist() == [150, 100, 255]


def test_blur_leaves_a_trace_along_its_direction():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[32, 32] = 255
    change(picture, blur=np.array([224 / 64 * 9.0, 0.0]))
    rows, columns = np.nonzero(picture[..., 0])
    assert set(rows) == {32}
    assert set(columns) == set(range(28, 37))
    assert picture[..., 0].sum() == pytest.approx(255, abs=9)
    assert motion_kernel(0.5, 0.0) is None
    assert motion_kernel(7.3, 1.0).sum() == pytest.approx(1)


def test_things_in_front_are_a_function_of_their_seed():
    first, again, other, none = (GREY.copy() for _ in range(4))
    for picture, seed in ((first, 3), (again, 3), (other, 4), (none, -1)):
        change(picture, occluder=seed)
    np.testing.assert_array_equal(first, again)
    assert (first != GREY).any()
    assert (other != first).any()
    np.testing.assert_array_equal(none, GREY)


def test_objects_are_cut_out_of_segmented_pictures(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    image, mask = np.zeros((80, 120, 3), np.uint8), np.zeros((80, 120), np.uint8)
    image[10:60, 20:70] = (0, 0, 200)  # red, as OpenCV writes it
    mask[10:60, 20:70], mask[70:75, 100:105], mask[0:5] = 4, 6, 255
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), mask)
    cv2.imwrite(str(tmp_path / "masks" / "other.png"), mask)
    (thing,) = load_objects(str(tmp_path))
    assert thing.shape == (25, 25, 4)
    assert thing[12, 12].tolist() == [200, 0, 0, 255]
    assert 0 < thing[0, 12, 3] < 255
    picture = GREY.copy()
    paste(picture, 1, str(tmp_path))
    assert (picture[..., 0] > 150).any()


def test_a_folder_without_objects_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(SettingError, match="occluders="):
            load_objects(str(folder))
    with pytest.raises(SettingError, match="blur_probability=2"):
        PipelineConfig(blur_probability=2)

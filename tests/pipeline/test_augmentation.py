import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe import skeletons
from hpe.pipeline import augmentation
from hpe.pipeline.augmentation import Jitter, Placement
from hpe.pipeline.config import PipelineConfig


def _place(center=(50.0, 60.0), scale=0.0, shift=(0.0, 0.0), zoom=1.0, mirror=False, size=224):
    jitter = Jitter(tf.constant(shift), tf.constant(zoom), tf.constant(mirror))
    return augmentation.place(tf.constant(center), tf.constant(scale), jitter, size=size)


def test_without_jitter_an_lsp_person_is_copied_pixel_by_pixel():
    placement = _place()
    assert placement.extent.numpy() == 224
    assert placement.corner.numpy().tolist() == [50 - 112, 60 - 112]
    points = augmentation.points_to_crop(tf.constant([[50.0, 60.0]]), placement, size=224)
    assert points.numpy().tolist() == [[112, 112]]


def test_a_box_takes_four_fifths_of_the_crop():
    points = tf.constant([[300.0, 500.0], [700.0, 500.0]])  # the sides of a box of 400
    for size in (64, 224):
        crop = augmentation.points_to_crop(
            points, _place(center=(500.0, 500.0), scale=400.0, size=size), size=size
        )
        assert float(crop[1, 0] - crop[0, 0]) == pytest.approx(0.8 * size, rel=5e-3)
        assert float(crop[1, 0] + crop[0, 0]) / 2 == pytest.approx(size / 2, abs=1)


def test_every_crop_size_shows_the_same_content():
    points = tf.constant([[10.0, 20.0], [90.0, 130.0]])
    shown = []
    for size in (96, 224, 256):
        placement = _place(shift=(7.0, -3.0), zoom=1.1, size=size)
        shown.append(augmentation.points_to_crop(points, placement, size=size).numpy() / size)
    np.testing.assert_allclose(shown[0], shown[1], atol=0.012)
    np.testing.assert_allclose(shown[2], shown[1], atol=0.012)


def test_jitter_keeps_its_bounds_and_uses_them():
    config = PipelineConfig()
    draws = [augmentation.draw_jitter(config, tf.constant([3, step], tf.int64), 40) for step in range(100)]
    jitter = Jitter(
        *(tf.concat(values, axis=0) for values in zip(*(draw[:3] for draw in draws), strict=True))
    )
    shift = jitter.shift.numpy()
    assert set(np.unique(shift)) == set(range(-20, 20))
    assert 0.8 <= jitter.zoom.numpy().min() < 0.81
    assert 1.22 < jitter.zoom.numpy().max() <= 1.23
    assert np.mean(jitter.mirror.numpy()) == pytest.approx(0.5, abs=0.04)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.05


def test_no_flip_means_no_mirror():
    config = PipelineConfig(flip=False)
    assert not np.any(augmentation.draw_jitter(config, tf.constant([0, 0], tf.int64), 50).mirror)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([64, 224]),
    scale=st.sampled_from([0.0, 37.5, 900.0]),
    zoom=st.floats(0.8, 1.23),
    mirror=st.booleans(),
)
def test_projecting_joints_with_the_camera_of_the_crop_gives_its_keypoints(seed, size, scale, zoom, mirror):
    rng = np.random.default_rng(seed)
    shape = rng.integers(60, 1200, 2)
    joints3d = rng.normal(size=(19, 3)).astype(np.float32)
    camera = np.array([rng.uniform(0.3, 1.5), *rng.uniform(-0.5, 0.5, 2)], np.float32)
    pixels = (camera[0] * (joints3d[:, :2] + camera[1:]) + 1) * shape.max() / 2
    placement = _place(
        rng.uniform(0, shape[::-1]).astype(np.float32), scale, (5.0, -8.0), np.float32(zoom), mirror, size
    )
    keypoints = augmentation.keypoints_to_crop(
        tf.constant(pixels.astype(np.float32)), tf.ones(19), placement, size=size
    )
    crop_camera = augmentation.camera_to_crop(
        tf.constant(camera), tf.constant(shape, tf.int32), placement, size=size
    ).numpy()
    mirrored = augmentation.mirror_joints3d(tf.constant(joints3d), placement.mirror).numpy()
    projected = crop_camera[0] * (mirrored[:, :2] + crop_camera[1:])
    tolerance = 1e-3 * 2 / size * max(1, np.abs(projected).max())
    np.testing.assert_allclose(keypoints[:, :2], projected, atol=tolerance)


def test_an_unknown_camera_stays_unknown():
    camera = augmentation.camera_to_crop(tf.zeros(3), tf.constant([100, 80]), _place(), size=224)
    assert camera.numpy().tolist() == [0, 0, 0]


def test_mirrored_keypoints_change_place_and_side():
    joints2d = tf.constant(np.random.default_rng(0).uniform(0, 100, (19, 2)).astype(np.float32))
    visibility = tf.constant([1.0] * 18 + [0.0])  # the right ear is hidden
    plain = augmentation.keypoints_to_crop(joints2d, visibility, _place(), size=224).numpy()
    mirrored = augmentation.keypoints_to_crop(joints2d, visibility, _place(mirror=True), size=224).numpy()
    names = skeletons.COCOPLUS19
    left, right = names.index("left_wrist"), names.index("right_wrist")
    assert mirrored[left, 0] == pytest.approx(-plain[right, 0] - 2 / 224, abs=1e-6)
    assert mirrored[left, 1] == plain[right, 1]
    assert mirrored[names.index("left_ear")].tolist() == [0, 0, 0]
    assert plain[names.index("right_ear")].tolist() == [0, 0, 0]


def test_joints_outside_the_crop_stay_visible_and_garbage_of_hidden_ones_vanishes():
    joints2d = np.full((19, 2), 5000.0, np.float32)
    joints2d[1] = np.nan
    visibility = np.ones(19, np.float32)
    visibility[1] = 0
    keypoints = augmentation.keypoints_to_crop(
        tf.constant(joints2d), tf.constant(visibility), _place(), size=224
    ).numpy()
    assert keypoints[0, 0] > 1
    assert keypoints[0, 2] == 1
    assert keypoints[1].tolist() == [0, 0, 0]


def test_mirroring_twice_is_the_identity():
    rng = np.random.default_rng(0)
    yes = tf.constant([True])
    for function, shape in (
        (augmentation.mirror_joints3d, (1, 19, 3)),
        (augmentation.mirror_confidence, (1, 19)),
        (augmentation.mirror_pose, (1, 72)),
    ):
        values = tf.constant(rng.normal(size=shape).astype(np.float32))
        once = function(values, yes)
        assert not np.array_equal(once, values)
        np.testing.assert_array_equal(function(once, yes), values)
        np.testing.assert_array_equal(function(values, tf.constant([False])), values)


def test_mirrored_keypoints_of_a_mirrored_image_are_those_of_the_image():
    """Mirroring the picture first and the crop afterwards gives the crop back."""
    width, size = 101, 96
    joints2d = np.random.default_rng(0).uniform(0, 100, (19, 2)).astype(np.float32)
    plain = Placement(tf.constant([10, 20]), tf.constant(60), tf.constant(1), tf.constant(False))
    flipped_joints = joints2d[list(skeletons.COCOPLUS19.flip)]
    flipped_joints[:, 0] = width - 1 - flipped_joints[:, 0]
    again = Placement(tf.constant([width - 10 - 60, 20]), tf.constant(60), tf.constant(1), tf.constant(True))
    np.testing.assert_allclose(
        augmentation.keypoints_to_crop(tf.constant(joints2d), tf.ones(19), plain, size=size),
        augmentation.keypoints_to_crop(tf.constant(flipped_joints), tf.ones(19), again, size=size),
        atol=1e-5,
    )


def test_mirrored_pose_is_the_reflection_of_every_rotation():
    pose = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    mirrored = augmentation.mirror_pose(tf.constant(pose.reshape(72)), tf.constant(True)).numpy()
    reflection = np.diag([-1.0, 1.0, 1.0])
    expected = reflection @ Rotation.from_rotvec(pose).as_matrix() @ reflection
    expected = expected[list(skeletons.SMPL24.flip)]
    actual = Rotation.from_rotvec(mirrored.reshape(24, 3)).as_matrix()
    np.testing.assert_allclose(actual, expected, atol=1e-6)

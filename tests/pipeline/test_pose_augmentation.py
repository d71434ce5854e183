"""Augmentation of poses: what is done to the 3D joints, the camera does to the 2D joints."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe import skeletons
from hpe.pipeline.pose_augmentation import DRAWS, augment, mirror, project_again, turn
from hpe.pipeline.pose_config import PosePipelineConfig
from tests.pipeline import poses

FRAMES = 20
H36M17 = skeletons.H36M17


def project(joints3d):
    """What a camera without a lens sees."""
    return np.asarray(joints3d)[..., :2] / np.asarray(joints3d)[..., 2:]


def vertical(count=FRAMES, seed=0):
    return tf.constant(np.repeat(poses.rotation(seed)[None, :, 2], count, axis=0))


def spin(points, angles):
    """The rotation by angles (T,) in the plane of x and y, in NumPy."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    turned = np.array(points)
    turned[..., 0] = cos * points[..., 0] - sin * points[..., 1]
    turned[..., 1] = sin * points[..., 0] + cos * points[..., 1]
    return turned


def test_rotation_of_raw_coordinates_commutes_with_projection():
    points = poses.joints(FRAMES)
    angles = np.random.default_rng(1).uniform(-np.pi, np.pi, FRAMES).astype(np.float32)
    turned2d = turn(tf.constant(project(points)), angles).numpy()
    turned3d = turn(tf.constant(points), angles).numpy()
    np.testing.assert_allclose(turned2d, project(turned3d), atol=2e-6)
    np.testing.assert_allclose(turned3d, spin(points, angles), atol=1e-5)


@pytest.mark.parametrize("angle", [np.pi, -np.pi / 2, np.pi / 2])
def test_rotating_the_statistics_too_does_not(angle):
    """(R p - R m) / (R s), which one implementation trains on: half a turn vanishes, a quarter is a reflection."""
    points = poses.joints(200)
    pixels = project(points)
    angles = np.full(len(points), angle, np.float32)
    mean, deviation = pixels.mean(axis=0), pixels.std(axis=0)

    def turned(values):
        return spin(values[None], angles[:1])[0]

    defective = (spin(pixels, angles) - turned(mean)) / turned(deviation)
    correct = (project(spin(points, angles)) - mean) / deviation
    assert np.abs(defective - correct).mean() > 0.5
    ours = (turn(tf.constant(pixels), angles).numpy() - mean) / deviation
    np.testing.assert_allclose(ours, correct, atol=1e-3)


def test_mirrored_poses_are_projections_of_mirrored_people():
    points = poses.joints(FRAMES)
    mirrored2d, mirrored3d = mirror(tf.constant(project(points)), tf.constant(points), skeleton=H36M17)
    np.testing.assert_allclose(mirrored2d, project(mirrored3d), atol=1e-6)
    left, right = H36M17.index("left_wrist"), H36M17.index("right_wrist")
    np.testing.assert_allclose(mirrored3d[:, left], points[:, right] * [-1, 1, 1], atol=1e-6)
    again = mirror(mirrored2d, mirrored3d, skeleton=H36M17)
    np.testing.assert_array_equal(again[1], points)


def again(points2d, points3d, *, angle=0.0, shift=(0.0, 0.0, 0.0), bones=1.0, seed=0, skeleton=H36M17):
    count = len(points3d)
    changed = project_again(
        tf.constant(points2d),
        tf.constant(points3d),
        vertical(count, seed),
        angle=tf.fill([count], tf.cast(angle, tf.float32)),
        shift=tf.tile(tf.constant([shift], tf.float32), [count, 1]),
        bones=tf.fill([count, 11], tf.cast(bones, tf.float32)),
        skeleton=skeleton,
    )
    return [value.numpy() for value in changed]


@pytest.mark.parametrize("seed", [0, 3])
def test_people_turn_about_the_vertical_of_the_world(seed):
    points = poses.joints(FRAMES)
    pixels, turned = again(project(points), points, angle=0.7, shift=(0.3, 0.2, 0.1), bones=1.1, seed=seed)
    np.testing.assert_allclose(pixels, project(turned), atol=2e-5)
    rotation = poses.rotation(seed)
    world, before = turned @ rotation, points @ rotation
    np.testing.assert_allclose(world[:, 0, 2], before[:, 0, 2], atol=1e-4)
    offsets, were = world - world[:, :1], before - before[:, :1]
    np.testing.assert_allclose(offsets, 1.1 * spin(were, np.full(FRAMES, 0.7)), atol=1e-4)
    moved = (world - before)[:, 0]
    np.testing.assert_allclose(moved, np.repeat(moved[:1], FRAMES, axis=0), atol=1e-4)
    assert 0.2 < np.linalg.norm(moved[0]) < 0.4


def test_nothing_changes_without_turn_shift_and_stretch():
    points = poses.joints(FRAMES)
    pixels, same = again(project(points), points)
    np.testing.assert_allclose(same, points, atol=1e-5)
    np.testing.assert_allclose(pixels, project(points), atol=1e-5)


def test_bones_change_their_lengths_left_as_right_and_keep_their_directions():
    points = poses.joints(FRAMES)
    names = list(dict.fromkeys(joint.split("_", 1)[-1] for joint in H36M17.joints))
    factors = np.random.default_rng(3).uniform(0.9, 1.1, (FRAMES, len(names))).astype(np.float32)
    _, changed = project_again(
        tf.constant(project(points)),
        tf.constant(points),
        vertical(),
        angle=tf.zeros(FRAMES),
        shift=tf.zeros((FRAMES, 3)),
        bones=tf.constant(factors),
        skeleton=H36M17,
    )
    for child, parent in H36M17.bones:
        factor = factors[:, names.index(H36M17.joints[child].split("_", 1)[-1])]
        expected = factor[:, None] * (points[:, child] - points[:, parent])
        np.testing.assert_allclose(changed[:, child] - changed[:, parent], expected, atol=1e-5)
    np.testing.assert_allclose(changed[:, 0], points[:, 0], atol=1e-6)


def test_detections_keep_their_error_as_large_as_the_person_is_near():
    points = poses.joints(FRAMES)
    error = np.random.default_rng(2).normal(scale=0.007, size=(FRAMES, 17, 2)).astype(np.float32)
    # Along the optical axis of a camera that looks straight ahead: the vertical is then -y.
    view = tf.constant(np.repeat(np.float32([[0, -1, 0]]), FRAMES, axis=0))
    moved2d, moved3d = project_again(
        tf.constant(project(points) + error),
        tf.constant(points),
        view,
        angle=tf.zeros(FRAMES),
        shift=tf.tile(tf.constant([[0.0, 0.0, 2.0]]), [FRAMES, 1]),
        bones=tf.ones((FRAMES, 11)),
        skeleton=H36M17,
    )
    kept = moved2d.numpy() - project(moved3d.numpy())
    np.testing.assert_allclose(kept, error * points[..., 2:] / (points[..., 2:] + 2.0), atol=2e-5)


def test_nobody_comes_too_near_or_behind_the_camera():
    points = poses.joints(FRAMES)
    _, moved = again(project(points), points, shift=(0, 0, -9.0))
    assert (moved[..., 2] > 0.1).all()
    _, grown = again(project(points), points, bones=20.0)
    assert (grown[..., 2] > 0.1).all()
    assert (grown == points).all(axis=(1, 2)).any()


@pytest.mark.parametrize("skeleton", ["h36m16", "mpii16", "h36m17"])
def test_all_together_are_still_projections(skeleton):
    config = PosePipelineConfig(
        input_skeleton=skeleton, reproject=True, bone_max=0.1, rotation_max=20, flip=True
    )
    points = poses.joints(FRAMES)
    conversion = skeletons.convert(H36M17, skeletons.get(skeleton))
    pixels = project(conversion.coordinates(points)).astype(np.float32)
    uniform = tf.random.stateless_uniform((FRAMES, DRAWS), [1, 2])
    changed2d, changed3d, _ = augment(pixels, points, vertical(), uniform, configs=[config])
    expected = project(conversion.coordinates(changed3d.numpy()))
    np.testing.assert_allclose(changed2d, expected, atol=3e-5)
    assert np.abs(changed3d.numpy() - points).max() > 0.1


def test_a_share_of_the_people_is_turned():
    points = poses.joints(400)
    config = PosePipelineConfig(
        input_skeleton="h36m17", flip=False, reproject=True, turn_share=0.25, shift_max=0.0
    )
    uniform = tf.random.stateless_uniform((400, DRAWS), [1, 2])
    pixels = project(points).astype(np.float32)
    _, changed, _ = augment(pixels, points, vertical(400), uniform, configs=[config])
    turned = np.abs(changed.numpy() - points).max(axis=(1, 2)) > 1e-4
    assert 0.2 < turned.mean() < 0.3


def test_switched_off_nothing_changes():
    config = PosePipelineConfig(flip=False)
    points = poses.joints(FRAMES)
    changed = augment(points[..., :2], points, None, tf.zeros((FRAMES, DRAWS)), configs=[config])
    assert changed[0] is not None
    np.testing.assert_array_equal(changed[1], points)
    assert not changed[2].numpy().any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation_max": -1},
        {"turn_max": 181},
        {"turn_share": 2},
        {"shift_max": 11},
        {"bone_max": 1},
        {"input_skeleton": "x"},
    ],
)
def test_wrong_settings_are_refused_by_the_name_of_their_flag(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
        PosePipelineConfig(**wrong)


def test_the_joint_set_follows_from_the_keypoints():
    assert PosePipelineConfig().skeleton == "h36m16"
    assert PosePipelineConfig(keypoints="sh").skeleton == "mpii16"
    assert dataclasses.replace(PosePipelineConfig(), input_skeleton="h36m17").skeleton == "h36m17"

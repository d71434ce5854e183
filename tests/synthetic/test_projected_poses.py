import dataclasses

import numpy as np
import pytest

from hpe.skeletons import COCO17, COCOPLUS19, LSP14
from hpe.synthetic.projected_poses import ProjectedPoses, ProjectionSettings

CALM = ProjectionSettings(
    exchanged=0, noisy=0, upright=(1, 0), lean=(0, 0), rolled=0, detector_noise=(0, 0), far_off=0, swapped=0
)
CALM = dataclasses.replace(CALM, incomplete=0, no_lower_legs=0, no_face=0, no_group=0)


def source(settings=None, poses=None):
    pools = [(np.zeros((4, 72)) if poses is None else poses, 0.75), (np.full((2, 72), 0.1), 0.25)]
    return ProjectedPoses(pools, skeleton=COCO17, keypoints=COCOPLUS19, settings=settings)


def pose_body(rotmats, shape):
    """Keypoints on a fixed cloud that turns with the root."""
    cloud = np.random.default_rng(5).normal(size=(19, 3)) * [0.3, 0.7, 0.2]
    keypoints = cloud @ np.swapaxes(rotmats[:, 0], 1, 2)
    return {"keypoints": keypoints, "joints": np.tile(keypoints[:, :1], (1, 24, 1))}


def test_a_batch_is_a_function_of_seed_and_step():
    first = source().batch(pose_body, seed=1, step=5, count=16)
    again = source().batch(pose_body, seed=1, step=5, count=16)
    other = source().batch(pose_body, seed=1, step=6, count=16)
    for key in first:
        np.testing.assert_array_equal(first[key], again[key])
        assert not np.array_equal(first[key], other[key])


def test_rotations_are_rotations_and_pools_have_their_shares():
    people = source(CALM).people(seed=0, step=0, count=64)
    rotmats = people["rotmats"]
    np.testing.assert_allclose(
        rotmats @ np.swapaxes(rotmats, -1, -2), np.tile(np.eye(3), (64, 24, 1, 1)), atol=1e-5
    )
    np.testing.assert_allclose(np.linalg.det(rotmats), 1, atol=1e-5)
    resting = np.abs(rotmats[:, 1:] - np.eye(3)).max(axis=(1, 2, 3)) < 1e-6
    assert resting.sum() == 48


def test_upright_bodies_are_upright_before_the_camera():
    root = source(CALM, np.zeros((4, 72))).people(seed=0, step=0, count=64)["rotmats"][:, 0]
    upright = np.abs(root[:, 1, 1] + 1) < 1e-5
    assert upright.sum() == 48  # The other pool leans.
    assert np.ptp(np.arctan2(root[upright, 0, 2], root[upright, 2, 2])) > np.pi


def test_without_noise_detections_are_the_projected_keypoints():
    batch = source(CALM).batch(pose_body, seed=0, step=3, count=8)
    seen = [COCOPLUS19.index(joint) for joint in COCO17.joints]
    np.testing.assert_allclose(batch["detections"][..., :2], batch["joints2d"][:, seen], atol=1e-6)
    assert (batch["detections"][..., 2] > 0).all()
    # A pinhole one metre from its plane: from the offsets of two keypoints the distance follows.
    flat = batch["keypoints3d"][..., :2] - batch["keypoints3d"][:, :1, :2]
    nearer = np.abs(batch["joints2d"] - batch["joints2d"][:, :1]).max(axis=(1, 2)) / np.abs(flat).max(
        axis=(1, 2)
    )
    assert (nearer > 1 / 14).all()
    assert (nearer < 1 / 1.2).all()


def test_what_may_be_missing_is_missing():
    detections = source().batch(pose_body, seed=0, step=0, count=2000)["detections"]
    missing = detections[..., 2] == 0
    face = missing[:, :5].all(axis=1).mean()
    legs = missing[:, 13:].all(axis=1).mean()
    assert 0.17 < face < 0.24
    assert 0.06 < legs < 0.11
    assert (~missing).sum(axis=1).min() >= 5
    low = (detections[..., 2] < 0.3) & ~missing
    assert 0.01 < low.mean() < 0.15


def test_exchanged_sides_and_limbs():
    swapped = dataclasses.replace(CALM, swapped=1.0)
    batch = source(swapped).batch(pose_body, seed=0, step=3, count=8)
    truth = batch["joints2d"][:, [COCOPLUS19.index(joint) for joint in COCO17.joints]]
    flip = list(COCO17.flip)
    np.testing.assert_allclose(batch["detections"][:, 5:, :2], truth[:, flip][:, 5:], atol=1e-6)
    np.testing.assert_allclose(batch["detections"][:, :5, :2], truth[:, :5], atol=1e-6)
    mixed = source(dataclasses.replace(CALM, exchanged=1.0)).people(seed=0, step=0, count=64)["rotmats"]
    moved = np.abs(mixed[:, 1:] - np.eye(3)).max(axis=(2, 3)) > 1e-6
    assert (moved.any(axis=1) & ~moved.all(axis=1)).any()


def test_wrong_calls():
    with pytest.raises(ValueError, match=r"lsp14 lacks joints of coco17: .*nose"):
        ProjectedPoses([(np.zeros((1, 72)), 1)], skeleton=COCO17, keypoints=LSP14)
    with pytest.raises(ValueError, match="at least one"):
        ProjectedPoses([(np.zeros((0, 72)), 1)], skeleton=COCO17, keypoints=COCOPLUS19)

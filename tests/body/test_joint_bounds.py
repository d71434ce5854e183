import numpy as np
from keras import ops

from hpe.body.joint_bounds import leeway, limit_excess
from hpe.body.limits import violation
from hpe.geometry.rotations import axis_angle_to_rotmat


def test_how_far_angles_lie_beyond_is_what_numpy_says():
    pose = np.random.default_rng(5).normal(scale=0.3, size=(20, 72)).astype(np.float32)
    rotmats = axis_angle_to_rotmat(pose.reshape(-1, 24, 3))
    rest = np.tile(np.eye(3, dtype=np.float32), (20, 24, 1, 1))
    excess = ops.convert_to_numpy(limit_excess(rotmats, leeway(rest)))
    np.testing.assert_allclose(excess.max(axis=(1, 2)), [violation(row) for row in pose], atol=1e-4)


def test_what_is_bent_too_far_already_costs_nothing():
    pose = np.random.default_rng(6).normal(scale=0.8, size=(5, 24, 3)).astype(np.float32)
    rotmats = axis_angle_to_rotmat(pose)
    assert (ops.convert_to_numpy(limit_excess(rotmats, leeway(rotmats))) == 0).all()

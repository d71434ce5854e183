import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body import limits
from hpe.body.data import load_body_model
from hpe.geometry import euler
from hpe.skeletons import SMPL24
from hpe.synthetic import poses
from hpe.synthetic.collisions import self_penetration
from hpe.synthetic.postures import SHARES, Posture

ORDERS = ("xzy", "yxz", "yzx")


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_agree_with_scipy(order):
    angles = np.random.default_rng(0).uniform(-1.5, 1.5, size=(100, 3))
    ours = euler.euler_to_axis_angle(order, angles)
    in_order = angles[:, ["xyz".index(axis) for axis in order]]
    expected = Rotation.from_euler(order.upper(), in_order)
    np.testing.assert_allclose(Rotation.from_rotvec(ours).as_matrix(), expected.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(euler.axis_angle_to_euler(order, ours), angles, atol=1e-9)
    np.testing.assert_allclose(euler.rotmat_to_euler(order, expected.as_matrix()), angles, atol=1e-9)


def test_every_joint_but_the_pelvis_has_limits_that_hold_the_rest_pose():
    for joint in SMPL24.joints:
        found = limits.limits_of(joint)
        if joint == "pelvis":
            assert found is None
            continue
        for low, high in (found.x, found.y, found.z):
            assert low <= 0.0 <= high
    assert limits.violation(np.zeros(72)) == 0.0


def test_the_right_side_mirrors_the_left():
    left, right = limits.limits_of("left_elbow"), limits.limits_of("right_elbow")
    assert left.y == (-2.45, 0.0)
    assert right.y == (0.0, 2.45)
    assert left.x == right.x


@pytest.mark.parametrize("posture", list(Posture))
def test_random_poses_are_plausible(posture):
    generator = np.random.default_rng(1)
    for _ in range(25):
        pose = poses.random_pose(generator, posture=posture)
        assert pose.shape == (72,)
        assert pose.dtype == np.float32
        assert limits.violation(pose) < 1e-5
        assert self_penetration(pose) < 0.02


def test_random_poses_are_deterministic_and_varied():
    first = [poses.random_pose(np.random.default_rng(7)) for _ in range(2)]
    np.testing.assert_array_equal(first[0], first[1])
    generator = np.random.default_rng(0)
    drawn = np.stack([poses.random_pose(generator) for _ in range(100)])
    assert np.linalg.norm(drawn[:, None] - drawn[None], axis=-1)[~np.eye(100, dtype=bool)].min() > 0.1


def test_heading_and_tilt_are_bounded():
    generator = np.random.default_rng(3)
    upright = poses.random_pose(generator, max_heading=0.0, max_tilt=0.0)
    np.testing.assert_allclose(upright[:3], [np.pi, 0.0, 0.0], atol=1e-6)
    for _ in range(50):
        root = Rotation.from_rotvec(poses.random_pose(generator, max_tilt=0.2)[:3]).as_matrix()
        assert np.arccos(-root[1, 1]) < 0.3  # the body's up axis against the image's


def test_standing_people_stand_and_sitting_people_sit():
    data = load_body_model()
    rest = data.joint_regressor @ data.v_template
    generator = np.random.default_rng(0)

    def knee_below_hip(posture):
        pose = poses.random_pose(generator, posture=posture, max_heading=0.0, max_tilt=0.0).reshape(24, 3)
        thigh = Rotation.from_rotvec(pose[1]).apply(rest[4] - rest[1])
        return -thigh[1] / np.linalg.norm(thigh)

    assert min(knee_below_hip(Posture.STANDING) for _ in range(20)) > 0.8
    assert max(knee_below_hip(Posture.SITTING) for _ in range(20)) < 0.65


def test_every_posture_has_a_share():
    assert set(SHARES) == set(Posture)
    assert len(Posture) == 10
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_crouching_people_bend_their_knees_and_bending_people_their_backs():
    generator = np.random.default_rng(0)
    for _ in range(10):
        crouched, bent = (
            poses.random_pose(generator, posture=posture).reshape(24, 3)
            for posture in (Posture.CROUCHING, Posture.BENDING)
        )
        assert np.linalg.norm(crouched[[4, 5]], axis=1).min() > 1.2
        assert bent[[3, 6, 9], 0].sum() > 0.3


def test_gross_penetration_is_seen():
    pose = np.zeros((24, 3))
    assert self_penetration(pose) == 0.0
    pose[16] = euler.euler_to_axis_angle("yzx", [0.0, 0.0, -1.9])  # the left arm through the trunk
    assert self_penetration(pose) > 0.03
    pose = np.zeros((24, 3))
    pose[1] = euler.euler_to_axis_angle("xzy", [0.0, 0.0, -0.5])  # the left leg through the right
    assert self_penetration(pose) > 0.03

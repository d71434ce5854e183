"""Feasibility of bodies that are feasible or not by a known amount."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.errors import UserError
from hpe.evaluation import feasibility
from hpe.evaluation.feasibility import (
    Comparison,
    FeasibilityReference,
    compare_with,
    implausible_bones,
    limb_asymmetry,
    mirror,
)
from hpe.geometry.euler import euler_to_axis_angle
from hpe.records.mocap import write_frames
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24
from tests.evaluation.judged import Predictor, Source, judged

KNEE, RIGHT_KNEE, NECK = (SMPL24.index(joint) for joint in ("left_knee", "right_knee", "neck"))
SHOULDER = SMPL24.index("left_shoulder")
ROOT_TURN = np.array([1.0, 0.5, -0.3])


def rotmats(poses):
    return Rotation.from_rotvec(np.reshape(poses, (-1, 3))).as_matrix().reshape(-1, 24, 3, 3)


def poses(seed, count, *, scale=0.3):
    return np.random.default_rng(seed).normal(scale=scale, size=(count, 72))


def pose(**joints):
    """A rest pose (72,) but for the angles about x, y, z, in degrees, of some joints in their own order."""
    result = np.zeros((24, 3))
    for joint, (order, angles) in joints.items():
        result[SMPL24.index(joint)] = euler_to_axis_angle(order, np.radians(angles))
    return result.ravel()


@pytest.fixture(scope="module")
def reference():
    return FeasibilityReference([poses(0, 200)])


JUDGED_BY = (
    *("angles_outside_limits@mocap", "nearest_mocap_pose@mocap", "limb_asymmetry@body"),
    *("shape_beyond_3@body", "mean_abs_shape@body"),
)


def body(comparison, **known):
    """Judges two bodies of which something is known."""
    answers = {"joints3d": np.random.default_rng(0).normal(size=(2, 19, 3)), **known}
    predictor = Predictor(answers, skeleton="cocoplus19", metrics=JUDGED_BY)
    return judged(predictor, Source({"joints2d": np.zeros((2, 19, 2))}), feasibility=comparison)


# ---- distance to the nearest pose


def test_poses_of_the_reference_are_at_distance_0_whatever_their_root(reference):
    turned = poses(0, 200)
    turned[:, :3] = ROOT_TURN
    assert reference.nearest(rotmats(turned).astype(np.float32)).max() < 1e-4


def test_a_known_rotation_is_a_known_distance(reference):
    turned = rotmats(poses(0, 200)[:3])
    for row, degrees in enumerate((4.6, 11.5, 23.0)):
        turned[row, KNEE] = turned[row, KNEE] @ Rotation.from_euler("z", degrees, degrees=True).as_matrix()
    # One joint of 23.
    np.testing.assert_allclose(reference.nearest(turned), [0.2, 0.5, 1.0], atol=1e-6)


def test_mirrored_poses_have_mirrored_results(reference):
    asked = rotmats(poses(5, 40, scale=0.8))
    mirrored = mirror(asked)
    assert np.abs(mirrored - asked).max() > 0.5
    np.testing.assert_allclose(mirror(mirrored), asked)
    np.testing.assert_allclose(reference.nearest(mirrored), reference.nearest(asked), atol=1e-9)
    for one, other in zip(reference.angles_outside(mirrored), reference.angles_outside(asked), strict=True):
        np.testing.assert_array_equal(one, other)
    assert reference.angles_outside(asked)[0].min() > 0
    # A mirrored pose of the reference is as near as the pose itself.
    assert reference.nearest(mirror(rotmats(poses(0, 200)))).max() < 1e-5


def test_mirroring_is_a_reflection_of_the_body():
    """Left and right change places, and so does everything that hangs on them."""
    one = rotmats(pose(left_knee=("xzy", (50, 10, 5)), neck=("yxz", (3, 20, -7))))
    expected = rotmats(pose(right_knee=("xzy", (50, -10, -5)), neck=("yxz", (3, -20, 7))))
    np.testing.assert_allclose(mirror(one), expected, atol=1e-12)


# ---- limits


@pytest.fixture(scope="module")
def bent():
    """Left knees bent by 0 to 100 degrees and necks turned to one side by 0 to 50; all else at rest."""
    steps = np.linspace(0, 1, 101)
    return FeasibilityReference(
        [np.stack([pose(left_knee=("xzy", (100 * s, 0, 0)), neck=("yxz", (0, 50 * s, 0))) for s in steps])]
    )


def outside(reference, **joints):
    return int(reference.angles_outside(rotmats(pose(**joints)))[0][0])


def test_an_angle_past_its_limit_counts_once(bent):
    assert bent.angles_outside(rotmats(np.zeros(72)))[1] == [69]
    assert outside(bent) == 0
    assert outside(bent, left_knee=("xzy", (99, 0, 0))) == 0
    assert outside(bent, left_knee=("xzy", (102, 0, 0))) == 1
    assert outside(bent, left_knee=("xzy", (-2, 0, 0))) == 1
    assert outside(bent, left_knee=("xzy", (102, 0, 5))) == 2
    assert outside(bent, left_knee=("xzy", (102, 0, 5)), left_wrist=("yzx", (0, 0, 5))) == 3


def test_left_and_right_share_one_range_and_middles_are_symmetric(bent):
    assert outside(bent, right_knee=("xzy", (99, 0, 0))) == 0
    assert outside(bent, right_knee=("xzy", (102, 0, 0))) == 1
    assert outside(bent, neck=("yxz", (0, -49, 0))) == 0
    assert outside(bent, neck=("yxz", (0, -52, 0))) == 1


def test_what_never_moves_has_a_margin_of_a_degree(bent):
    assert outside(bent, left_wrist=("yzx", (0.9, -0.9, 0.9))) == 0
    assert outside(bent, left_wrist=("yzx", (1.1, -0.9, 0.9))) == 1


def test_few_broken_frames_do_not_widen_the_limits():
    knees = np.tile(pose(left_knee=("xzy", (50, 0, 0))), (3000, 1))
    knees[:2] = pose(left_knee=("xzy", (150, 0, 0)))
    reference = FeasibilityReference([knees])
    assert outside(reference, left_knee=("xzy", (60, 0, 0))) == 1
    # A small set of extremes beside it does.
    reference = FeasibilityReference([knees, knees[:2]])
    assert outside(reference, left_knee=("xzy", (60, 0, 0))) == 0


@pytest.mark.parametrize("order", ["xzy", "yxz", "yzx"])
def test_middle_angles_go_on_beyond_90_degrees(order):
    joint = {"xzy": "left_hip", "yxz": "neck", "yzx": "left_shoulder"}[order]
    for middle in (60, 80, 100, 130, -100):
        angles = np.array([10.0, -20.0, 15.0])
        angles["xyz".index(order[1])] = middle
        found = feasibility.euler_angles(rotmats(pose(**{joint: (order, angles)})))
        np.testing.assert_allclose(np.degrees(found[0, SMPL24.index(joint) - 1]), angles, atol=1e-6)


def test_outer_angles_are_not_judged_in_gimbal_lock():
    raised = [pose(left_shoulder=("yzx", (0, 0, degrees))) for degrees in np.linspace(0, 95, 50)]
    reference = FeasibilityReference([np.stack(raised)])
    for angles, among, out in (((40, -40, 80), 69, 2), ((40, -40, 89), 67, 0), ((0, 0, 120), 69, 1)):
        found = reference.angles_outside(rotmats(pose(left_shoulder=("yzx", angles))))
        assert [int(count[0]) for count in found] == [out, among]


# ---- bones and shapes


@pytest.mark.parametrize("skeleton", [COCOPLUS19, H36M17, SMPL24])
def test_asymmetry_of_known_size(skeleton):
    joints = np.zeros((1, len(skeleton), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for height, names in enumerate((("hip", "shoulder"), ("knee", "elbow"), ("ankle", "wrist"))):
            for limb, name in enumerate(names):
                joints[0, skeleton.index(f"{side}_{name}")] = (sign * (1 + limb), -0.4 * height, 0)
    np.testing.assert_allclose(limb_asymmetry(joints, skeleton.name), 0)
    joints[0, skeleton.index("left_ankle"), 1] -= 0.1  # shins of 0.5 and 0.4: 0.1 / 0.45, one pair of four
    np.testing.assert_allclose(limb_asymmetry(joints, skeleton.name), 100 * 0.1 / 0.45 / 4)
    np.testing.assert_allclose(limb_asymmetry(7 * joints + 3, skeleton.name), 100 * 0.1 / 0.45 / 4)


def test_bones_out_of_proportion_are_counted_limb_by_limb():
    skeleton = COCOPLUS19
    joints = np.zeros((2, len(skeleton), 3))
    for side in ("left", "right"):
        for names, lengths in (
            (("hip", "knee", "ankle"), (0.45, 0.45)),
            (("shoulder", "elbow", "wrist"), (0.28, 0.25)),
        ):
            for name, height in zip(names, np.cumsum([0, *lengths]), strict=True):
                joints[:, skeleton.index(f"{side}_{name}")] = 0, -height, 0
    joints[1, skeleton.index("left_ankle"), 1] = -(0.45 + 0.45 / 1.3)  # a thigh of 1.3 shins
    joints[1, skeleton.index("right_wrist"), 1] = -(0.28 + 0.25 * 1.2)  # an upper arm of 0.93 forearms
    np.testing.assert_allclose(implausible_bones(joints, skeleton.name), [0, 25])
    np.testing.assert_allclose(implausible_bones(3 * joints, skeleton.name), [0, 25])


def test_limbs_without_length_have_no_asymmetry():
    assert np.isnan(limb_asymmetry(np.zeros((1, 19, 3)), "cocoplus19"))


def test_shape_coefficients_beyond_3_are_counted():
    shape = np.array([[0.0] * 8 + [3.1, -3.1], [2.9] * 10])
    found = body(Comparison(), shape=shape).values()
    assert found["shape_beyond_3@body"] == pytest.approx(100 * 2 / 20)
    assert found["mean_abs_shape@body"] == pytest.approx((6.2 + 29) / 20)


# ---- the report


def test_the_share_is_over_people_joints_and_angles(bent):
    bent_most = pose(left_knee=("xzy", (102, 0, 5)), neck=("yxz", (0, 50, 0)))
    people = rotmats(np.stack([pose(), bent_most]))
    result = body(Comparison(bent), pose=people)
    assert result.values()["angles_outside_limits@mocap"] == pytest.approx(100 * 2 / (2 * 69))
    beyond = np.degrees(np.linalg.norm(pose(left_knee=("xzy", (2, 0, 5)))))
    assert result.values()["nearest_mocap_pose@mocap"] == pytest.approx(beyond / 23 / 2)
    assert {metric.name: metric.count for metric in result.metrics[1:]} == dict.fromkeys(JUDGED_BY[:3], 2)


def test_without_mocap_there_is_a_reason():
    result = body(Comparison(reason="none here"), pose=rotmats(np.zeros((2, 72))))
    unmeasured = {metric.name: metric.reason for metric in result.metrics if not metric.is_measured}
    assert unmeasured == dict.fromkeys(JUDGED_BY[:2], "none here")
    assert "limb_asymmetry@body" in result.values()


def test_joints_alone_have_an_asymmetry_and_nothing_else(reference):
    assert body(Comparison(reference)).values().keys() == {"images", "limb_asymmetry@body"}


# ---- reading


def write(folder, name, frames):
    shape = np.zeros(10, np.float32)
    write_frames(((frame.astype(np.float32), shape) for frame in frames), folder, name, shard_size=50)


def test_sets_are_read_evenly_up_to_a_number_of_frames(tmp_path):
    write(tmp_path, "CMU", poses(1, 120))
    write(tmp_path, "jointLim", poses(2, 10))
    assert compare_with(tmp_path, ["CMU", "jointLim"], required=True).reference.frames == 130
    few = FeasibilityReference(feasibility.read_poses(tmp_path, ["CMU", "jointLim"], max_frames=50))
    assert few.frames == 50  # all 10 of one, 40 of the other
    distances = few.nearest(rotmats(np.concatenate([poses(2, 10), poses(1, 120)])))
    assert distances[:10].max() < 1e-4
    assert (distances[10:] < 1e-4).sum() == 40


def test_absent_mocap_is_an_error_or_a_reason(tmp_path):
    message = r"neutrSMPL_CMU_\*\.tfrecord; found sets: none"
    with pytest.raises(UserError, match=message):
        compare_with(tmp_path, ["CMU"], required=True)
    reason = compare_with(tmp_path, ["CMU"], required=False).reason
    assert "neutrSMPL_CMU_*.tfrecord; found sets: none" in reason
    assert "\n" not in reason
    assert "names no frames" in compare_with(tmp_path, [], required=False).reason
    write(tmp_path, "CMU", poses(1, 5))
    assert compare_with(tmp_path, ["CMU"], required=False).reference.frames == 5

import gzip

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.data import load_body_model
from hpe.datasets.cmu_bvh import RIG_JOINTS, Retargeting, is_t_pose, read_clips, twisted_feet
from hpe.errors import UserError
from hpe.formats.bvh import read_bvh
from hpe.skeletons import SMPL24

# Bones that are one joint's alone on body and rig; the others hang on joints with several children, and between
# neck and head the rig has a joint more.
ENDS = {
    f"{side}_{start}": f"{side}_{end}"
    for side in ("left", "right")
    for start, end in (
        ("hip", "knee"),
        ("knee", "ankle"),
        ("ankle", "foot"),
        ("collar", "shoulder"),
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("wrist", "hand"),
    )
} | {"spine1": "spine2", "spine2": "spine3", "spine3": "neck"}


@pytest.fixture(scope="module")
def body():
    return load_body_model()


def placed(body, pose):
    """Returns the joints (F, 24, 3) of the body in poses (F, 72)."""
    rest = body.joint_regressor.astype(np.float64) @ body.v_template
    local = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(len(pose), -1, 3, 3)
    turned, places = local.copy(), np.zeros((len(pose), 24, 3))
    for joint, parent in enumerate(SMPL24.parents):
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ local[:, joint]
            places[:, joint] = places[:, parent] + turned[:, parent] @ (rest[joint] - rest[parent])
    return places


def angles(bones, others):
    cosine = (bones * others).sum(-1) / np.linalg.norm(bones, axis=-1) / np.linalg.norm(others, axis=-1)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def assert_bones_agree(body, pose, motion):
    own = placed(body, pose)
    rig = motion.place()[1][:, [motion.index(RIG_JOINTS[joint]) for joint in SMPL24.joints]]
    for start, end in ENDS.items():
        start, end = SMPL24.index(start), SMPL24.index(end)
        assert angles(own[:, end] - own[:, start], rig[:, end] - rig[:, start]).max() < 0.1


def rig_text(frames):
    """Returns a small rig of SMPL's tree whose T-pose has all angles at 0, and its motion."""
    side = {"knee": (0.2, -40, 1), "ankle": (0, -42, -2), "foot": (0, -3, 12), "shoulder": (14, 1, 0)}
    side |= {"elbow": (27, 0.5, 0), "wrist": (25, 0, 0.5), "hand": (8, 0, 0)}
    at = {"pelvis": (0, 90, 0), "left_hip": (9, -6, 0), "left_collar": (4, 10, 0)}
    at |= {
        "spine1": (0, 8, 0),
        "spine2": (0, 12, 0),
        "spine3": (0, 14, -1),
        "neck": (0, 16, 0),
        "head": (0, 9, 2),
    }
    at |= {f"left_{joint}": offset for joint, offset in side.items()}

    def lines(joint):
        left = joint.replace("right_", "left_")
        x, y, z = at[left]
        yield f"{'ROOT' if joint == 'pelvis' else 'JOINT'} {RIG_JOINTS[joint]}"
        yield "{"
        yield f"OFFSET {-x if left != joint else x} {y} {z}"
        yield "CHANNELS 3 Zrotation Yrotation Xrotation"
        index = SMPL24.index(joint)
        children = [child for child, up in zip(SMPL24.joints, SMPL24.parents, strict=True) if up == index]
        for child in children:
            yield from lines(child)
        if not children:
            yield "End Site { OFFSET 0 0 0 }"
        yield "}"

    rows = "\n".join(" ".join(f"{value:.4f}" for value in frame) for frame in frames)
    return (
        "HIERARCHY\n"
        + "\n".join(lines("pelvis"))
        + f"\nMOTION\nFrames: {len(frames)}\nFrame Time: .03\n{rows}\n"
    )


@pytest.fixture
def folder(tmp_path):
    frames = np.random.default_rng(0).uniform(-25, 25, size=(4, 72))
    frames[0] = 0.0
    (tmp_path / "a.bvh").write_text(rig_text(frames[1:]))
    (tmp_path / "b.bvh.gz").write_bytes(gzip.compress(rig_text(frames).encode()))
    return tmp_path


def test_bones_point_as_the_rigs(folder, body):
    rest, motion = read_bvh(folder / "b.bvh.gz"), read_bvh(folder / "a.bvh")
    assert is_t_pose(rest)
    assert not is_t_pose(motion)
    assert_bones_agree(body, Retargeting(rest, body)(motion), motion)


def test_clips_are_read_against_the_one_that_begins_with_the_t_pose(folder, body):
    clips = list(read_clips(folder, body))
    assert [clip.name for clip in clips] == ["a.bvh", "b.bvh"]
    assert clips[0].pose.shape[1:] == (72,)
    assert clips[0].pose.dtype == np.float32
    np.testing.assert_allclose(clips[0].pose, clips[1].pose[-len(clips[0].pose) :], atol=1e-5)
    named = list(read_clips(folder, body, rest=folder / "b.bvh.gz"))
    np.testing.assert_array_equal(named[0].pose, clips[0].pose)


def test_what_cannot_be_measured_is_told(folder, body, tmp_path_factory):
    with pytest.raises(UserError, match=r"a\.bvh: no clip begins with the T-pose"):
        next(read_clips(folder, body, rest=folder / "a.bvh"))
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UserError, match="holds no"):
        next(read_clips(empty, body))
    text = (folder / "a.bvh").read_text().replace("CC_Base_L_Calf", "Shin")
    (empty / "other.bvh").write_text(text)
    with pytest.raises(UserError, match=r"other\.bvh: The skeleton has no joint 'CC_Base_L_Calf'"):
        next(read_clips(empty, body))


def test_twisted_feet_are_found():
    pose = np.zeros((3, 72), np.float32)
    pose[1, 3 * SMPL24.index("right_ankle") + 1] = np.radians(80)
    pose[2, 3 * SMPL24.index("left_knee")] = np.radians(120)
    assert twisted_feet(pose).tolist() == [False, True, False]


@pytest.mark.data
def test_genuine_clips(data_dir, body):
    clips = data_dir / "mocap" / "cmu_bvh"
    retarget = Retargeting(read_bvh(clips / "007_03.bvh.gz"), body)
    motion = read_bvh(clips / "003_01.bvh.gz")
    pose = retarget(motion)
    assert_bones_agree(body, pose, motion)
    # People stand and walk upright there.
    places = placed(body, pose)
    up = places[:, SMPL24.index("neck")] - places[:, 0]
    assert np.median(up[:, 1] / np.linalg.norm(up, axis=-1)) > 0.95

"""CMU's motion capture as BVH of the "CC_Base" rig, turned into poses of a body with SMPL's joints.

The database is free for any use (mocap.cs.cmu.edu), so poses from it bind nobody. A pose of one rig is no pose of
another: bones at rest point elsewhere, and the rig's angles are all zero in no posture that a body takes. Both are
measured against one posture that both know, the T-pose, with which some of the clips begin.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from hpe.body.data import BodyModelData, load_body_model
from hpe.datasets.mocap import Sequence
from hpe.errors import UserError
from hpe.formats.bvh import Motion, read_bvh
from hpe.skeletons import SMPL24

_SIDED = {
    "hip": "Thigh",
    "knee": "Calf",
    "ankle": "Foot",
    "foot": "ToeBase",
    "collar": "Clavicle",
    "shoulder": "Upperarm",
    "elbow": "Forearm",
    "wrist": "Hand",
    "hand": "Mid1",
}
_CENTRAL = {
    "pelvis": "Hip",
    "spine1": "Waist",
    "spine2": "Spine01",
    "spine3": "Spine02",
    "neck": "NeckTwist01",
    "head": "Head",
}
RIG_JOINTS = {joint: f"CC_Base_{name}" for joint, name in _CENTRAL.items()} | {
    f"{side}_{joint}": f"CC_Base_{side[0].upper()}_{name}"
    for side in ("left", "right")
    for joint, name in _SIDED.items()
}

# Where the bone of a joint with several children, or with none that moves with it, points.
_ENDS = {"pelvis": "spine1", "spine3": "neck"}

# A frame is the T-pose when limbs are this close to the axes.
_T_POSE_DEGREES = 15.0
# In some frames the rig's inverse kinematics turned a foot further than ankles go, up to backwards.
MAX_FOOT_DEGREES = 75.0
_PATTERNS = ("*.bvh", "*.bvh.gz")


def read_clips(
    directory: str | os.PathLike, body: BodyModelData, *, rest: str | os.PathLike | None = None
) -> Iterator[Sequence]:
    """Reads all clips of a folder as poses of a body.

    Args:
        directory: holds *.bvh or *.bvh.gz of one rig.
        body: whose bones are to point as the rig's.
        rest: a clip whose first frame is the rig's T-pose; None takes the first such clip of the folder.

    Yields:
        Sequences in the order of the names; shape is zeros, frames with a twisted foot are left out.

    Raises:
        UserError: there are no clips, none begins with the T-pose, or one cannot be read.
    """
    directory = pathlib.Path(directory)
    retarget = Retargeting(_rest(_clips(directory), rest), body)
    for path in _clips(directory):
        yield read_clip(path, retarget)


def read_clip(path: pathlib.Path, retarget: Retargeting) -> Sequence:
    """Reads one clip; see `read_clips`, which reads all of a folder.

    Raises:
        UserError: it cannot be read, or is of another rig.
    """
    motion = read_bvh(path)
    try:
        pose = retarget(motion)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    pose = pose[~twisted_feet(pose)]
    rate = 1 / motion.frame_time if motion.frame_time > 0 else 0.0
    return Sequence(
        path.name.removesuffix(".gz"), pose, retarget.shape, body_model="", frames_per_second=rate, up="y"
    )


@functools.lru_cache(maxsize=4)
def retargeting(directory: pathlib.Path) -> Retargeting:
    """Returns what turns the clips of a folder into poses of the default body; UserError as `read_clips`."""
    return Retargeting(_rest(_clips(directory), None), load_body_model())


def _clips(directory: pathlib.Path) -> list[pathlib.Path]:
    paths = sorted(
        path for pattern in _PATTERNS for path in directory.glob(pattern) if not path.name.startswith(".")
    )
    if not paths:
        raise UserError(f"{directory}: holds no *.bvh or *.bvh.gz.")
    return paths


class Retargeting:
    """Turns motions of a rig into poses of a body, by the rig's T-pose.

    A joint's rotation against the T-pose, in the frame of the file, is the same for rig and body; before it stands
    what turns the body's bone at rest, which is not quite the T-pose's, into the rig's bone there.

    Attributes:
        shape: of the body that the poses are of: its mean.

    Args:
        rest: a motion whose first frame is the T-pose: arms to the sides, legs down, facing z, y up.
        body: the body.

    Raises:
        ValueError: the rig lacks a joint, or the frame is no T-pose.
    """

    def __init__(self, rest: Motion, body: BodyModelData):
        if not is_t_pose(rest):
            raise ValueError("The first frame must be the T-pose of the rig, and is not.")
        rotations, places = rest.place()
        self.shape = np.zeros(body.shape_dirs.shape[2], np.float32)
        joints = _rig_indices(rest)
        self._rest = rotations[0, joints]
        places = places[0, joints]
        own = body.joint_regressor.astype(np.float64) @ body.v_template
        self._bones = np.tile(np.eye(3), (len(joints), 1, 1))
        for index, joint in enumerate(SMPL24.joints):
            end = _end(joint)
            if end is None:
                # Hands, feet and the head's tip go on as the bone before them does.
                self._bones[index] = self._bones[SMPL24.parents[index]]
            elif joint != "pelvis":
                end = SMPL24.index(end)
                self._bones[index] = _shortest(own[end] - own[index], places[end] - places[index])

    def __call__(self, motion: Motion) -> np.ndarray:
        """Returns poses (F, 72) float32, axis-angle, root first, in the frame of the file (y up)."""
        joints = _rig_indices(motion)
        rotations, _ = motion.place()
        turned = rotations[:, joints] @ np.swapaxes(self._rest, -1, -2) @ self._bones
        local = turned.copy()
        for index, parent in enumerate(SMPL24.parents):
            if parent >= 0:
                local[:, index] = np.swapaxes(turned[:, parent], -1, -2) @ turned[:, index]
        vectors = Rotation.from_matrix(local.reshape(-1, 3, 3)).as_rotvec()
        return vectors.reshape(len(local), -1).astype(np.float32)


def is_t_pose(motion: Motion) -> bool:
    """Says whether a motion of the rig begins with its T-pose; ValueError if it is another rig's."""
    joints = _rig_indices(motion)
    if len(motion.rotations) == 0:
        return False
    place = dict(zip(SMPL24.joints, motion.place()[1][0, joints], strict=True))
    bones = {
        ("left_shoulder", "left_wrist"): (1, 0, 0),
        ("right_shoulder", "right_wrist"): (-1, 0, 0),
        ("left_hip", "left_ankle"): (0, -1, 0),
        ("right_hip", "right_ankle"): (0, -1, 0),
        ("pelvis", "neck"): (0, 1, 0),
    }
    limit = np.cos(np.radians(_T_POSE_DEGREES))
    for (start, end), axis in bones.items():
        bone = place[end] - place[start]
        if not bone @ axis >= limit * np.linalg.norm(bone) > 0.0:
            return False
    return True


def twisted_feet(pose: np.ndarray) -> np.ndarray:
    """Returns (F,) bool: the frames of poses (F, 72) in which an ankle turns by more than `MAX_FOOT_DEGREES`."""
    ankles = [SMPL24.index("left_ankle"), SMPL24.index("right_ankle")]
    angles = np.linalg.norm(pose.reshape(len(pose), -1, 3)[:, ankles], axis=-1)
    return np.degrees(angles).max(axis=-1, initial=0.0) > MAX_FOOT_DEGREES


def _rest(paths, rest):
    """Returns the motion that begins with the T-pose."""
    for path in paths if rest is None else [pathlib.Path(rest)]:
        motion = read_bvh(path)
        try:
            if is_t_pose(motion):
                return motion
        except ValueError as error:
            raise UserError(f"{path}: {error}") from None
    place = rest or paths[0].parent
    raise UserError(
        f"{place}: no clip begins with the T-pose of its rig, which the others are measured against."
    )


def _rig_indices(motion):
    return [motion.index(RIG_JOINTS[joint]) for joint in SMPL24.joints]


def _end(joint):
    if joint in _ENDS:
        return _ENDS[joint]
    index = SMPL24.index(joint)
    children = [child for child, parent in zip(SMPL24.joints, SMPL24.parents, strict=True) if parent == index]
    return children[0] if children else None


def _shortest(start, end):
    """Returns the smallest rotation that turns one direction into another, not its opposite."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis, cosine = np.cross(start, end), start @ end
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1.0 + cosine)

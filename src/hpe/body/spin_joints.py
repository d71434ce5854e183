"""SPIN's and PARE's 49 joints of a body: OpenPose's 25 and 24 of the truth of datasets, by joints and vertices.

Of SMPL they are what smplx and SPIN take: joints of the skeleton, eleven vertices, and the nine rows of the
file `J_regressor_extra.npy`, which comes with SPIN and is not in this package. Where that file is not given, and
of other bodies, the joints of the body's own regressors for `cocoplus19` and `h36m17` take the place of its rows.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from hpe import skeletons
from hpe.body.data import NUM_JOINTS, BodyModelData
from hpe.errors import SettingError, UserError
from hpe.formats.npz import load_npy
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24, SPIN49

_SMPL_VERTICES = 6890
# smplx, vertex_ids.
_SMPL_POINTS = {
    "nose": 332,
    "right_eye": 6260,
    "left_eye": 2800,
    "right_ear": 4071,
    "left_ear": 583,
    "left_big_toe": 3216,
    "left_small_toe": 3226,
    "left_heel": 3387,
    "right_big_toe": 6617,
    "right_small_toe": 6624,
    "right_heel": 6787,
}
# Rows of J_regressor_extra.npy (SPIN, constants.py), and what stands for them: a skeleton and one joint or two.
_EXTRA = {
    "right_hip": (COCOPLUS19, "right_hip"),
    "left_hip": (COCOPLUS19, "left_hip"),
    "neck": (COCOPLUS19, "neck"),
    "head_top": (COCOPLUS19, "head_top"),
    "pelvis": (COCOPLUS19, "right_hip", "left_hip"),
    "thorax": (COCOPLUS19, "right_shoulder", "left_shoulder"),
    "spine": (H36M17, "spine"),
    "jaw": (H36M17, "nose"),
    "head": (H36M17, "head_top"),
}
_DETECTED = "op_"
# Names of OpenPose's joints in SMPL's skeleton, where they are others.
_SMPL_NAMES = {"mid_hip": "pelvis"}
# Of the length of a foot, from its tip: where toes are.
_TOES = 0.12


@dataclasses.dataclass(frozen=True)
class SpinJoints:
    """How the 49 joints come about: joints = from_joints @ joints + from_vertices @ vertices.

    Attributes:
        from_joints: (49, 24) float32.
        from_vertices: (49, V) float32.
    """

    from_joints: np.ndarray
    from_vertices: np.ndarray


def spin_joints(data: BodyModelData, extra: str | os.PathLike | None = None) -> SpinJoints:
    """Returns the 49 joints of a body.

    Args:
        data: the body.
        extra: the file `J_regressor_extra.npy`, (9, 6890), for SMPL alone; None takes what stands for its rows.

    Raises:
        UserError: the file cannot be read, or does not fit the body.
    """
    rows = None if extra is None else _read_extra(extra, data)
    joints = np.zeros((len(SPIN49), NUM_JOINTS), np.float32)
    vertices = np.zeros((len(SPIN49), len(data.v_template)), np.float32)
    points = _points(data)
    for place, joint in enumerate(SPIN49.joints):
        detected = joint.startswith(_DETECTED)
        name = joint.removeprefix(_DETECTED)
        skeleton_name = _SMPL_NAMES.get(name, name)
        if name in points:
            vertices[place] = points[name]
        elif not detected and name in _EXTRA:
            row = list(_EXTRA).index(name)
            vertices[place] = _stand_in(data, *_EXTRA[name]) if rows is None else rows[row]
        else:
            joints[place, SMPL24.index(skeleton_name)] = 1.0
    return SpinJoints(joints, vertices)


def with_spin_joints(
    data: BodyModelData, extra: str | os.PathLike | None = None
) -> tuple[BodyModelData, SpinJoints]:
    """Returns a body whose keypoints `spin49` are the part of them that is of vertices, and how they come about.

    Raises:
        UserError: as `spin_joints`.
    """
    made = spin_joints(data, extra)
    regressors = {**data.keypoint_regressors, SPIN49.name: made.from_vertices}
    return dataclasses.replace(data, keypoint_regressors=regressors), made


def _points(data: BodyModelData) -> dict[str, np.ndarray]:
    """Returns the rows (V,) of points on the skin: of the face, toes and heels."""
    if len(data.v_template) == _SMPL_VERTICES and data.name.startswith("smpl"):
        found = {}
        for name, vertex in _SMPL_POINTS.items():
            found[name] = np.zeros(len(data.v_template), np.float32)
            found[name][vertex] = 1.0
        return found
    face = {
        name: row
        for name, row in zip(COCOPLUS19.joints, data.keypoint_regressors[COCOPLUS19.name], strict=True)
        if name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    }
    return {**face, **_feet(data)}


def _feet(data: BodyModelData) -> dict[str, np.ndarray]:
    """Returns toes and heels at the ends of the feet of the rest pose, x to the left, y up, z forward."""
    rows = {}
    at_rest = data.joint_regressor @ data.v_template
    for side, outward in (("left", 1.0), ("right", -1.0)):
        moved_by = [SMPL24.index(f"{side}_{joint}") for joint in ("ankle", "foot")]
        ankle = at_rest[moved_by[0]]
        foot = (data.weights[:, moved_by].sum(axis=1) > 0.5) & (data.v_template[:, 1] < ankle[1])
        if not foot.any():
            raise UserError(f"{data.name}: its {side} foot has no vertices, so it has no toes of `spin49`.")
        places = np.flatnonzero(foot)
        x, _, z = data.v_template[places].T
        front = z > z.max() - _TOES * (z.max() - z.min())
        chosen = {
            "big_toe": places[front][np.argmin(outward * x[front])],
            "small_toe": places[front][np.argmax(outward * x[front])],
            "heel": places[np.argmin(z)],
        }
        for name, vertex in chosen.items():
            row = rows[f"{side}_{name}"] = np.zeros(len(data.v_template), np.float32)
            row[vertex] = 1.0
    return rows


def _stand_in(data: BodyModelData, skeleton: skeletons.Skeleton, *joints: str) -> np.ndarray:
    table = data.keypoint_regressors[skeleton.name]
    return np.mean([table[skeleton.index(joint)] for joint in joints], axis=0)


def _read_extra(path: str | os.PathLike, data: BodyModelData) -> np.ndarray:
    if not pathlib.Path(path).is_file():
        raise SettingError("joint_regressor_extra", "there is no such file.", path)
    rows = load_npy(path)
    shape = (len(_EXTRA), len(data.v_template))
    if not isinstance(rows, np.ndarray) or rows.shape != shape or rows.dtype.kind != "f":
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else "no array"
        raise SettingError(
            "joint_regressor_extra", f"must hold numbers {shape} for {data.name}, but it is {found}.", path
        )
    if not np.isfinite(rows).all():
        raise SettingError("joint_regressor_extra", "holds numbers that are not finite.", path)
    return rows.astype(np.float32)

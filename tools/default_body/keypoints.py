"""Keypoint regressors for the default body: what annotators click, from posed surface vertices."""

from __future__ import annotations

import numpy as np

from default_body import regressors
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24, mirror_name
from hpe.synthetic.poses import random_pose

_SEED = 7
_NUM_EXAMPLES = 96

# Points carried by the skeleton, as (joint that carries it, offset in metres from that joint) of a left or central
# point; its position is the mean where several joints carry it. Annotators place the hip on the outside of the
# femur's head, which the trunk and the thigh carry together.
_CARRIED = {
    "ankle": (("left_ankle", (0.0, 0.0, 0.0)),),
    "knee": (("left_knee", (0.0, 0.0, 0.0)),),
    "wrist": (("left_wrist", (0.0, 0.0, 0.0)),),
    "elbow": (("left_elbow", (0.0, 0.0, 0.0)),),
    "shoulder": (("left_shoulder", (0.0, 0.0, 0.0)),),
    "hip": (("pelvis->left_hip", (0.012, 0.0, 0.0)), ("left_hip", (0.012, 0.0, 0.0))),
    "h36m_hip": (("left_hip", (0.0, 0.0, 0.0)),),
    "neck": (("spine3->neck", (0.0, -0.01, 0.012)),),
    "pelvis": (("left_hip", (0.0, 0.0, 0.0)), ("right_hip", (0.0, 0.0, 0.0))),
    "spine": (("spine2", (0.0, 0.0, 0.0)),),
    "thorax": (("spine3->neck", (0.0, -0.035, 0.0)),),
}


def fit(body, mirror, *, is_eye, ears):
    """Fits the regressors of cocoplus19 and h36m17 on random poses and shapes.

    Args:
        body: BodyModelData of the finished body but for its keypoints.
        mirror: (V,) mirror image of each vertex.
        is_eye: (V,) bool.
        ears: (V,) 0 ... 1, how much a vertex belongs to an ear.

    Returns:
        (dict of (K, V) float32 tables, lines that state the errors).
    """
    generator = np.random.default_rng(_SEED)
    examples = [_pose(body, random_pose(generator), generator.normal(size=10)) for _ in range(_NUM_EXAMPLES)]
    surfaces = np.stack([example[0] for example in examples])
    rows, lines = _surface_points(body, mirror, is_eye, ears), []
    for name, carriers in _CARRIED.items():
        targets = np.stack([_carried_point(example, carriers) for example in examples])
        rows[name], error = _fit_row(body, mirror, surfaces, targets, carriers)
        lines.append(f"keypoint {name}: RMS error over poses and shapes {error * 1e3:.1f} mm")
    tables = {}
    for skeleton in (COCOPLUS19, H36M17):
        table = []
        for joint in skeleton.joints:
            left = joint if not joint.startswith("right_") else mirror_name(joint)
            name = left.removeprefix("left_")
            if skeleton is H36M17 and name == "hip":
                name = "h36m_hip"
            table.append(rows[name][mirror] if joint.startswith("right_") else rows[name])
        tables[skeleton.name] = np.stack(table).astype(np.float32)
    return tables, lines


def _surface_points(body, mirror, is_eye, ears):
    """Returns {point: (V,) weights} of the points that lie on the skin, on the left or in the middle."""
    vertices = body.v_template.astype(float)
    x, y, z = vertices.T
    left_eye = is_eye & (x > 0.0)
    face = (
        (body.weights[:, SMPL24.index("head")] > 0.5) & ~is_eye & (y < y[is_eye].mean()) & (np.abs(x) < 0.015)
    )
    tip = np.where(face, z, -np.inf).argmax()
    top = np.where(np.abs(x) < 0.03, y, -np.inf).argmax()
    groups = {
        "eye": left_eye & (z > z[left_eye].max() - 0.006),
        "ear": (ears > 0.5) & (x > 0.0),
        "nose": np.linalg.norm(vertices - vertices[tip], axis=1) < 0.007,
        "head_top": np.linalg.norm(vertices - vertices[top], axis=1) < 0.025,
    }
    rows = {}
    for name, group in groups.items():
        weights = group.astype(float)
        if name in ("nose", "head_top"):
            weights = weights + weights[mirror]
        rows[name] = weights / weights.sum()
    return rows


def _carried_point(example, carriers):
    _, joints, rotations = example
    points = []
    for carrier, offset in carriers:
        # "a->b" is a point that moves with a and lies, at rest, at joint b.
        frame, _, origin = carrier.partition("->")
        frame = SMPL24.index(frame)
        if origin:
            start = joints[SMPL24.index(origin)]
        else:
            start = joints[frame]
        points.append(start + rotations[frame] @ np.array(offset))
    return np.mean(points, axis=0)


def _fit_row(body, mirror, surfaces, targets, carriers):
    parents = dict(zip(SMPL24.joints, body.parents, strict=True))
    names = [part for carrier, _ in carriers for part in carrier.split("->")]
    central = not names[-1].startswith("left_") or any(
        mirror_name(n) in names for n in names if mirror_name(n) != n
    )
    indices = {SMPL24.index(n) for n in names} | {max(int(parents[n]), 0) for n in names}
    allowed = body.weights[:, sorted(indices)].sum(axis=1) > 0.02
    rest = body.v_template.astype(float)
    joints = body.joint_regressor.astype(float) @ rest
    start = (
        joints[[SMPL24.index(n) for n in names]].mean(axis=0) if central else joints[SMPL24.index(names[-1])]
    )
    if not central:
        allowed &= rest[:, 0] > 0.0
    axis = (
        np.array([1.0, 0.0, 0.0])
        if names[-1] in ("left_elbow", "left_wrist", "left_shoulder")
        else [0.0, 1.0, 0.0]
    )
    candidates = regressors.ring(rest, start, np.asarray(axis), allowed, 350)
    row = regressors.fit_point(surfaces, targets, candidates, mirror if central else None)
    error = np.einsum("v,nvx->nx", row, surfaces) - targets
    return row, float(np.sqrt((error**2).sum(axis=1).mean()))


def _pose(body, pose, shape):
    """Poses the body by the textbook equations; returns (vertices, joints, global rotations)."""
    shaped = body.v_template + body.shape_dirs.astype(float) @ shape
    rest = body.joint_regressor.astype(float) @ shaped
    pose = pose.reshape(24, 3).astype(float)
    angle = np.linalg.norm(pose, axis=1)[:, None, None]
    skew = np.cross(
        np.eye(3), (pose / np.maximum(np.linalg.norm(pose, axis=1, keepdims=True), 1e-12))[:, None]
    )
    local = np.eye(3) + np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew
    rotations, joints = local.copy(), rest.copy()
    for joint, parent in enumerate(body.parents):
        if parent >= 0:
            rotations[joint] = rotations[parent] @ local[joint]
            joints[joint] = joints[parent] + rotations[parent] @ (rest[joint] - rest[parent])
    offsets = joints - np.einsum("jab,jb->ja", rotations, rest)
    blended = np.einsum("vj,jab->vab", body.weights.astype(float), rotations)
    return np.einsum("vab,vb->va", blended, shaped) + body.weights @ offsets, joints, rotations

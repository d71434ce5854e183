"""A rough check of whether a pose runs limbs through the body, on a skeleton of balls and capsules.

The skeleton has the proportions of the default body's mean shape; limbs are thinner than in life, so that touching
is allowed and only gross penetration counts.
"""

from __future__ import annotations

import numpy as np

from hpe.skeletons import SMPL24

# Rest-pose joints of the left and middle of an average adult, rounded, pelvis at the origin, metres.
_REST = {
    "pelvis": (0.0, 0.0, 0.0),
    "left_hip": (0.10, -0.01, -0.01),
    "spine1": (0.0, 0.08, -0.04),
    "left_knee": (0.135, -0.40, -0.01),
    "spine2": (0.0, 0.22, -0.025),
    "left_ankle": (0.12, -0.81, -0.045),
    "spine3": (0.0, 0.36, -0.03),
    "left_foot": (0.135, -0.85, 0.085),
    "neck": (0.0, 0.535, -0.005),
    "left_collar": (0.025, 0.465, 0.01),
    "head": (0.0, 0.635, 0.03),
    "left_shoulder": (0.17, 0.475, -0.005),
    "left_elbow": (0.41, 0.47, -0.02),
    "left_wrist": (0.645, 0.475, -0.02),
    "left_hand": (0.72, 0.47, -0.02),
}
_HEAD_CENTRE = np.array([0.0, 0.07, 0.02])  # from the head joint
_SAMPLES = np.linspace(0.0, 1.0, 6)

# Segments as (start joint, end joint, radius); those of the trunk, and those of the limbs that may hit it.
_TRUNK = (
    ("left_hip", "right_hip", 0.08),
    ("pelvis", "spine2", 0.11),
    ("spine2", "spine3", 0.12),
    ("left_collar", "right_collar", 0.08),
)
_SHIN_RADIUS, _THIGH_RADIUS, _ARM_RADIUS, _HEAD_RADIUS = 0.045, 0.065, 0.03, 0.10


def _rest_joints():
    joints = np.zeros((len(SMPL24), 3))
    for index, name in enumerate(SMPL24.joints):
        if name in _REST:
            joints[index] = _REST[name]
        else:
            joints[index] = np.array(_REST[name.replace("right_", "left_")]) * [-1.0, 1.0, 1.0]
    return joints


_REST_JOINTS = _rest_joints()


def self_penetration(pose) -> float:
    """Returns the depth in metres to which a pose runs its limbs into the body or each other; 0 if it does not.

    Args:
        pose: (24, 3) or (72,) axis-angle; the root does not matter.
    """
    joints, rotations = _pose_skeleton(np.reshape(pose, (-1, 3)))
    at = dict(zip(SMPL24.joints, joints, strict=True))
    trunk = [(at[a], at[b], radius) for a, b, radius in _TRUNK]
    head = at["head"] + rotations[SMPL24.index("head")] @ _HEAD_CENTRE
    arms = {s: (at[f"{s}_elbow"], at[f"{s}_hand"], _ARM_RADIUS) for s in ("left", "right")}
    uppers = {s: (at[f"{s}_shoulder"], at[f"{s}_elbow"], _ARM_RADIUS) for s in ("left", "right")}
    thighs = {s: (at[f"{s}_hip"], at[f"{s}_knee"], _THIGH_RADIUS) for s in ("left", "right")}
    shins = {s: (at[f"{s}_knee"], at[f"{s}_foot"], _SHIN_RADIUS) for s in ("left", "right")}
    ball = (head, head, _HEAD_RADIUS)
    pairs = [(arms["left"], arms["right"]), (shins["left"], shins["right"])]
    pairs += [(thighs["left"], shins["right"]), (thighs["right"], shins["left"])]
    for side, other in (("left", "right"), ("right", "left")):
        for arm in (arms[side], uppers[side]):
            pairs.append((arm, ball))
            pairs += [(_lower_part(arm), part) for part in trunk]
            pairs += [(arm, leg[s]) for leg in (thighs, shins) for s in ("left", "right")]
        pairs.append((arms[side], uppers[other]))
        pairs += [(shins[side], part) for part in trunk]
        pairs.append((_lower_part(thighs[side]), _lower_part(thighs[other])))
    return max(0.0, float(_overlaps(pairs).max()))


def _lower_part(segment):
    """Leaves out the root of a limb, which always lies close to the trunk."""
    start, end, radius = segment
    return 0.6 * start + 0.4 * end, end, radius


def _overlaps(pairs):
    """Returns how deep the two capsules of each pair run into each other, along sample points."""
    starts, ends = (np.array([[part[end] for part in pair] for pair in pairs]) for end in (0, 1))
    radii = np.array([first[2] + second[2] for first, second in pairs])
    # (pairs, 2, samples, 3)
    points = starts[:, :, None] + _SAMPLES[:, None] * (ends - starts)[:, :, None]
    squared = ((points[:, 0, :, None] - points[:, 1, None]) ** 2).sum(axis=-1)
    return radii - np.sqrt(squared.min(axis=(1, 2)))


def _pose_skeleton(axis_angle):
    """Returns joints (24, 3) and global rotations (24, 3, 3); the root is not turned."""
    angles = np.linalg.norm(axis_angle, axis=1)[:, None, None]
    axes = axis_angle / np.maximum(np.linalg.norm(axis_angle, axis=1, keepdims=True), 1e-12)
    skew = np.cross(np.eye(3), axes[:, None, :])
    local = np.eye(3) + np.sin(angles) * skew + (1.0 - np.cos(angles)) * skew @ skew
    rotations, joints = np.tile(np.eye(3), (len(SMPL24), 1, 1)), np.zeros((len(SMPL24), 3))
    for joint, parent in enumerate(SMPL24.parents):
        if parent >= 0:
            rotations[joint] = rotations[parent] @ local[joint]
            joints[joint] = joints[parent] + rotations[parent] @ (_REST_JOINTS[joint] - _REST_JOINTS[parent])
    return joints, rotations

"""Brings MakeHuman's rest pose (arms half lowered, elbows bent) to SMPL's T-pose."""

from __future__ import annotations

import numpy as np

from default_body.makehuman import SMPL_BONES, mirrored_joints

PARENTS = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])

# Where the bones of the left side point in the T-pose: legs a hand's breadth apart and nearly straight, arms
# level, clavicles slightly raised: SMPL's habit, so that mocap made for SMPL suits this body too.
_LEFT_DIRECTIONS = {
    "LeftShoulder": (1.0, 0.08, -0.10),
    "LeftArm": (1.0, -0.03, -0.08),
    "LeftForeArm": (1.0, 0.02, 0.0),
    "LeftUpLeg": (0.09, -1.0, 0.0),
    "LeftLeg": (-0.035, -1.0, -0.09),
}
# The joint at the far end of each of these bones.
_LEFT_ENDS = {
    "LeftShoulder": "LeftArm",
    "LeftArm": "LeftForeArm",
    "LeftForeArm": "LeftHand",
    "LeftUpLeg": "LeftLeg",
    "LeftLeg": "LeftFoot",
}
_HAND_DIRECTION = (1.0, -0.03, 0.0)
_INDEX_TO_LITTLE_FINGER = (0.0, 0.0, -1.0)  # palms down


def rest_rotations(joints, left_fingers):
    """Returns the global rotations (24, 3, 3) that turn MakeHuman's bones into the T-pose.

    Args:
        joints: (24, 3) joints in MakeHuman's rest pose, metres.
        left_fingers: (3, 3) first knuckles of the left index, middle and little finger.
    """
    rotations = np.tile(np.eye(3), (24, 1, 1))
    for bone, direction in _LEFT_DIRECTIONS.items():
        start, end = SMPL_BONES.index(bone), SMPL_BONES.index(_LEFT_ENDS[bone])
        rotations[start] = _shortest_rotation(joints[end] - joints[start], direction)
    hand = SMPL_BONES.index("LeftHand")
    forearm = SMPL_BONES.index("LeftForeArm")
    index, middle, little = left_fingers
    source = _frame(middle - joints[hand], little - index)
    rotations[hand] = _frame(_HAND_DIRECTION, _INDEX_TO_LITTLE_FINGER) @ source.T
    # The twist that turns the palm down is shared by wrist and forearm, as pronation is.
    rotations[forearm] = _halfway_twist(rotations[forearm], rotations[hand], _LEFT_DIRECTIONS["LeftForeArm"])
    rotations[SMPL_BONES.index("LeftFingerBase")] = rotations[hand]
    mirrored = mirrored_joints()
    flip = np.diag([-1.0, 1.0, 1.0])
    for joint, bone in enumerate(SMPL_BONES):
        if bone.startswith("Right"):
            rotations[joint] = flip @ rotations[mirrored[joint]] @ flip
    return rotations


def to_rest_pose(vertices, weights, joints, rotations):
    """Finds the T-pose from which linear blend skinning gives back MakeHuman's own surface exactly.

    Posing forwards would blend twice and thin the shoulders as soon as the arms come down; the inverse keeps
    the sculpted surface at the pose it was sculpted in.

    Args:
        vertices: (V, 3) surface in MakeHuman's rest pose.
        weights: (V, 24) skinning weights.
        joints: (24, 3) joints in MakeHuman's rest pose.
        rotations: (24, 3, 3) from `rest_rotations`.

    Returns:
        (vertices (V, 3), joints (24, 3)) in the T-pose, pelvis at the origin.
    """
    posed = np.zeros_like(joints)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        posed[joint] = posed[parent] + rotations[parent] @ (joints[joint] - joints[parent])
    inverse = np.swapaxes(rotations, 1, 2)
    offsets = joints - np.einsum("jab,jb->ja", inverse, posed)
    blended = (weights @ inverse.reshape(24, 9)).reshape(-1, 3, 3)
    return np.linalg.solve(blended, (vertices - weights @ offsets)[..., None])[..., 0], posed


def _shortest_rotation(source, target):
    a, b = (np.asarray(v, float) / np.linalg.norm(v) for v in (source, target))
    cross, cosine = np.cross(a, b), a @ b
    skew = np.cross(np.eye(3), cross)
    return np.eye(3) + skew + skew @ skew / (1.0 + cosine)


def _frame(first, second):
    """Returns a rotation whose columns are `first`, the part of `second` at right angles to it, and the rest."""
    x = np.asarray(first, float) / np.linalg.norm(first)
    y = np.asarray(second, float) - (x @ second) * x
    y /= np.linalg.norm(y)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _halfway_twist(rotation, other, axis):
    """Turns `rotation` about `axis` by half the twist that takes it to `other`."""
    axis = np.asarray(axis, float) / np.linalg.norm(axis)
    relative = other @ rotation.T
    sine = (
        0.5
        * axis
        @ [
            relative[2, 1] - relative[1, 2],
            relative[0, 2] - relative[2, 0],
            relative[1, 0] - relative[0, 1],
        ]
    )
    cosine = 0.5 * (np.trace(relative) - axis @ relative @ axis)
    angle = 0.5 * np.arctan2(sine, cosine)
    skew = np.cross(np.eye(3), axis)
    return (np.eye(3) + np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew) @ rotation

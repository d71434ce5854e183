"""How far the joints of SMPL's skeleton turn.

Angles are intrinsic Euler angles in the frame of the rest pose (x to the subject's left, y up, z forward), in an
order that puts the twist about the limb last: the first two angles say where the limb points. The ranges are
rounded from the textbook ranges of motion of healthy adults, a little inside the extremes. They are given for
the left side; the right side is its mirror image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.geometry.euler import axis_angle_to_euler
from hpe.skeletons import SMPL24, mirror_name


@dataclasses.dataclass(frozen=True)
class JointLimits:
    """Ranges of the three Euler angles of a left or central joint.

    Attributes:
        order: the axes in the order of rotation, such as "yzx": R = R_y R_z R_x.
        x, y, z: (lowest, highest) angle about each axis, radians.
    """

    order: str
    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]


# Signs on the left side. Legs: -x lifts the thigh forward, +x bends the knee, +z spreads. Arms (pointing to +x in
# the rest pose): -z lowers, -y brings forward, -y bends the elbow, x twists. Spine: +x bows forward.
JOINT_LIMITS = {
    "left_hip": JointLimits("xzy", x=(-2.1, 0.4), y=(-0.5, 0.7), z=(-0.3, 0.9)),
    "left_knee": JointLimits("xzy", x=(0.0, 2.45), y=(-0.1, 0.1), z=(-0.05, 0.05)),
    "left_ankle": JointLimits("xzy", x=(-0.45, 0.75), y=(-0.25, 0.25), z=(-0.25, 0.25)),
    "left_foot": JointLimits("xzy", x=(-0.6, 0.3), y=(-0.05, 0.05), z=(-0.05, 0.05)),
    "spine1": JointLimits("yxz", x=(-0.2, 0.5), y=(-0.2, 0.2), z=(-0.25, 0.25)),
    "spine2": JointLimits("yxz", x=(-0.2, 0.45), y=(-0.3, 0.3), z=(-0.25, 0.25)),
    "spine3": JointLimits("yxz", x=(-0.2, 0.3), y=(-0.3, 0.3), z=(-0.15, 0.15)),
    "neck": JointLimits("yxz", x=(-0.4, 0.4), y=(-0.6, 0.6), z=(-0.3, 0.3)),
    "head": JointLimits("yxz", x=(-0.4, 0.4), y=(-0.6, 0.6), z=(-0.25, 0.25)),
    "left_collar": JointLimits("yzx", x=(-0.1, 0.1), y=(-0.35, 0.2), z=(-0.15, 0.5)),
    "left_shoulder": JointLimits("yzx", x=(-1.3, 1.0), y=(-2.0, 0.7), z=(-1.45, 1.25)),
    "left_elbow": JointLimits("yzx", x=(-0.9, 0.9), y=(-2.45, 0.0), z=(-0.05, 0.05)),
    "left_wrist": JointLimits("yzx", x=(-0.2, 0.2), y=(-0.4, 0.4), z=(-0.9, 0.8)),
    "left_hand": JointLimits("yzx", x=(-0.05, 0.05), y=(-0.1, 0.1), z=(-1.0, 0.15)),
}


def limits_of(joint: str) -> JointLimits | None:
    """Returns the limits of a joint of SMPL24 by name, mirrored for the right side; None for the pelvis."""
    if joint in JOINT_LIMITS:
        return JOINT_LIMITS[joint]
    left = JOINT_LIMITS.get(mirror_name(joint))
    if left is None:
        return None
    return dataclasses.replace(left, y=(-left.y[1], -left.y[0]), z=(-left.z[1], -left.z[0]))


def violation(pose) -> float:
    """Returns by how much (radians) the worst joint of a pose (72,) axis-angle leaves its limits; 0 if none."""
    worst = 0.0
    for joint, axis_angle in zip(SMPL24.joints, np.reshape(pose, (-1, 3)), strict=True):
        limits = limits_of(joint)
        if limits is not None:
            angles = axis_angle_to_euler(limits.order, axis_angle)
            for angle, (low, high) in zip(angles, (limits.x, limits.y, limits.z), strict=True):
                worst = max(worst, low - angle, angle - high)
    return float(worst)

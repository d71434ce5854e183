"""How far the joints of SMPL's skeleton turn, and random poses within these limits.

Angles are intrinsic Euler angles in the frame of the rest pose (x to the subject's left, y up, z forward), in an
order that puts the twist about the limb last: the first two angles say where the limb points. The ranges are
rounded from the textbook ranges of motion of healthy adults, a little inside the extremes. They are given for
the left side; the right side is its mirror image.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.body.collisions import self_penetration
from hpe.body.postures import random_posture
from hpe.skeletons import SMPL24, mirror_name

_AXES = {"x": 0, "y": 1, "z": 2}
_MIRROR = np.array([1.0, -1.0, -1.0])


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


def euler_to_axis_angle(order: str, angles):
    """Converts intrinsic Euler angles to axis-angle.

    Args:
        order: axes in the order of rotation, such as "yzx".
        angles: (..., 3) angles about x, y and z (not in the order of rotation), radians.

    Returns:
        (..., 3) axis-angle, with angles in [0, pi].
    """
    half = 0.5 * np.asarray(angles, np.float64)
    total = None
    for axis in order:
        index = _AXES[axis]
        turn = np.zeros((*half.shape[:-1], 4))
        turn[..., 0] = np.cos(half[..., index])
        turn[..., 1 + index] = np.sin(half[..., index])
        total = turn if total is None else _quaternion_product(total, turn)
    total = np.where(total[..., :1] < 0.0, -total, total)
    sine = np.linalg.norm(total[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, total[..., :1])
    return total[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)


def axis_angle_to_euler(order: str, axis_angle):
    """Converts axis-angle to the Euler angles (..., 3) about x, y and z of `euler_to_axis_angle`.

    The middle angle lies in [-pi/2, pi/2].
    """
    return rotmat_to_euler(order, _rotmat(np.asarray(axis_angle, np.float64)))


def rotmat_to_euler(order: str, rotmat):
    """Converts rotation matrices (..., 3, 3) to the Euler angles of `axis_angle_to_euler`."""
    matrix = np.asarray(rotmat, np.float64)
    i, j, k = (_AXES[axis] for axis in order)
    sign = 1.0 if (i + 1) % 3 == j else -1.0
    angles = np.empty(matrix.shape[:-1])
    angles[..., i] = np.arctan2(-sign * matrix[..., j, k], matrix[..., k, k])
    angles[..., j] = np.arcsin(np.clip(sign * matrix[..., i, k], -1.0, 1.0))
    angles[..., k] = np.arctan2(-sign * matrix[..., i, j], matrix[..., i, i])
    return angles


def clip_to_limits(pose):
    """Moves every joint but the root to the nearest Euler angles within its limits.

    Args:
        pose: (72,) axis-angle, radians.

    Returns:
        (72,) float64 axis-angle.
    """
    pose = np.array(pose, np.float64).reshape(-1, 3)
    for index, joint in enumerate(SMPL24.joints):
        limits = limits_of(joint)
        if limits is not None:
            angles = axis_angle_to_euler(limits.order, pose[index])
            low, high = zip(limits.x, limits.y, limits.z, strict=True)
            pose[index] = euler_to_axis_angle(limits.order, np.clip(angles, low, high))
    return pose.ravel()


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


def random_pose(generator, *, posture=None, variation=1.0, max_heading=np.pi, max_tilt=0.2, tries=20):
    """Draws a natural pose: a posture with variation, within joint limits, free of gross self-penetration.

    Args:
        generator: numpy.random.Generator.
        posture: a `postures.Posture`; None draws one by its share among people.
        variation: factor on the random deviation from the posture.
        max_heading: the body is turned about its vertical axis by up to this angle; 0 faces the camera.
        max_tilt: standard deviation-like bound of the tilt of the vertical axis, radians.
        tries: how many draws to make before the least self-penetrating one is taken.

    Returns:
        (72,) float32 axis-angle, root first, the root upright in the camera frame (y down): (pi, 0, 0) when
        heading and tilt are 0.
    """
    best, least = None, np.inf
    for _ in range(tries):
        pose = _draw(generator, posture, variation)
        depth = self_penetration(pose)
        if depth < least:
            best, least = pose, depth
        if least <= 0.0:
            break
    heading = generator.uniform(-max_heading, max_heading)
    tilt = generator.uniform(-max_tilt, max_tilt, size=2)
    # Turn upright first: R_x(pi) R_x(tilt) R_z(tilt) R_y(heading).
    best[0] = euler_to_axis_angle("xzy", np.array([np.pi + tilt[0], heading, tilt[1]]))
    return best.ravel().astype(np.float32)


def _draw(generator, posture, variation):
    """Returns (24, 3) axis-angle of a posture with noise, clipped to the limits; root at zero."""
    angles = random_posture(generator, posture)
    pose = np.zeros((len(SMPL24), 3))
    for index, joint in enumerate(SMPL24.joints):
        limits = limits_of(joint)
        if limits is None:
            continue
        # Postures speak of the left side in both cases; mirror the angles for the right.
        wanted = np.asarray(angles.get(joint, (0.0, 0.0, 0.0)), np.float64)
        if joint.startswith("right_"):
            wanted = wanted * _MIRROR
        low, high = (np.array(bounds) for bounds in zip(limits.x, limits.y, limits.z, strict=True))
        noise = 0.06 * variation * (high - low) * np.clip(generator.normal(size=3), -2.0, 2.0)
        pose[index] = euler_to_axis_angle(limits.order, np.clip(wanted + noise, low, high))
    return pose


def _quaternion_product(a, b):
    w = a[..., :1] * b[..., :1] - (a[..., 1:] * b[..., 1:]).sum(axis=-1, keepdims=True)
    vector = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return np.concatenate([w, vector], axis=-1)


def _rotmat(axis_angle):
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    axis = axis_angle / np.maximum(np.linalg.norm(axis_angle, axis=-1, keepdims=True), 1e-12)
    skew = np.swapaxes(np.cross(axis[..., None, :], np.eye(3)), -1, -2)
    return np.eye(3) + np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew

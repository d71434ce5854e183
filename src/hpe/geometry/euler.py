"""Intrinsic Euler angles in any order of axes, in NumPy: what joint limits and motion capture files speak."""

from __future__ import annotations

import numpy as np

_AXES = {"x": 0, "y": 1, "z": 2}


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


def _quaternion_product(a, b):
    (aw, ax, ay, az), (bw, bx, by, bz) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    product = (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )
    return np.stack(product, axis=-1)


def _rotmat(axis_angle):
    angle = np.linalg.norm(axis_angle, axis=-1)[..., None, None]
    axis = axis_angle / np.maximum(np.linalg.norm(axis_angle, axis=-1, keepdims=True), 1e-12)
    skew = np.swapaxes(np.cross(axis[..., None, :], np.eye(3)), -1, -2)
    return np.eye(3) + np.sin(angle) * skew + (1.0 - np.cos(angle)) * skew @ skew

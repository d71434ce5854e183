"""Logarithm and exponential of rotations in NumPy, double precision: for what is computed once per frame."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation


def rotation_log(rotmats) -> np.ndarray:
    """Returns the axis-angle vectors (..., 3), radians in [0, pi], of rotation matrices (..., 3, 3).

    Matrices that are a little off are taken for the nearest rotation.
    """
    rotmats = np.asarray(rotmats, np.float64)
    return Rotation.from_matrix(rotmats.reshape(-1, 3, 3)).as_rotvec().reshape(rotmats.shape[:-1])


def rotation_exp(axis_angle) -> np.ndarray:
    """Returns the rotation matrices (..., 3, 3) of axis-angle vectors (..., 3), radians."""
    axis_angle = np.asarray(axis_angle, np.float64)
    matrices = Rotation.from_rotvec(axis_angle.reshape(-1, 3)).as_matrix()
    return matrices.reshape(*axis_angle.shape[:-1], 3, 3)


def rotmats_to_quaternions(rotmats) -> np.ndarray:
    """Returns unit quaternions (..., 4), x, y, z, w with w >= 0, of rotation matrices (..., 3, 3)."""
    rotmats = np.asarray(rotmats, np.float64)
    quaternions = Rotation.from_matrix(rotmats.reshape(-1, 3, 3)).as_quat(canonical=True)
    return quaternions.reshape(*rotmats.shape[:-2], 4)

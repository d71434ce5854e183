"""How far rotations go beyond the limits of joints, differentiable: `hpe.body.limits` for whole batches."""

from __future__ import annotations

import numpy as np
from keras import ops

from hpe.body.limits import limits_of
from hpe.skeletons import SMPL24


# What `rotmat_to_euler` reads of a matrix with the axes i, j, k: sine and cosine of the first angle, sine of the
# middle one, sine and cosine of the last, each with its sign.
def _tables():
    entries = np.zeros((len(SMPL24) - 1, 9, 5), np.float32)
    bounds = np.zeros((2, len(SMPL24) - 1, 3), np.float32)
    for row, joint in enumerate(SMPL24.joints[1:]):
        limits = limits_of(joint)
        i, j, k = ("xyz".index(axis) for axis in limits.order)
        sign = 1.0 if (i + 1) % 3 == j else -1.0
        places = ((j, k, -sign), (k, k, 1.0), (i, k, sign), (i, j, -sign), (i, i, 1.0))
        for column, (first, second, factor) in enumerate(places):
            entries[row, 3 * first + second, column] = factor
        bounds[:, row] = np.transpose([getattr(limits, axis) for axis in limits.order])
    return entries, *bounds


_ENTRIES, _LOW, _HIGH = _tables()
# Near gimbal lock the outer angles' derivatives have no bound; a sine is kept this far from 1.
_FROM_LOCK = 1e-3


def leeway(rotmats):
    """Returns how far the joints of poses may turn: to their limits, or as far as they are turned already.

    Args:
        rotmats: (B, 24, 3, 3) rotation matrices, root first.

    Returns:
        Lowest and highest angles (B, 23, 3) of the joints but the root, in the order of each joint's rotation.
    """
    angles = _euler_angles(rotmats)
    return ops.minimum(angles, _LOW), ops.maximum(angles, _HIGH)


def limit_excess(rotmats, bounds):
    """Returns by how much angles leave the bounds of `leeway`, (B, 23, 3) radians; differentiable.

    Args:
        rotmats: (B, 24, 3, 3) rotation matrices, root first.
        bounds: of `leeway`.
    """
    angles, (low, high) = _euler_angles(rotmats), bounds
    return ops.relu(low - angles) + ops.relu(angles - high)


def _euler_angles(rotmats):
    """Returns the angles (B, 23, 3) of the joints but the root, in the order of each joint's rotation."""
    flat = ops.reshape(rotmats[:, 1:], (-1, len(SMPL24) - 1, 9))
    read = ops.sum(flat[..., None] * _ENTRIES, axis=2)
    middle = ops.arcsin(ops.clip(read[..., 2], -1.0 + _FROM_LOCK, 1.0 - _FROM_LOCK))
    outer = (ops.arctan2(read[..., index], read[..., index + 1]) for index in (0, 3))
    first, last = outer
    return ops.stack([first, middle, last], axis=-1)

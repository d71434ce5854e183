"""Fitting a predicted body to the 2D joints of a detector: a few steps of Adam on the parameters of every person.

The prediction is where the fit starts and what pulls it back, so that what joints cannot tell, depth above all,
stays as the network says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d

# Adam (Kingma & Ba 2015) with a rate in the unit of 6D rotations, and a short memory: the fit is short.
_RATE, _BETA_1, _BETA_2, _EPSILON = 0.02, 0.9, 0.99, 1e-8
# Joints further off than about this share of half the box are taken for errors of the detector (Geman & McClure).
_TOLERANCE = 0.15
# What a rotation entry, or a shape coefficient, away from the prediction costs.
_PULL, _SHAPE_PULL = 0.5, 0.05


def fit(start: Mapping, joints, project: Callable, *, steps: int) -> dict:
    """Fits bodies to 2D joints.

    Args:
        start: rotmats (B, 24, 3, 3), shape (B, S) and camera (B, 3), as predicted.
        joints: (B, J, 3) x, y in the person's box, see `networks.body_lifter.normalize_joints`, and the score,
            which is the joint's weight.
        project: function of a dict like `start` that yields its 2D joints (B, J, 2) in the box.
        steps: number of steps, at least 0.

    Returns:
        A dict like `start`.
    """
    num_joints = start["rotmats"].shape[1]
    rotations = ops.reshape(rotmat_to_rot6d(start["rotmats"]), (-1, 6 * num_joints))
    num_shapes = start["shape"].shape[1]
    first = ops.concatenate([rotations, start["shape"], start["camera"]], axis=-1)
    points, weights = joints[..., :2], joints[..., 2]

    def split(values):
        six = ops.reshape(values[:, : 6 * num_joints], (-1, num_joints, 6))
        shape, camera = values[:, 6 * num_joints : -3], values[:, -3:]
        return {"rotmats": rot6d_to_rotmat(six), "shape": shape, "camera": camera}

    def cost(values):
        squared = ops.sum(ops.square(project(split(values)) - points), axis=-1)
        away = ops.sum(weights * squared / (squared + _TOLERANCE**2), axis=-1)
        moved = ops.square(values - first)
        return (
            away
            + _PULL * ops.sum(moved[:, : 6 * num_joints], axis=-1)
            + _SHAPE_PULL * ops.sum(moved[:, 6 * num_joints : 6 * num_joints + num_shapes], axis=-1)
        )

    def step(index, state):
        values, mean, square = state
        gradient = input_gradient(cost, values)
        mean = _BETA_1 * mean + (1.0 - _BETA_1) * gradient
        square = _BETA_2 * square + (1.0 - _BETA_2) * ops.square(gradient)
        taken = ops.cast(index + 1, values.dtype)
        mean_hat = mean / (1.0 - ops.power(_BETA_1, taken))
        square_hat = square / (1.0 - ops.power(_BETA_2, taken))
        return values - _RATE * mean_hat / (ops.sqrt(square_hat) + _EPSILON), mean, square

    state = (first, ops.zeros_like(first), ops.zeros_like(first))
    return split(ops.fori_loop(0, steps, step, state)[0])

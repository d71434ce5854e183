"""Fitting predicted bodies to what a picture shows: a few steps of Adam on the parameters of every person.

The prediction is where the fit starts and what pulls it back, so that what the evidence cannot tell, depth above
all, stays as the network says. All people of a batch are fitted at once, each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.body.joint_bounds import leeway, limit_excess
from hpe.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d

# Adam (Kingma & Ba 2015) with a rate in the unit of 6D rotations, and a short memory: the fit is short.
_RATE, _BETA_1, _BETA_2, _EPSILON = 0.02, 0.9, 0.99, 1e-8
# Joints further off than about this share of half the box are taken for errors of the detector (Geman & McClure).
_TOLERANCE = 0.15
# What a rotation entry, or a shape coefficient, away from the prediction costs.
_PULL, _SHAPE_PULL = 0.5, 0.05
# What angles beyond the limits of joints cost; far beyond, about this many radians, Euler angles mean little.
_LIMITS, _FAR_BEYOND = 2.0, 0.3


def fit(start: Mapping, misfit: Callable, *, steps: int) -> dict:
    """Fits bodies to evidence.

    Joint angles that leave the limits of `hpe.body.limits`, and go further than they were predicted, cost besides.

    Args:
        start: rotmats (B, 24, 3, 3), shape (B, S) and camera (B, 3), as predicted.
        misfit: function of a dict like `start` that yields (B,), by how much each body contradicts its evidence:
            a sum over joints, see `joint_misfit`, to which more may be added. A person without evidence yields 0
            and stays as predicted.
        steps: number of steps, at least 0.

    Returns:
        A dict like `start`.
    """
    num_joints, num_shapes = start["rotmats"].shape[1], start["shape"].shape[1]
    num_rotations = 6 * num_joints
    rotations = ops.reshape(rotmat_to_rot6d(start["rotmats"]), (-1, num_rotations))
    first = ops.concatenate([rotations, start["shape"], start["camera"]], axis=-1)
    bounds = leeway(start["rotmats"])

    def split(values):
        six = ops.reshape(values[:, :num_rotations], (-1, num_joints, 6))
        shape, camera = values[:, num_rotations:-3], values[:, -3:]
        return {"rotmats": rot6d_to_rotmat(six), "shape": shape, "camera": camera}

    def cost(values):
        parameters = split(values)
        moved = ops.square(values - first)
        beyond = ops.square(limit_excess(parameters["rotmats"], bounds))
        return (
            misfit(parameters)
            + _LIMITS * ops.sum(beyond / (beyond + _FAR_BEYOND**2), axis=(1, 2))
            + _PULL * ops.sum(moved[:, :num_rotations], axis=-1)
            + _SHAPE_PULL * ops.sum(moved[:, num_rotations : num_rotations + num_shapes], axis=-1)
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


def joint_misfit(points, joints):
    """Returns (B,), the sum over joints of weight times a distance that grows to 1 for joints that are far off.

    Args:
        points: (B, J, 2) the body's joints in the person's box, see `networks.body_lifter.normalize_joints`.
        joints: (B, J, 3) x, y of the joints found, and the weight.
    """
    squared = ops.sum(ops.square(points - joints[..., :2]), axis=-1)
    return ops.sum(joints[..., 2] * squared / (squared + _TOLERANCE**2), axis=-1)

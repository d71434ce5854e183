"""Losses where 3D truth exists: rotations, shape and 3D joints (Kanazawa et al., HMR, 2018).

All are means of squared differences over the entries with a non-zero weight in the whole batch, and 0 where
there is none. HMR adds each with a factor of 0.5 times its 3D weight.
"""

from __future__ import annotations

import math

from keras import ops

from hpe import skeletons
from hpe.losses.means import Mean


def rotation_mse(predicted, target, weight) -> Mean:
    """Mean squared difference of rotation matrices.

    Args:
        predicted, target: (B, 24, 3, 3).
        weight: (B,) of each sample, 0 where it has no pose.

    Returns:
        Mean over the entries of the samples that count.
    """
    return _weighted_mse(predicted, target, weight)


def shape_mse(predicted, target, weight) -> Mean:
    """Mean squared difference of shapes (B, 10), with a weight (B,) per sample."""
    return _weighted_mse(predicted, target, weight)


def body_parameter_mse(
    predicted_rotmats, predicted_shape, target_rotmats, target_shape, pose_weight, shape_weight
) -> Mean:
    """Mean squared difference over the 216 rotation and 10 shape numbers together, as HMR has it.

    Args:
        predicted_rotmats, target_rotmats: (B, 24, 3, 3).
        predicted_shape, target_shape: (B, 10).
        pose_weight, shape_weight: (B,) of each sample, 0 where it lacks the one or the other.
    """
    weights = [
        ops.repeat(ops.cast(weight, "float32")[:, None], math.prod(values.shape[1:]), axis=1)
        for weight, values in ((pose_weight, predicted_rotmats), (shape_weight, predicted_shape))
    ]
    return _weighted_mse(
        _join(predicted_rotmats, predicted_shape),
        _join(target_rotmats, target_shape),
        ops.concatenate(weights, axis=1),
    )


def joints3d_mse(predicted, target, weights, *, skeleton=skeletons.COCOPLUS19) -> Mean:
    """Mean squared difference of 3D joints after both are centred on the middle of their hips.

    Args:
        predicted, target: (B, J, 3), metres, camera axes, in the order of `skeleton`.
        weights: (B, J); 0 where the target lacks the joint. A sample whose target lacks a hip cannot be
            centred and counts as absent.
        skeleton: the Skeleton of the joints.

    Returns:
        Mean, in square metres.
    """
    right, left = skeleton.index("right_hip"), skeleton.index("left_hip")
    predicted, target = ops.convert_to_tensor(predicted), ops.convert_to_tensor(target)
    centred = [x - 0.5 * (x[:, right : right + 1] + x[:, left : left + 1]) for x in (predicted, target)]
    weights = ops.convert_to_tensor(weights)
    has_hips = ops.logical_and(weights[:, right] > 0, weights[:, left] > 0)
    return _weighted_mse(*centred, weights * ops.cast(has_hips, weights.dtype)[:, None])


def _join(rotmats, shape):
    return ops.concatenate([ops.reshape(rotmats, (-1, 9 * rotmats.shape[1])), shape], axis=-1)


def _weighted_mse(predicted, target, weights) -> Mean:
    """Sum of weighted squares over the number of entries whose broadcast weight is not zero."""
    predicted, target, weights = (ops.convert_to_tensor(x) for x in (predicted, target, weights))
    weights = ops.reshape(weights, tuple(weights.shape) + (1,) * (len(predicted.shape) - len(weights.shape)))
    weights = ops.broadcast_to(ops.cast(weights, predicted.dtype), ops.shape(predicted))
    present = ops.not_equal(weights, 0)
    difference = ops.where(present, predicted - target, ops.zeros_like(predicted))
    count = ops.sum(ops.cast(present, predicted.dtype))
    return Mean(ops.sum(weights * ops.square(difference)), count)

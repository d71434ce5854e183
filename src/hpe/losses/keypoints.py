"""Keypoint reprojection: how far projected joints lie from the annotated ones."""

from __future__ import annotations

from keras import ops


def keypoint_l1(predicted, target):
    """Mean absolute difference of coordinates over the visible joints of the whole batch.

    sum_i v_i (|dx_i| + |dy_i|) / (2 sum_i v_i), as in HMR.

    Args:
        predicted: (B, J, 2) normalised crop coordinates.
        target: (B, J, 3) normalised x, y and visibility v >= 0; x and y are ignored where v is 0.

    Returns:
        Scalar in normalised units; 0 where no joint of the batch is visible.
    """
    predicted, target = ops.convert_to_tensor(predicted), ops.convert_to_tensor(target)
    visibility = target[..., 2:]
    seen = visibility > 0
    # The choice comes before the absolute value: garbage of an unlabelled joint must not reach the gradient.
    difference = ops.abs(ops.where(seen, predicted - target[..., :2], ops.zeros_like(predicted)))
    total = ops.sum(visibility * difference)
    count = 2.0 * ops.sum(ops.where(seen, visibility, ops.zeros_like(visibility)))
    return total / ops.where(count > 0, count, ops.ones_like(count))

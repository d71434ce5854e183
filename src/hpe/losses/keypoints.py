"""Keypoint reprojection: how far projected joints lie from the annotated ones."""

from __future__ import annotations

from keras import ops

from hpe.losses.means import Mean


def keypoint_l1(predicted, target, weight) -> Mean:
    """Mean absolute difference of coordinates over the visible joints of the whole batch.

    sum_i v_i (|dx_i| + |dy_i|) / (2 sum_i v_i), as in HMR.

    Args:
        predicted: (B, J, 2) normalised crop coordinates.
        target: (B, J, 2) normalised crop coordinates, ignored where the weight is 0.
        weight: (B, J) visibility or confidence v >= 0.

    Returns:
        Mean, in normalised units; its count is twice the sum of the visibilities.
    """
    predicted, target = ops.convert_to_tensor(predicted), ops.convert_to_tensor(target)
    visibility = ops.convert_to_tensor(weight)[..., None]
    seen = visibility > 0
    # The choice comes before the absolute value: garbage of an unlabelled joint must not reach the gradient.
    difference = ops.abs(ops.where(seen, predicted - target, ops.zeros_like(predicted)))
    # Where nothing is seen the difference is 0, but the visibility may be anything that is not above 0.
    visibility = ops.where(seen, visibility, ops.zeros_like(visibility))
    return Mean(ops.sum(visibility * difference), 2.0 * ops.sum(visibility))


def keypoint_mse(predicted, target, weight) -> Mean:
    """Mean squared difference of coordinates over the labelled joints of the whole batch, by their confidence.

    sum_i c_i (dx_i^2 + dy_i^2) / (2 n) with the n joints whose confidence c_i is above 0. SPIN and PARE divide by
    all joints, so that the same error costs less in a picture with fewer labels.

    Args:
        predicted, target: (B, J, 2) normalised crop coordinates; the target is ignored where the confidence is 0.
        weight: (B, J) confidence, at least 0.

    Returns:
        Mean, in squared normalised units; its count is twice the number of labelled joints.
    """
    predicted, target = ops.convert_to_tensor(predicted), ops.convert_to_tensor(target)
    confidence = ops.convert_to_tensor(weight)[..., None]
    labelled = confidence > 0
    difference = ops.where(labelled, predicted - target, ops.zeros_like(predicted))
    confidence = ops.where(labelled, confidence, ops.zeros_like(confidence))
    count = ops.sum(ops.cast(labelled, predicted.dtype))
    return Mean(ops.sum(confidence * ops.square(difference)), 2.0 * count)

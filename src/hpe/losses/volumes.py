"""3D joints read from volumes, against the truth: in space where there is one, else in the picture alone."""

from __future__ import annotations

from keras import ops

from hpe.losses.means import Mean

# A volume reaches from 1 m before the root to 1 m behind it.
VOLUME_DEPTH = 2.0
# Coordinates of volumes reach from -1/2 to 1/2.
_EDGE = 0.5


def volume_coordinates(joints2d, joints3d, weight2d, weight3d, *, root: int):
    """Turns the truth of a batch into coordinates of volumes.

    Args:
        joints2d: (B, J, 2) normalised crop coordinates.
        joints3d: (B, J, 3) metres, camera axes.
        weight2d, weight3d: (B, J).
        root: the joint that lies in the middle of the depths.

    Returns:
        places (B, J, 3): x and y of the crop and z from the root, over 2 m, cut off at [-1/2, 1/2]; and weights
        (B, J, 3): 0 for x and y of joints that are not labelled or lie outside of the crop, and for z where the
        joint's or the root's depth is unknown, else 1.
    """
    known2d, known3d = ops.convert_to_tensor(weight2d) > 0, ops.convert_to_tensor(weight3d) > 0
    # The choices come first: what stands in unlabelled joints may be anything.
    places = 0.5 * ops.where(known2d[..., None], ops.cast(joints2d, "float32"), 0.0)
    # A mean over the cells cannot leave them.
    inside = ops.all(ops.abs(places) <= _EDGE, axis=-1)
    in_plane = ops.cast(ops.logical_and(known2d, inside), "float32")[..., None]
    depths = ops.where(known3d, ops.cast(joints3d, "float32")[..., 2], 0.0)
    depths = (depths - depths[:, root : root + 1]) / VOLUME_DEPTH
    deep = ops.cast(ops.logical_and(known3d, known3d[:, root : root + 1]), "float32")
    target = ops.concatenate([places, ops.clip(depths, -_EDGE, _EDGE)[..., None]], axis=-1)
    weights = ops.concatenate([in_plane, in_plane, deep[..., None]], axis=-1)
    return ops.where(weights > 0, target, 0.0), weights


def volume_l1(predicted, target, weights) -> Mean:
    """Mean absolute difference over the coordinates that are known in the whole batch.

    Args:
        predicted, target: (B, J, 3) of `hpe.networks.soft_argmax` and `volume_coordinates`.
        weights: (B, J, 3).

    Returns:
        Mean, in sides of the volume; its count is a third of the weights' sum, so that a joint with all three
        coordinates counts as one.
    """
    difference = ops.abs(ops.where(weights > 0, predicted - target, 0.0))
    return Mean(ops.sum(weights * difference), ops.sum(weights) / 3.0)

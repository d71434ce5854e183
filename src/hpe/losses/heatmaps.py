"""Heat maps against those drawn around the labelled joints: the loss, and how many peaks are in place."""

from __future__ import annotations

from keras import ops

from hpe.losses.means import Mean
from hpe.networks.heatmaps import find_peaks

# A peak is in place within half of a tenth of the map's sides; targets on the first two lines do not count.
_SHARE_OF_SIDE = 0.1
_THRESHOLD = 0.5
_FIRST_CELL = 1


def heatmap_mse(predicted, target, weights) -> Mean:
    """Half the mean squared difference over the cells of a map, averaged over all joints of all samples.

    sum_ij w_ij^2 mean_xy (p - t)^2 / (2 B J), as in HRNet: joints of weight 0 cost nothing, but they count.

    Args:
        predicted: (B, H, W, J).
        target: (B, H, W, J).
        weights: (B, J), at least 0.
    """
    predicted = ops.cast(predicted, "float32")
    weights = ops.cast(weights, "float32")
    costs = 0.5 * ops.mean(ops.square(predicted - target), axis=(1, 2)) * ops.square(weights)
    return Mean(ops.sum(costs), ops.sum(ops.ones_like(weights)))


def heatmap_accuracy(predicted, target) -> Mean:
    """Share of the peaks that are where they should be, averaged over the joints that occur in the batch.

    Distances are those of the highest cells, x and y each over a tenth of the map's side; below 0.5 is in place.
    Only peaks of the target beyond the first two rows and columns count, as in HRNet.

    Args:
        predicted: (B, H, W, J).
        target: (B, H, W, J), maps without a peak are left out.

    Returns:
        Mean of the accuracies of joints, in [0, 1]; its count is the number of joints.
    """
    found, _ = find_peaks(predicted)
    true, _ = find_peaks(target)
    height, width = target.shape[1:3]
    sides = ops.convert_to_tensor([_SHARE_OF_SIDE * width, _SHARE_OF_SIDE * height], dtype="float32")
    distances = ops.sqrt(ops.sum(ops.square((found - true) / sides), axis=-1))
    counts = ops.cast(ops.all(true > _FIRST_CELL, axis=-1), "float32")
    hits = ops.cast(distances < _THRESHOLD, "float32") * counts
    seen = ops.sum(counts, axis=0)
    shares = ops.sum(hits, axis=0) / ops.maximum(seen, 1.0)
    return Mean(ops.sum(shares), ops.sum(ops.cast(seen > 0, "float32")))

"""Heat maps and masks against labels: their losses, and how many peaks are in place."""

from __future__ import annotations

import numpy as np
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


def location_entropy(logits, places, weights, *, deviation=1.2) -> Mean:
    """Cross-entropy of the cell where a joint lies, against a normal distribution around its place.

    Args:
        logits: (B, H, W, J); their softmax over all cells of a joint is its distribution.
        places: (B, J, 2) x and y in cells, centres at integers; joints outside the map do not count.
        weights: (B, J), at least 0.
        deviation: standard deviation of the target, in cells.

    Returns:
        Mean in nats, over the joints that count.
    """
    logits = ops.cast(logits, "float32")
    height, width, count = logits.shape[1:]
    rows, columns = (grid.ravel()[None, :, None] for grid in np.mgrid[:height, :width].astype(np.float32))
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0.0) & (x <= width - 1.0) & (y >= 0.0) & (y <= height - 1.0)
    weights = ops.where(inside, ops.cast(weights, "float32"), 0.0)
    x, y = (ops.where(inside, value, 0.0)[:, None] for value in (x, y))
    target = ops.exp((-0.5 / deviation**2) * (ops.square(columns - x) + ops.square(rows - y)))
    target = target / ops.sum(target, axis=1, keepdims=True)
    flat = ops.reshape(logits, (-1, height * width, count))
    costs = -ops.sum(target * ops.log_softmax(flat, axis=1), axis=1)
    return Mean(ops.sum(costs * weights), ops.sum(weights))


def mask_entropy(logits, mask, weight) -> Mean:
    """Binary cross-entropy of a map of logits against a finer mask.

    Args:
        logits: (B, H, W).
        mask: (B, S, S), non-zero where the person is; S is a multiple of H. A cell's target is the share of its
            pixels that belong to the person.
        weight: (B,), 0 where the sample has no mask.

    Returns:
        Mean in nats a cell, over the samples that count.
    """
    logits = ops.cast(logits, "float32")
    height, width = logits.shape[1:]
    inside = ops.cast(ops.cast(mask, "bool"), "float32")
    steps = inside.shape[1] // height, inside.shape[2] // width
    target = ops.mean(ops.reshape(inside, (-1, height, steps[0], width, steps[1])), axis=(2, 4))
    costs = ops.softplus(logits) - target * logits
    weight = ops.cast(weight, "float32")
    return Mean(ops.sum(ops.mean(costs, axis=(1, 2)) * weight), ops.sum(weight))

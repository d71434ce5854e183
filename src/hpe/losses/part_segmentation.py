"""Where the parts of a body are: cross-entropy of maps of parts against labels, and a prior of the camera."""

from __future__ import annotations

from keras import ops

from hpe.losses.means import Mean, mean_of

# As steep as SPIN has it.
_STEEPNESS = 10.0


def part_cross_entropy(logits, labels, weight) -> Mean:
    """Mean over the cells of the cross-entropy of their parts, the background among them.

    PARE enlarges its maps to the labels; here the labels are taken at the cells' places, of which each stands for
    as many pixels as any other. That costs a sixteenth.

    Args:
        logits: (B, H, W, C) of the classes, background first.
        labels: (B, S, S) whole numbers below C, S a multiple of H and W.
        weight: (B,) of each sample, 0 where it has no labels.

    Returns:
        Mean over the cells of the samples that count.

    Raises:
        ValueError: if the labels' side is no multiple of the maps'.
    """
    logits = ops.cast(logits, "float32")
    labels = ops.convert_to_tensor(labels)
    (height, width), size = logits.shape[1:3], labels.shape[1:3]
    if size[0] % height or size[1] % width:
        raise ValueError(f"labels must be a multiple of the maps. Received: {tuple(size)}, {(height, width)}")
    down, across = size[0] // height, size[1] // width
    # The middle of a cell, or the pixel before it.
    cells = ops.cast(labels[:, (down - 1) // 2 :: down, (across - 1) // 2 :: across], "int32")
    present = ops.convert_to_tensor(weight) > 0
    chosen = ops.one_hot(cells, logits.shape[-1], dtype="float32")
    # The choice comes first: what a sample without labels says must not reach the gradient as infinity times 0.
    logits = ops.where(present[:, None, None, None], logits, ops.zeros_like(logits))
    costs = -ops.sum(chosen * ops.log_softmax(logits, axis=-1), axis=(1, 2, 3))
    weights = ops.where(present, ops.cast(weight, "float32"), ops.zeros_like(costs))
    return Mean(ops.sum(weights * costs), height * width * ops.sum(ops.cast(present, "float32")))


def camera_prior(camera) -> Mean:
    """Mean of exp(-10 s)^2, which keeps the scale s of a weak-perspective camera (B, 3) above 0 (SPIN)."""
    return mean_of(ops.square(ops.exp(-_STEEPNESS * camera[:, 0])))

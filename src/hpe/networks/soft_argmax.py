"""Volumes of logits become 3D joints: the mean place under a softmax, without a grid of places.

After Sun et al., "Integral Human Pose Regression" (2018), in the layout of HEMlets (Zhou et al., 2019): one
volume a joint, whose cells along each axis lie at i / (cells - 1) - 1/2, so that they reach exactly from -1/2
to 1/2.
"""

from __future__ import annotations

import numpy as np
from keras import ops


def volumetric_soft_argmax(logits, joints: int):
    """Returns the mean place in each volume, weighted by the softmax over all its cells.

    The softmax is never written out, nor multiplied by coordinates of cells: of exp(logit) two reductions are left,
    one along z that gives each column's sum and its first moment, and one over the columns. What grows with the
    volume beyond the logits is that one exponential, and in the gradient one array more.

    Args:
        logits: (B, H, W, J Z): channel j Z + z is the cell at depth z of joint j.
        joints: number J of volumes.

    Returns:
        (B, J, 3) float32: x, y, z in [-1/2, 1/2].

    Raises:
        ValueError: the channels are not Z for each joint, or an axis has fewer than two cells.
    """
    height, width, channels = logits.shape[1:]
    depth, rest = divmod(channels, joints)
    if rest or min(height, width, depth) < 2:
        raise ValueError(
            "logits must be (B, H, W, joints * Z) with at least two cells along each axis. "
            f"Received: shape={tuple(logits.shape)}, joints={joints}"
        )
    logits = ops.reshape(ops.cast(logits, "float32"), (-1, height * width, joints, depth))
    # The result does not depend on what is subtracted.
    highest = ops.stop_gradient(ops.max(logits, axis=(1, 3), keepdims=True))
    weights = ops.exp(logits - highest)
    columns = ops.matmul(weights, np.stack([np.ones(depth, np.float32), _places(depth)], axis=1))
    y, x = (grid.ravel() for grid in np.meshgrid(_places(height), _places(width), indexing="ij"))
    moments = ops.einsum("bcj,ck->bjk", columns[..., 0], np.stack([np.ones_like(x), x, y], axis=1))
    along_z = ops.sum(columns[..., 1], axis=1)
    return ops.concatenate([moments[..., 1:], along_z[..., None]], axis=-1) / moments[..., :1]


def _places(cells: int) -> np.ndarray:
    return np.linspace(-0.5, 0.5, cells, dtype=np.float32)

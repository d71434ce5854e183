"""Bilinear upsampling by which the corners of a map stay its corners, as PyTorch's `align_corners=True` has it.

Cell o of n_out lies at o (n_in - 1) / (n_out - 1) of the n_in cells; resizing in Keras and TensorFlow aligns the
areas of cells instead. Both are linear along each axis, so that this one is two products with fixed matrices.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


def aligned_matrix(cells: int, enlarged: int) -> np.ndarray:
    """Returns the (enlarged, cells) float32 matrix that resamples a line of cells with its ends aligned."""
    places = np.zeros(1) if enlarged == 1 else np.arange(enlarged) * ((cells - 1) / (enlarged - 1))
    first = np.clip(np.floor(places).astype(int), 0, max(cells - 2, 0))
    share = places - first
    matrix = np.zeros((enlarged, cells))
    rows = np.arange(enlarged)
    matrix[rows, first] = 1.0 - share
    # Of a single cell there is no second.
    matrix[rows, np.minimum(first + 1, cells - 1)] += share
    return matrix.astype(np.float32)


@keras.saving.register_keras_serializable(package="hpe")
class AlignedUpsampling(keras.layers.Layer):
    """Enlarges maps (B, H, W, C) to (B, factor H, factor W, C), corners aligned.

    Args:
        factor: a whole number of at least 1.
    """

    def __init__(self, factor: int = 2, **kwargs):
        super().__init__(**kwargs)
        if factor < 1:
            raise ValueError(f"factor must be at least 1. Received: factor={factor}")
        self.factor = factor

    def call(self, maps):
        """Returns the enlarged maps; height and width must be known when the graph is made."""
        height, width, channels = maps.shape[1:]
        tall, wide = self.factor * height, self.factor * width
        down = ops.cast(aligned_matrix(height, tall), maps.dtype)
        across = ops.cast(aligned_matrix(width, wide), maps.dtype)
        rows = ops.matmul(down, ops.reshape(maps, (-1, height, width * channels)))
        return ops.matmul(across, ops.reshape(rows, (-1, tall, width, channels)))

    def compute_output_shape(self, shape):
        """Returns the shape of the enlarged maps."""
        batch, height, width, channels = shape
        return (batch, self.factor * height, self.factor * width, channels)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "factor": self.factor}

"""The residual MLP from 2D to 3D joints, and the fixed statistics between which it works.

After Martinez et al., "A simple yet effective baseline for 3d human pose estimation" (2017).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from hpe.networks.randomness import batch_uniform

# Two dense layers between a block's input and the sum with it.
_LAYERS_PER_BLOCK = 2

# Of batch normalisation: that of TensorFlow 1's layer, which the reference code of Martinez et al. leaves as it is.
_EPSILON = 1e-3

# Martinez et al. bound every whole kernel by this.
MAX_NORM = 1.0


@keras.saving.register_keras_serializable(package="hpe")
class TotalNorm(keras.constraints.Constraint):
    """Scales a weight down until the Frobenius norm of the whole is at most `limit`.

    Keras's `MaxNorm` bounds every column by itself.
    """

    def __init__(self, limit: float = MAX_NORM):
        self.limit = limit

    def __call__(self, weight):
        """Returns the weight within the bound."""
        norm = ops.sqrt(ops.sum(ops.square(weight)))
        return weight * (self.limit / ops.maximum(norm, self.limit))

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {"limit": self.limit}


@keras.saving.register_keras_serializable(package="hpe")
class Lifter(keras.Model):
    """Dense layer, then blocks of two dense layers whose output is added to their input, then a dense layer.

    Every dense layer but the last is followed by batch normalisation, ReLU and dropout. Nothing follows the sum
    of a block. Kernels and biases start from normal distributions of variance 2 / inputs, truncated at two standard
    deviations.

    Args:
        outputs: numbers that the last layer yields.
        linear_size: width of the hidden layers.
        num_blocks: number of blocks.
        residual: whether the input of a block is added to its output.
        batch_norm: whether there is batch normalisation.
        dropout: rate of every dropout.
        max_norm: whether the Frobenius norm of every kernel is held at `MAX_NORM` or below.
        mixed_precision: whether the square matrix products are computed in bfloat16 in training; weights, sums of
            blocks and inference stay in float32.
    """

    def __init__(
        self,
        outputs: int,
        *,
        linear_size: int = 1024,
        num_blocks: int = 2,
        residual: bool = True,
        batch_norm: bool = True,
        dropout: float = 0.5,
        max_norm: bool = False,
        mixed_precision: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        for name, value in (("outputs", outputs), ("linear_size", linear_size), ("num_blocks", num_blocks)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1. Received: {name}={value}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1). Received: dropout={dropout}")
        self.outputs, self.linear_size, self.num_blocks = outputs, linear_size, num_blocks
        self.residual, self.batch_norm, self.max_norm = residual, batch_norm, max_norm
        self.dropout, self.mixed_precision = dropout, mixed_precision
        hidden = 1 + _LAYERS_PER_BLOCK * num_blocks
        self._hidden = [self._dense(linear_size, f"hidden_{i}") for i in range(hidden)]
        self._norms = [
            keras.layers.BatchNormalization(epsilon=_EPSILON, name=f"norm_{i}")
            for i in range(hidden if batch_norm else 0)
        ]
        self._output = self._dense(outputs, "output")

    def _dense(self, units: int, name: str) -> keras.layers.Dense:
        return keras.layers.Dense(units, kernel_constraint=TotalNorm() if self.max_norm else None, name=name)

    def build(self, input_shape):
        """Creates the weights for inputs of shape (B, I)."""
        width = input_shape[-1]
        for layer in (*self._hidden, self._output):
            deviation = math.sqrt(2.0 / width)
            layer.kernel_initializer = keras.initializers.TruncatedNormal(stddev=deviation)
            layer.bias_initializer = keras.initializers.TruncatedNormal(stddev=deviation)
            layer.build((None, width))
            if self.max_norm:
                layer.kernel.assign(layer.kernel_constraint(layer.kernel))
            width = layer.units
        for norm in self._norms:
            norm.build((None, self.linear_size))

    def call(self, inputs, training=False, seed=None):
        """Lifts standardised joints.

        Args:
            inputs: (B, I).
            training: whether dropout acts and batch statistics are used.
            seed: integer pair (2,), or a `BatchSeed`, from which all dropout masks derive; needed in training
                unless the dropout rate is 0.

        Returns:
            (B, outputs).
        """
        masks = self.dropout_masks(ops.shape(inputs)[0], seed) if training and self.dropout else None

        def hidden(index, x):
            # The first layer is as small as the last; both see coordinates.
            if training and self.mixed_precision and index:
                x = _half_precision_dense(self._hidden[index], x)
            else:
                x = self._hidden[index](x)
            if self.batch_norm:
                x = self._norms[index](x, training=training)
            x = ops.relu(x)
            return x if masks is None else ops.where(masks[index], x * self._gain, 0.0)

        x = hidden(0, inputs)
        for block in range(self.num_blocks):
            start, y = 1 + _LAYERS_PER_BLOCK * block, x
            for index in range(start, start + _LAYERS_PER_BLOCK):
                y = hidden(index, y)
            x = x + y if self.residual else y
        return self._output(x)

    @property
    def _gain(self) -> float:
        return 1.0 / (1.0 - self.dropout)

    def dropout_masks(self, batch, seed):
        """Returns per hidden layer which units stay, (B, units) bool, from one draw."""
        if seed is None:
            raise ValueError("Dropout in training takes its masks from a seed. Received: seed=None")
        keep = batch_uniform(batch, (len(self._hidden) * self.linear_size,), seed) >= self.dropout
        edges = np.arange(len(self._hidden) + 1) * self.linear_size
        return [keep[:, start:stop] for start, stop in itertools.pairwise(edges)]

    def get_config(self):
        """Returns the arguments of the constructor."""
        names = ("outputs", "linear_size", "num_blocks", "residual", "batch_norm", "dropout", "max_norm")
        names += ("mixed_precision",)
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _half_precision_dense(layer: keras.layers.Dense, x):
    """Returns what a dense layer computes, the product in bfloat16, the result in the type of `x`."""
    product = ops.matmul(ops.cast(x, "bfloat16"), ops.cast(layer.kernel, "bfloat16"))
    return ops.cast(product, x.dtype) + layer.bias


@keras.saving.register_keras_serializable(package="hpe")
class Standardization(keras.Model):
    """Fixed means and standard deviations of a lifter's inputs and outputs, as weights that are not trained.

    The weights travel with checkpoints. Until `adapt` all means are 0 and all deviations 1.

    Args:
        input_shape: shape of one input, such as (16, 2).
        output_shape: shape of one output, such as (16, 3).
    """

    def __init__(self, input_shape: Sequence[int], output_shape: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self._shapes = {"input": tuple(input_shape), "output": tuple(output_shape)}
        self._mean, self._deviation = {}, {}
        for side, shape in self._shapes.items():
            self._mean[side] = self._statistic(f"{side}_mean", shape, "zeros")
            self._deviation[side] = self._statistic(f"{side}_deviation", shape, "ones")
        self.built = True

    def _statistic(self, name, shape, initializer):
        # Without autocast: half precision would move joints by pixels.
        return self.add_weight(
            shape=shape, initializer=initializer, trainable=False, name=name, autocast=False
        )

    def adapt(self, *, input_mean, input_deviation, output_mean, output_deviation) -> None:
        """Takes statistics, each of the shape of one input or output.

        Raises:
            ValueError: a shape is another, a number is not finite, or a deviation is not above 0.
        """
        given = {
            "input": (input_mean, input_deviation),
            "output": (output_mean, output_deviation),
        }
        for side, pair in given.items():
            mean, deviation = (np.asarray(value, np.float32) for value in pair)
            for what, value in (("mean", mean), ("deviation", deviation)):
                if value.shape != self._shapes[side]:
                    raise ValueError(
                        f"the {side} {what} must have shape {self._shapes[side]}. Received: shape={value.shape}"
                    )
                if not np.isfinite(value).all():
                    raise ValueError(f"the {side} {what} must be finite.")
            if not (deviation > 0).all():
                place = ", ".join(map(str, np.argwhere(deviation <= 0)[0]))
                raise ValueError(f"the {side} deviation must be above 0, and is not at [{place}].")
            self._mean[side].assign(mean)
            self._deviation[side].assign(deviation)

    def call(self, inputs):
        """Returns inputs (B, *input_shape) standardised, shape and type float32 kept."""
        return self._standardize("input", inputs)

    def standardize_outputs(self, values):
        """Returns outputs (B, *output_shape) standardised."""
        return self._standardize("output", values)

    def restore_outputs(self, standardized):
        """Undoes `standardize_outputs`."""
        return standardized * self._deviation["output"] + self._mean["output"]

    def _standardize(self, side, values):
        return (values - self._mean[side]) / self._deviation[side]

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "input_shape": list(self._shapes["input"]),
            "output_shape": list(self._shapes["output"]),
        }

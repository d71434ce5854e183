"""The iterative regressor: from image features to camera, pose and shape in a few corrective stages."""

from __future__ import annotations

import itertools

import keras
import numpy as np
from keras import ops

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.networks.randomness import batch_uniform

CAMERA_SIZE = 3
THETA_SIZE = CAMERA_SIZE + POSE_SIZE + NUM_SHAPES

# Variance scaling of the last layer, as in HMR: the first correction is close to zero, so that training
# starts at the mean body.
_OUTPUT_SCALE = 0.01


@keras.saving.register_keras_serializable(package="hpe")
class IterativeRegressor(keras.Model):
    """Corrects the mean theta stage by stage; all stages share their weights (Kanazawa et al., HMR, 2018).

    theta = [s, tx, ty | 72 axis-angle, root first | 10 shape]; theta_{t+1} = theta_t + f([features, theta_t])
    with f = Dense ReLU, dropout, Dense ReLU, dropout, Dense. Dropout acts in every stage.

    Args:
        mean_theta: (85,) where the first stage starts; becomes a trainable variable.
        num_stages: number of corrections.
        dropout: rate of both dropouts.
        hidden_units: width of each hidden layer.

    Attributes:
        mean_theta: trainable variable (1, 85).
    """

    def __init__(self, mean_theta, *, num_stages=3, dropout=0.5, hidden_units=(1024, 1024), **kwargs):
        super().__init__(**kwargs)
        initial = np.asarray(mean_theta, dtype="float32")
        if initial.shape != (THETA_SIZE,):
            raise ValueError(f"mean_theta must have shape ({THETA_SIZE},). Received: shape={initial.shape}")
        if num_stages < 1:
            raise ValueError(f"num_stages must be at least 1. Received: num_stages={num_stages}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1). Received: dropout={dropout}")
        self.num_stages = num_stages
        self.dropout = dropout
        self.hidden_units = tuple(hidden_units)
        self._initial_theta = initial
        # Without autocast: half-precision angles and translations would be off by degrees and pixels.
        self.mean_theta = self.add_weight(
            shape=(1, THETA_SIZE),
            initializer=lambda shape, dtype: ops.convert_to_tensor(initial[None], dtype=dtype),
            name="mean_theta",
            autocast=False,
        )
        self._hidden = [
            keras.layers.Dense(units, activation="relu", name=f"hidden_{i}")
            for i, units in enumerate(self.hidden_units)
        ]
        self._output = keras.layers.Dense(
            THETA_SIZE,
            kernel_initializer=keras.initializers.VarianceScaling(
                scale=_OUTPUT_SCALE, mode="fan_avg", distribution="uniform"
            ),
            dtype="float32",
            name="correction",
        )

    def build(self, features_shape):
        """Creates the weights for features of shape (B, F)."""
        width = features_shape[-1] + THETA_SIZE
        for layer in (*self._hidden, self._output):
            layer.build((None, width))
            width = layer.units

    def call(self, features, training=False, seed=None):
        """Regresses theta.

        Args:
            features: (B, F).
            training: whether dropout acts.
            seed: integer pair (2,), or a `BatchSeed`, from which the dropout masks of all stages derive; needed
                in training unless the dropout rate is 0.

        Returns:
            List of `num_stages` thetas (B, 85), float32.
        """
        batch = ops.shape(features)[0]
        masks = self.dropout_masks(batch, seed) if training and self.dropout else None
        theta = ops.broadcast_to(ops.convert_to_tensor(self.mean_theta), (batch, THETA_SIZE))
        thetas = []
        for stage in range(self.num_stages):
            x = ops.concatenate([features, ops.cast(theta, features.dtype)], axis=-1)
            for i, layer in enumerate(self._hidden):
                x = layer(x)
                if masks is not None:
                    x = x * ops.cast(masks[stage][i], x.dtype)
            theta = theta + self._output(x)
            thetas.append(theta)
        return thetas

    def dropout_masks(self, batch, seed):
        """Returns per stage and hidden layer a mask (B, units) of 0 and 1 / (1 - rate), from one draw."""
        if seed is None:
            raise ValueError("Dropout in training takes its masks from a seed. Received: seed=None")
        draw = batch_uniform(batch, (self.num_stages, sum(self.hidden_units)), seed)
        keep = ops.cast(draw >= self.dropout, "float32") / (1.0 - self.dropout)
        edges = np.cumsum((0, *self.hidden_units))
        return [
            [keep[:, stage, start:stop] for start, stop in itertools.pairwise(edges)]
            for stage in range(self.num_stages)
        ]

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "mean_theta": self._initial_theta.tolist(),
            "num_stages": self.num_stages,
            "dropout": self.dropout,
            "hidden_units": list(self.hidden_units),
        }

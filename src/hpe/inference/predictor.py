"""A system compiled for prediction: batches of inputs in, Predictions out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hpe.systems.prediction import Prediction

# What systems take, by `input_key`.
_DTYPES = {"image": tf.uint8, "joints2d": tf.float32}


class Predictor:
    """Runs a system without training, compiled once per batch size.

    Args:
        system: a `hpe.systems.base.Predicts`.
    """

    def __init__(self, system):
        self.system = system
        self._dtype = _DTYPES[system.input_key]
        self._infer = tf.function(system.infer, autograph=False)

    @property
    def image_size(self) -> int:
        """Side of the crops in pixels, of a system that takes images."""
        return self.system.input_shape[0]

    def __call__(self, inputs) -> Prediction:
        """Predicts people: of crops (B, S, S, 3), uint8 RGB, or whatever else the system takes."""
        expected = tuple(self.system.input_shape)
        if tuple(inputs.shape[1:]) != expected:
            raise ValueError(
                f"Inputs must be {('B', *expected)}. Received: shape={tuple(inputs.shape)}".replace("'", "")
            )
        return self.system.to_prediction(self._infer(tf.convert_to_tensor(inputs, self._dtype)))

    def predict_one(self, value: np.ndarray) -> Prediction:
        """Predicts the person of one input, such as a crop (S, S, 3), uint8 RGB."""
        return self(value[None])

"""A system compiled for prediction: batches of square crops in, Predictions out."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hpe.prediction import Prediction


class Predictor:
    """Runs a system without training, compiled once per batch size.

    Args:
        system: a `hpe.systems.base.System`.
        image_size: side of the crops in pixels.
    """

    def __init__(self, system, *, image_size: int):
        self.system = system
        self.image_size = image_size
        self._infer = tf.function(system.infer, autograph=False)

    def __call__(self, images) -> Prediction:
        """Predicts the people of crops (B, S, S, 3), uint8 RGB."""
        expected = (self.image_size, self.image_size, 3)
        if tuple(images.shape[1:]) != expected:
            size = self.image_size
            raise ValueError(f"Crops must be (B, {size}, {size}, 3). Received: shape={tuple(images.shape)}")
        return self.system.to_prediction(self._infer(tf.convert_to_tensor(images, tf.uint8)))

    def predict_one(self, image: np.ndarray) -> Prediction:
        """Predicts the person of one crop (S, S, 3), uint8 RGB."""
        return self(image[None])

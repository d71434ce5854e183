"""A system compiled for prediction: batches of inputs in, Predictions out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpe.errors import SettingError
from hpe.systems.prediction import Prediction

if TYPE_CHECKING:
    from hpe.systems.refinement import Evidence

# What systems take, by `input_key`.
_DTYPES = {"image": np.uint8, "joints2d": np.float32}


class Predictor:
    """Runs a system without training, compiled once per batch size unless it is ready.

    Attributes:
        system: the `hpe.systems.base.Predicts`.
        refine: steps by which every body is fitted to the 2D joints found in its crop, or to other evidence.
        refinement: what fits them, None for 0 steps.
        compiles: whether it is compiled, by TensorFlow, for every batch size; one with networks is.

    Args:
        system: the system.
        refine: the steps; None takes those of the system's settings, which are 0 for most.

    Raises:
        SettingError: the system predicts no body that could be fitted.
    """

    def __init__(self, system, *, refine: int | None = None):
        self.system = system
        self.refine = getattr(system, "refine", 0) if refine is None else refine
        if self.refine < 0:
            raise SettingError("refine", "must not be negative.", self.refine)
        self._dtype = _DTYPES[system.input_key]
        self.compiles = hasattr(system, "networks")
        self._infer, self.refinement = system.infer, None
        if self.compiles:
            import tensorflow as tf

            self._infer = tf.function(system.infer, autograph=False)
        if self.refine:
            from hpe.systems.refinement import Refinement

            self.refinement = Refinement(system, steps=self.refine)

    @property
    def image_size(self) -> int:
        """Side of the crops in pixels, of a system that takes images."""
        return self.system.input_shape[0]

    def __call__(self, inputs, evidence: Evidence | None = None) -> Prediction:
        """Predicts people.

        Args:
            inputs: crops (B, S, S, 3), uint8 RGB, or whatever else the system takes.
            evidence: what the bodies are fitted to, if they are; None for the joints found in the crops.
        """
        expected = tuple(self.system.input_shape)
        if tuple(inputs.shape[1:]) != expected:
            raise ValueError(
                f"Inputs must be {('B', *expected)}. Received: shape={tuple(inputs.shape)}".replace("'", "")
            )
        if self.refinement is None:
            return self.system.to_prediction(self._infer(self._given(inputs)))
        from hpe.systems.refinement import Evidence

        return self._fitted(np.asarray(inputs), evidence or Evidence())

    def predict_one(self, value: np.ndarray) -> Prediction:
        """Predicts the person of one input, such as a crop (S, S, 3), uint8 RGB."""
        return self(value[None])

    def _given(self, inputs):
        if not self.compiles:
            return np.asarray(inputs, self._dtype)
        import tensorflow as tf

        return tf.convert_to_tensor(inputs, self._dtype)

    def _fitted(self, inputs: np.ndarray, evidence: Evidence) -> Prediction:
        # What fits is compiled for each number of people, which takes seconds: few numbers will do.
        count = len(inputs)
        more = 2 ** int(np.ceil(np.log2(max(count, 1)))) - count

        def filled(array):
            return None if array is None else np.concatenate([array, np.repeat(array[-1:], more, axis=0)])

        inputs = self._given(filled(inputs))
        evidence = type(evidence)(**{name: filled(array) for name, array in vars(evidence).items()})
        inferred = self.refinement(self._infer(inputs), inputs, evidence)
        return self.system.to_prediction({name: array[:count] for name, array in inferred.items()})

"""A system compiled for prediction: batches of square crops in, Predictions out."""

from __future__ import annotations

import os
import pathlib

import numpy as np
import tensorflow as tf

from hpe.errors import UserError
from hpe.prediction import Prediction
from hpe.training.checkpoints import CheckpointStore
from hpe.training.runs import RunConfig, RunDirectory


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


def run_directory(checkpoint: str | os.PathLike) -> RunDirectory:
    """Returns the run that a path belongs to: the run directory, its `checkpoints`, or one checkpoint in there."""
    path = pathlib.Path(checkpoint)
    if not path.is_dir():
        return RunDirectory(path.parent.parent)
    return RunDirectory(path.parent if path.name == "checkpoints" else path)


def load_predictor(checkpoint: str | os.PathLike) -> tuple[Predictor, RunConfig, int]:
    """Builds the system of a run from its own settings and restores a checkpoint.

    Args:
        checkpoint: a run directory (its newest checkpoint is taken), or the path of one checkpoint in it, such as
            `runs/NAME/checkpoints/ckpt-500`.

    Returns:
        The predictor, the settings of the run, and the step of the checkpoint.

    Raises:
        UserError: if there is no run or checkpoint, or the checkpoint does not fit the settings.
    """
    path = os.fspath(checkpoint).rstrip("/").removesuffix(".index")
    exact = None
    if os.path.isdir(path):
        run = run_directory(path)
    elif os.path.exists(path + ".index"):
        run, exact = run_directory(path), path
    else:
        raise UserError(
            f"{path}: no such run directory or checkpoint; give the folder that training created."
        )
    config = run.read_params()
    system = config.build_system(build_critic=False, pretrained=False)
    step = CheckpointStore(run.checkpoints, system).restore(exact)
    return Predictor(system, image_size=config.pipeline.img_size), config, step

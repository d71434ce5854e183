"""Scalars and image panels for TensorBoard."""

from __future__ import annotations

import os

import numpy as np
import tensorflow as tf

from hpe.errors import UserError


class TrainingLog:
    """Writes event files into a folder.

    Args:
        directory: folder of the event files.
    """

    def __init__(self, directory: str | os.PathLike):
        try:
            self._writer = tf.summary.create_file_writer(str(directory))
        except (tf.errors.OpError, OSError) as error:
            raise UserError(f"{directory}: the log cannot be written; set --model_dir.") from error

    def scalars(self, values: dict, step: int, *, prefix: str = "") -> None:
        """Writes named scalars; values that are not finite are written as they are, to be seen."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(prefix + name, np.float32(value), step=step)

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        """Writes one (H, W, 3) uint8 RGB picture."""
        with self._writer.as_default():
            tf.summary.image(name, image[None], step=step)

    def text(self, name: str, text: str) -> None:
        """Writes a text, such as the settings of the run."""
        with self._writer.as_default():
            tf.summary.text(name, text, step=0)

    def flush(self) -> None:
        """Brings everything to the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()

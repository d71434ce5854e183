"""Scalars and image panels for TensorBoard."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from hpe.errors import UserError, first_line


class TrainingLog:
    """Writes event files into a folder; UserError says so where the disk refuses.

    Args:
        directory: folder of the event files.
    """

    def __init__(self, directory: str | os.PathLike):
        self._directory = directory
        with self._explained():
            self._writer = tf.summary.create_file_writer(str(directory))

    def scalars(self, values: dict, step: int, *, prefix: str = "") -> None:
        """Writes named scalars; values that are not finite are written as they are, to be seen."""
        with self._explained(), self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(prefix + name, np.float32(value), step=step)

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        """Writes one (H, W, 3) uint8 RGB picture."""
        with self._explained(), self._writer.as_default():
            tf.summary.image(name, image[None], step=step)

    def text(self, name: str, text: str) -> None:
        """Writes a text, such as the settings of the run."""
        with self._explained(), self._writer.as_default():
            tf.summary.text(name, text, step=0)

    def flush(self) -> None:
        """Brings everything to the disk."""
        with self._explained():
            self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file."""
        with self._explained():
            self._writer.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"{self._directory}: the log cannot be written ({first_line(error)}); free space and "
                "go on with `resume`."
            ) from error

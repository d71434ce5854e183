"""How programs start: TensorFlow quietly, the process's seeds, what is computed on."""

from __future__ import annotations

import os

from hpe.backends.quiet import VERBOSE, import_quietly


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its notes; to be called by a program before its other imports."""
    if not os.environ.get(VERBOSE):
        # Its warnings about damaged images would come before the line that says whose they are.
        os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    import_quietly("tensorflow")


def make_reproducible(seed: int, *, deterministic: bool) -> None:
    """Sets the process-wide seeds of Python, NumPy and TensorFlow, and deterministic kernels, for good.

    No library call does so: what is ours draws from seeds of its own, and kernels are a matter of the process.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if deterministic:
        tf.config.experimental.enable_op_determinism()


def describe_devices() -> str:
    """Returns what TensorFlow computes on, such as `GPU x 1` or `CPU`."""
    import tensorflow as tf

    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"GPU x {gpus}" if gpus else "CPU"

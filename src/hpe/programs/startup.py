"""A quiet start: TensorFlow's greetings are held back before a program's own first line."""

from __future__ import annotations

import os
import sys
import tempfile


def quiet_tensorflow() -> None:
    """Imports TensorFlow without what it writes to stderr, unless the import fails.

    Its notes about the processor and about missing GPUs come from C++ before any log level is read, several
    lines of them before every one-line message of ours. To be called by a program before its other imports.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Its warnings about damaged images would come before the line that says whose they are.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            # The device list is made on first use and brings notes of its own.
            tf.config.list_physical_devices()
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


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

"""The command-line programs: the only place that knows flags."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def _quiet_start():
    """Holds back what TensorFlow writes to stderr while it is imported, unless the import fails.

    Its notes about the processor and about missing GPUs come from C++ before any log level is read, several
    lines of them before every one-line message of ours.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
with _quiet_start():
    import keras  # noqa: F401
    import tensorflow as tf

    # The device list is made on first use and brings notes of its own.
    tf.config.list_physical_devices()

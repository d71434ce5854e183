"""A quiet start: TensorFlow's greetings are held back, in programs before their own first line."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

VERBOSE = "HPE_VERBOSE"


def import_quietly(module: str) -> None:
    """Imports a module that imports TensorFlow, without what is written to stderr, unless the import fails.

    TensorFlow's notes about the processor and about missing GPUs come from C++ before any log level is read; some
    read like failures. What fails later raises an exception, which says more than the lines that C++ logs beside
    it; so those are held back, too. With HPE_VERBOSE in the environment nothing is.

    Args:
        module: its name.
    """
    if os.environ.get(VERBOSE) or "tensorflow" in sys.modules:
        importlib.import_module(module)
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            importlib.import_module(module)
            if "tensorflow" in sys.modules:
                # The device list is made on first use and brings notes of its own.
                sys.modules["tensorflow"].config.list_physical_devices()
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)

"""Python functions that tf.data calls from threads of its own, and the end of the program.

An iterator that is still there when Python ends goes on calling them. A thread that asks for Python's lock then
never gets it: either it is ended, and with it the process ("terminate called without an active exception"), or the
iterator waits for it for ever. So the last that Python does before it ends is to let these calls run dry.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import time
from collections.abc import Callable

# Calls have run dry when none was seen for so long: with no one to take them, batches pile up to the limits of
# their buffers, and calls that are refused take no time.
_QUIET_SECONDS = 0.1
_LONGEST_SECONDS = 5.0


class _Calls:
    """Counts the calls that run, in this process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = 0
        self._last = 0.0
        self._leaving = False

    @contextlib.contextmanager
    def one(self):
        """One call; raises RuntimeError if Python is about to end."""
        with self._lock:
            self._last = time.monotonic()
            if self._leaving:
                raise RuntimeError("Python is about to end.")
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()

    def run_dry(self) -> None:
        """Refuses calls from now on, and waits until there are none."""
        with self._lock:
            if not self._last:
                return
            self._leaving = True
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            with self._lock:
                if not self._running and time.monotonic() - self._last > _QUIET_SECONDS:
                    return
            time.sleep(_QUIET_SECONDS / 10)


_calls = _Calls()
atexit.register(_calls.run_dry)


def ends_with_python(function: Callable) -> Callable:
    """Returns a function for `tf.numpy_function` that is not called any more when Python ends."""

    @functools.wraps(function)
    def guarded(*args, **kwargs):
        with _calls.one():
            return function(*args, **kwargs)

    return guarded

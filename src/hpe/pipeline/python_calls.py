"""Python functions that tf.data calls from threads of its own, and the end of the program.

An iterator that is still there when Python ends goes on calling them. A thread that asks for Python's lock then
never gets it: either it is ended, and with it the process ("terminate called without an active exception"), or the
iterator waits for it for ever. So the last that Python does before it ends is to let these calls run dry, as far as
that can be told: a source that is slower than a call in `_QUIET_SECONDS` is taken for one that has run dry.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import time
from collections.abc import Callable

# Calls have run dry when none was seen for so long: with no one to take them, batches pile up to the limits of
# their buffers.
_QUIET_SECONDS = 0.1
_LONGEST_SECONDS = 5.0


class _Calls:
    """Counts the calls that run, in this process."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running = 0
        self._last = 0.0  # when a call ended; 0 before the first

    @contextlib.contextmanager
    def one(self):
        """One call."""
        with self._lock:
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last = time.monotonic()

    def run_dry(self) -> None:
        """Waits until there are no more calls, or for 5 seconds."""
        if not (self._last or self._running):
            return
        end = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < end:
            with self._lock:
                if not self._running and time.monotonic() - self._last > _QUIET_SECONDS:
                    return
            time.sleep(_QUIET_SECONDS / 10)


_calls = _Calls()
atexit.register(_calls.run_dry)


def ends_with_python(function: Callable) -> Callable:
    """Returns a function for `tf.numpy_function` whose calls Python waits for when it ends."""

    @functools.wraps(function)
    def guarded(*args, **kwargs):
        with _calls.one():
            return function(*args, **kwargs)

    return guarded

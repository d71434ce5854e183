"""SIGTERM and SIGINT ask a run to finish its step, save and leave."""

from __future__ import annotations

import signal
import threading
import types
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class _Leave(BaseException):
    """Leaves the work of `Signals.attempt`; no other code may catch it, so it is no Exception."""


class Signals:
    """A context in which the first SIGTERM or SIGINT sets a flag; a second SIGINT acts as usual.

    Signals reach the main thread alone: in another one the context does nothing.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._previous = {}
        self._may_leave = False

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def attempt(self, work: Callable[[], T]) -> T | None:
        """Runs work that changes nothing, such as validation, and leaves it at once when a signal comes.

        Returns:
            What `work()` returns; None if a signal has come before or meanwhile.
        """
        try:
            try:
                self._may_leave = True
                return work() if self.received is None else None
            finally:
                self._may_leave = False
        except _Leave:
            return None
        except Exception:
            # TensorFlow turns what is raised inside its callbacks into errors of its own.
            if self.received is None:
                raise
            return None

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        if self.received is not None:
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            return
        self.received = signal.Signals(number)
        if self._may_leave:
            raise _Leave

"""Work on the frames of a video that goes on side by side: reading ahead, and finishing what was begun.

What takes the time of a frame - decoding, networks, drawing, encoding - runs outside of Python's lock, so that
threads are enough to use several processors.
"""

from __future__ import annotations

import collections
import concurrent.futures
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_END = object()
# Seconds after which a thread that waits for room looks whether it is still wanted.
_LOOK = 0.1


class ReadAhead(Generic[T]):
    """Takes items from their source in a thread of its own, before they are asked for.

    As a context manager it ends the thread, and closes the source, at the end of the block.

    Args:
        items: the source; what it raises is raised here, in its place.
        ahead: how many are waiting at most.
    """

    def __init__(self, items: Generator[T], *, ahead: int = 3):
        self._items = items
        self._waiting: queue.Queue = queue.Queue(maxsize=ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def __enter__(self) -> ReadAhead[T]:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        return self._opened(self._waiting.get())

    def poll(self, seconds: float) -> T | None:
        """Returns the next item, None if there is none within some time; StopIteration at the end."""
        try:
            return self._opened(self._waiting.get(timeout=seconds))
        except queue.Empty:
            return None

    def close(self) -> None:
        """Ends the thread after the item that it is working on."""
        self._stopped.set()
        self._thread.join()

    def _opened(self, waiting) -> T:
        item, error = waiting
        if item is _END:
            self._waiting.put(waiting)  # for whoever asks again
            raise StopIteration if error is None else error
        return item

    def _take(self) -> None:
        try:
            for item in self._items:
                self._put((item, None))
                if self._stopped.is_set():
                    break
            self._put((_END, None))
        except BaseException as error:  # it belongs to whoever waits for the items
            self._put((_END, error))
        finally:
            self._items.close()

    def _put(self, value) -> None:
        while not self._stopped.is_set():
            try:
                self._waiting.put(value, timeout=_LOOK)
                return
            except queue.Full:
                continue


class InOrder:
    """Calls functions one after the other in a thread of their own.

    As a context manager it waits for all of them at the end of the block, or after an exception for the one that
    runs.

    Args:
        pending: how many may be waiting or running; `submit` waits for the oldest then.
    """

    def __init__(self, *, pending: int = 2):
        self._executor = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._futures: collections.deque[concurrent.futures.Future] = collections.deque()
        self._pending = pending

    def __enter__(self) -> InOrder:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            while self._futures and kind is None:
                self._futures.popleft().result()
        finally:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def submit(self, call: Callable, *arguments) -> None:
        """Calls a function later; what an earlier one raised is raised here."""
        while len(self._futures) >= self._pending:
            self._futures.popleft().result()
        self._futures.append(self._executor.submit(call, *arguments))

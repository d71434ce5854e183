"""Applying a function to many items in worker processes, with results in the order of the items.

Knows no TensorFlow: a worker only imports what its function needs, so that it starts fast.
"""

from __future__ import annotations

import collections
import concurrent.futures
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from hpe.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Large enough to hide the cost of a message, small enough for the progress bar to move.
CHUNK = 16
# Chunks under way per worker: bounds memory however slow the consumer is.
CHUNKS_AHEAD = 4


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, num_workers: int
) -> Iterator[Result]:
    """Yields `function(item)` for every item, in order, whatever the number of workers.

    Args:
        function: a picklable function, such as a `functools.partial` of a module's function.
        items: picklable items.
        num_workers: worker processes; with 1 or less everything happens in this process.

    Raises:
        UserError: as raised by the function; also for any other exception in a worker, as one line with the
            item's name, and for a worker that died.
    """
    if num_workers <= 1:
        yield from map(function, items)
        return
    executor = concurrent.futures.ProcessPoolExecutor(
        num_workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker
    )
    pending: collections.deque = collections.deque()
    try:
        for chunk in _batched(items, CHUNK):
            pending.append(executor.submit(_apply, function, chunk))
            if len(pending) >= CHUNKS_AHEAD * num_workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died, most often for want of memory: try a smaller `num_workers`. "
            f"Received: num_workers={num_workers}"
        ) from error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def default_workers() -> int:
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk


def _apply(function: Callable[[Item], Result], chunk: tuple[Item, ...]) -> list[Result]:
    results = []
    for item in chunk:
        try:
            results.append(function(item))
        except UserError:
            raise
        except Exception as error:
            name = getattr(item, "name", item)
            raise UserError(
                f"{name}: {type(error).__name__}: {error} (run with `num_workers=1` to see where)"
            ) from error
    return results


def _start_worker() -> None:
    # Ctrl-C reaches the whole group: the parent ends the workers, and they need not print their tracebacks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """Ends this worker when its parent was killed, which an idle pool worker would not notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""Applying a function to many items in worker processes, with results in the order of the items.

Every worker has a pipe of its own, of which no other process holds an end: when it dies, at whatever moment, the
pipe ends and the parent knows. (In the standard library's pools workers share one pipe: one that dies within the
handing over of a result leaves half a message there, and the parent waits for the rest for ever.)

Knows no TensorFlow: a worker only imports what its function needs, so that it starts fast.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import TypeVar

from hpe.errors import SettingError, UserError

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
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    answers: queue.SimpleQueue = queue.SimpleQueue()
    workers = [_Worker(function, jobs, answers) for _ in range(num_workers)]
    try:
        chunks = enumerate(_batched(items, CHUNK))
        ready: dict[int, list] = {}
        given = 0
        for wanted in itertools.count():
            for job in itertools.islice(chunks, wanted + CHUNKS_AHEAD * num_workers - given):
                jobs.put(job)
                given += 1
            if wanted == given:
                return
            while wanted not in ready:
                number, answer = answers.get()
                if isinstance(answer, Exception):
                    raise answer
                ready[number] = answer
            yield from ready.pop(wanted)
    except _Died:
        raise SettingError(
            "num_workers",
            "a worker process died, most often for want of memory: try fewer.",
            num_workers,
        ) from None
    finally:
        for worker in workers:
            worker.kill()
        for _ in workers:
            jobs.put(None)
        for worker in workers:
            worker.join()


class _Died(Exception):
    """A worker process is no longer there."""


class _Worker:
    """A process, and the thread of this one that hands it chunks and waits for their results."""

    def __init__(self, function: Callable, jobs: queue.SimpleQueue, answers: queue.SimpleQueue):
        context = multiprocessing.get_context("spawn")
        self._pipe, other_end = context.Pipe()
        self._process = context.Process(target=_work, args=(other_end, function), daemon=True)
        self._process.start()
        # The pipe ends with the process only if nobody else holds its end.
        other_end.close()
        self._thread = threading.Thread(target=self._serve, args=(jobs, answers), daemon=True)
        self._thread.start()

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        self._process.kill()

    def join(self) -> None:
        """Waits for the end of process and thread; a thread that waits for a job has to be given None."""
        self._process.join()
        self._thread.join()
        self._pipe.close()

    def _serve(self, jobs: queue.SimpleQueue, answers: queue.SimpleQueue) -> None:
        while (job := jobs.get()) is not None:
            number, chunk = job
            try:
                self._pipe.send(chunk)
                answers.put((number, self._pipe.recv()))
            except (EOFError, OSError):
                answers.put((number, _Died()))
                return
            except Exception as error:  # what cannot be pickled is the caller's mistake
                answers.put((number, error))


def _batched(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    iterator = iter(items)
    while chunk := tuple(itertools.islice(iterator, size)):
        yield chunk


def _work(pipe: Connection, function: Callable[[Item], Result]) -> None:
    """The life of a worker process."""
    # Ctrl-C reaches the whole group: the parent ends the workers, and they need not print their tracebacks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    while True:
        try:
            chunk = pipe.recv()
        except EOFError:
            return
        pipe.send(_apply(function, chunk))


def _apply(function: Callable[[Item], Result], chunk: tuple[Item, ...]) -> list[Result] | UserError:
    results = []
    for item in chunk:
        try:
            results.append(function(item))
        except UserError as error:
            # Only the text: errors with arguments of their own need not survive pickling.
            return UserError(str(error))
        except Exception as error:
            name = getattr(item, "name", item)
            return UserError(
                f"{name}: {type(error).__name__}: {error} (run with `num_workers=1` to see where)"
            )
    return results


def _leave_with_parent() -> None:
    """Ends this worker when its parent was killed, which one that works would not notice."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

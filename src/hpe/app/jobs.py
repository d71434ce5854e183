"""What is being computed for the page: jobs in a queue, one at a time, with progress, a way to stop, and limits.

Uploads live in memory or in a private folder that goes with the process. Nothing here knows of HTTP.
"""

from __future__ import annotations

import dataclasses
import enum
import queue
import secrets
import threading
import time
from collections.abc import Callable

from hpe.errors import UserError

# Results of so many jobs are kept; older ones are forgotten.
_KEPT = 20


class State(enum.Enum):
    """Where a job is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Cancelled(Exception):
    """The job was called off."""


class Full(UserError):
    """There are as many jobs as may wait."""


@dataclasses.dataclass(eq=False)
class Job:
    """One picture or clip.

    Attributes:
        name: what the user called it.
        work: computes the result, a page; it calls `report` now and then.
        ended: called once when the work is over, or will not be done.
        number: by which it is asked for; it cannot be guessed.
        state: where it is.
        progress: share that is done, in [0, 1], or None where that is not known.
        left: seconds left, or None.
        message: what went wrong, in one line.
        result: the page.
    """

    name: str
    work: Callable[[Job], str]
    ended: Callable[[], None] = lambda: None
    number: str = dataclasses.field(default_factory=lambda: secrets.token_urlsafe(12))
    state: State = State.WAITING
    progress: float | None = None
    left: float | None = None
    message: str | None = None
    result: str | None = None
    begun: float | None = None
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def report(self, done: int, total: int | None) -> None:
        """Says how far the work is.

        Raises:
            Cancelled: the job was called off.
        """
        if self.stop.is_set():
            raise Cancelled
        if total:
            self.progress = min(done / total, 1.0)
            passed = time.monotonic() - (self.begun or time.monotonic())
            self.left = passed / done * (total - done) if done else None

    def describe(self) -> dict:
        """Returns what the page shows of it."""
        # Work that cannot be interrupted, such as that on one picture, is not waited for.
        off = self.state is State.RUNNING and self.stop.is_set()
        return {
            "number": self.number,
            "name": self.name,
            "state": (State.CANCELLED if off else self.state).value,
            "progress": self.progress,
            "left": None if self.left is None else round(max(self.left, 0.0), 1),
            "message": self.message,
        }


class Jobs:
    """Does jobs one after the other in a thread of its own.

    Args:
        most: how many may wait or run at once.
    """

    def __init__(self, most: int = 16):
        self._most = most
        self._jobs: dict[str, Job] = {}
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="hpe_app_jobs", daemon=True)
        self._thread.start()

    def add(self, name: str, work: Callable[[Job], str], *, ended: Callable[[], None] = lambda: None) -> Job:
        """Puts a job into the queue.

        Args:
            name: what the user called it.
            work: computes the result.
            ended: called once when the work is over, or when the turn comes of one that was called off.

        Raises:
            Full: there are as many as may wait.
        """
        with self._lock:
            open_jobs = [job for job in self._jobs.values() if job.state in (State.WAITING, State.RUNNING)]
            if len(open_jobs) >= self._most:
                raise Full(f"{len(open_jobs)} files are waiting already; wait for one of them, or cancel it.")
            job = Job(name, work, ended)
            self._jobs[job.number] = job
            ended = [
                number for number, other in self._jobs.items() if other not in open_jobs and other is not job
            ]
            for number in ended[: max(len(ended) - _KEPT, 0)]:
                del self._jobs[number]
        self._queue.put(job)
        return job

    def get(self, number: str) -> Job | None:
        """Returns a job, or None if there is none of that number."""
        return self._jobs.get(number)

    def all(self) -> list[Job]:
        """Returns the jobs, the oldest first."""
        return list(self._jobs.values())

    def cancel(self, job: Job) -> None:
        """Calls a job off; one that runs ends at its next report, or without result. An ended one is forgotten."""
        job.stop.set()
        with self._lock:
            if job.state is State.WAITING:
                job.state = State.CANCELLED
            elif job.state is not State.RUNNING:
                self._jobs.pop(job.number, None)

    def close(self) -> None:
        """Stops all jobs and waits for the thread."""
        for job in self.all():
            job.stop.set()
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            with self._lock:
                if waited := job.state is State.WAITING:
                    job.state, job.begun = State.RUNNING, time.monotonic()
            try:
                if waited:
                    self._do(job)
            finally:
                job.ended()

    def _do(self, job: Job) -> None:
        state = State.FAILED
        try:
            result = job.work(job)
        except UserError as error:
            job.message = str(error)
        except Cancelled:
            state = State.CANCELLED
        except Exception as error:  # the page goes on whatever a file does
            job.message = f"{job.name}: an error of the program ({type(error).__name__}: {error})."
        else:
            with self._lock:
                if job.stop.is_set():
                    state = State.CANCELLED
                else:
                    job.result, state = result, State.DONE
        job.state = state

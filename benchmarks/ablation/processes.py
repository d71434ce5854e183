"""Runs side by side: every run is a chain of processes with its share of the processors, its log and its lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from benchmarks.ablation.plan import Run, stages, state
from hpe.errors import UserError
from hpe.files import write_text
from hpe.training.signals import Signals

NOTE = "ablation.json"
_LOG = "ablation.log"
_POLL_SECONDS = 0.2
# How long a training may take to end its step and save.
_PATIENCE_SECONDS = 300
_SHOWN_LINES = 5


def read_note(run: Run) -> dict | None:
    """Returns what was noted about a run: flags, seconds of training so far, and whether it is trained."""
    path = run.directory / NOTE
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); remove the folder and run again.") from error


def shared_environment(parallel: int) -> dict[str, str]:
    """Returns the environment of one of several processes that divide the processors among them."""
    threads = str(max(1, len(os.sched_getaffinity(0)) // parallel))
    return {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # The log is a file: a line of progress now and then is enough.
        "TQDM_MININTERVAL": "30",
    }


class _Task:
    """A run on its way: one process after the other, until all have ended well or one has not."""

    def __init__(self, run: Run, environment: dict[str, str]):
        self.run = run
        self.failure: str | None = None
        self._environment = environment
        run.directory.mkdir(parents=True, exist_ok=True)
        self._lock = lock_run(run)
        self._note = read_note(run) or {"flags": list(run.flags), "seconds": 0.0, "trained": False}
        # Only behind the lock is the state one's own.
        self._left = stages(run, state(run, read_note(run)))
        self._write_note()
        self._process: subprocess.Popen | None = None
        self._next()

    def poll(self) -> bool:
        """Goes on to the next process where one has ended; returns whether the run has ended."""
        status = self._process.poll() if self._process else 0
        if status is None:
            return False
        if self._process:
            self._account(status)
            if status != 0:
                self.failure = (
                    f"{' '.join(self._left[0][:2])} ended with status {status}\n{self._last_words()}"
                )
            self._left.pop(0)
        if self.failure or not self._left:
            self._lock.close()
            return True
        self._next()
        return False

    def stop(self) -> None:
        """Asks the process to end, as a training does after it has saved."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Waits for the end of the process and ends it by force where that takes too long."""
        if self._process:
            try:
                status = self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                status = self._process.wait()
            self._account(status)
        self._lock.close()

    def _next(self) -> None:
        if not self._left:
            return
        self._started = time.monotonic()
        with open(self.run.directory / _LOG, "ab") as log:
            log.write(f"\n$ python {' '.join(self._left[0])}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, *self._left[0]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                # Ctrl-C comes to the parent alone, which passes it on as SIGTERM.
                start_new_session=True,
                # The lock lives as long as any process of the run, even one that has lost its parent.
                pass_fds=(self._lock.fileno(),),
            )

    def _account(self, status: int) -> None:
        if self._left[0][1] == "train":
            self._note["seconds"] += time.monotonic() - self._started
            self._note["trained"] = status == 0
            self._write_note()

    def _write_note(self) -> None:
        write_text(self.run.directory / NOTE, json.dumps(self._note, indent=2) + "\n")

    def _last_words(self) -> str:
        text = (self.run.directory / _LOG).read_text(errors="replace").replace("\r", "\n")
        return "\n".join(text.splitlines()[-_SHOWN_LINES:])


def lock_run(run: Run):
    file = open(run.directory / ".lock", "w")  # noqa: SIM115 (held until the run ends)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise UserError(
            f"{run.directory}: another process is at this run; wait for it, or end it, and run again."
        ) from None
    return file


def run_all(
    runs: Sequence[Run], *, parallel: int, report: Callable[[], None], say: Callable[[str], None] = print
) -> tuple[dict[str, str], str | None]:
    """Brings runs to their end, several at a time.

    Args:
        runs: of the plan, without those that are finished.
        parallel: how many at a time.
        report: called whenever a run has ended well.
        say: shows one line of progress.

    Returns:
        What became of the runs that failed, by name, and the name of the signal that stopped everything, or None.
    """
    waiting, failures = list(runs), {}
    environment = shared_environment(parallel)
    with Signals() as interrupts, _ended_at_exit() as active:
        while (waiting or active) and interrupts.received is None:
            while waiting and len(active) < parallel:
                run = waiting.pop(0)
                say(f"{run.name}: starts, log in {run.directory / _LOG}")
                active.append(_Task(run, environment))
            time.sleep(_POLL_SECONDS)
            for task in [task for task in active if task.poll()]:
                active.remove(task)
                if task.failure:
                    failures[task.run.name] = task.failure
                    say(f"{task.run.name}: FAILED: {task.failure}")
                else:
                    say(f"{task.run.name}: finished, {len(waiting) + len(active)} runs left")
                    report()
    return failures, interrupts.received.name if interrupts.received else None


@contextlib.contextmanager
def _ended_at_exit() -> Iterator[list[_Task]]:
    """A list of tasks; those that are in it when the context is left, however, are ended together."""
    tasks: list[_Task] = []
    try:
        yield tasks
    finally:
        for task in tasks:
            task.stop()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for task in tasks:
            task.wait(max(1.0, deadline - time.monotonic()))

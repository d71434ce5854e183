"""How long the loop waits for its input and how long the step takes, so that a user sees which one binds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

# The input is prepared beside the step. If it keeps up, a batch lies ready and taking it costs a millisecond or
# so; above this share of the time, the step would run more often if batches came faster.
_BINDING_SHARE = 0.1

_TIME, _PER_SECOND = "time/", "s_per_s"


class StepTimer:
    """Adds up two parts of every step: the wait for the next batch, and the step itself.

    What lies between steps (logging, pictures, validation, checkpoints) counts in neither.

    Args:
        samples_per_step: size of a batch.
        unit: what a sample is called, such as `image`.
        clock: seconds that only ever grow.
    """

    def __init__(
        self, samples_per_step: int, *, unit: str = "image", clock: Callable[[], float] = time.perf_counter
    ):
        self._samples = samples_per_step
        self._rate = f"{_TIME}{unit}{_PER_SECOND}"
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets what was measured, as after a first step that was spent on compiling."""
        self._waited = self._computed = 0.0
        self._steps = 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Times the wait for a batch."""
        start = self._clock()
        yield
        self._waited += self._clock() - start

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Times the call of one step; on an accelerator it may return before the work is done."""
        with self.reading():
            yield
        self._steps += 1

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Times the wait for the results of all steps so far, which belongs to their computing."""
        start = self._clock()
        yield
        self._computed += self._clock() - start

    def lap(self) -> dict[str, float]:
        """Returns means over the steps since the last call, and starts anew; empty if there was no step.

        Returns:
            `time/input_wait_ms` and `time/step_ms` per step, `time/images_per_s` (or what the samples are called)
            over both, and `time/input_share`, the wait as a part of both.
        """
        if not self._steps:
            return {}
        total = max(self._waited + self._computed, 1e-9)
        scalars = {
            "time/input_wait_ms": 1e3 * self._waited / self._steps,
            "time/step_ms": 1e3 * self._computed / self._steps,
            self._rate: self._samples * self._steps / total,
            "time/input_share": self._waited / total,
        }
        self.reset()
        return scalars


def rates(scalars: dict[str, float]) -> dict[str, float]:
    """Returns how many samples a second there are in scalars of `lap`, such as `images/s`; empty without times."""
    return {
        f"{name.removeprefix(_TIME).removesuffix(_PER_SECOND)}s/s": value
        for name, value in scalars.items()
        if name.startswith(_TIME) and name.endswith(_PER_SECOND)
    }


def binding(scalars: dict[str, float]) -> str | None:
    """Says what a run's speed hangs on, `input` or `compute`, by scalars of `lap`; None if they hold no times."""
    share = scalars.get("time/input_share")
    if share is None:
        return None
    return "input" if share > _BINDING_SHARE else "compute"

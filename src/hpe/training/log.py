"""What a run tells while it goes: TensorBoard, `history.jsonl`, the progress bar, and how long steps take."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from hpe.errors import UserError, first_line
from hpe.evaluation.judging import Evaluation
from hpe.runs import RunDirectory
from hpe.training.data import RunLength
from hpe.training.history import TRAIN, VALIDATION, Entry, History, finite

# The input is prepared beside the step. If it keeps up, a batch lies ready and taking it costs a millisecond or
# so; above this share of the time, the step would run more often if batches came faster.
_BINDING_SHARE = 0.1

# Who waits longer is told for what.
_SILENCE_S = 2.0

_TIME, _PER_SECOND = "time/", "s_per_s"


class RunLog:
    """Writes scalars, metrics and pictures of a run; a context that closes what it has opened.

    Args:
        run: where event files and history are written, and whose settings are shown.
        length: of the run.
        first_step: the step that it starts or goes on from.
        show_progress: draw a progress bar on stderr.
        shown: what the bar shows of the scalars beside the loss, labels by name.

    Attributes:
        history: the run's `History`.

    Raises:
        UserError: the disk refuses.
    """

    def __init__(
        self,
        run: RunDirectory,
        length: RunLength,
        *,
        first_step: int,
        show_progress: bool,
        shown: Mapping[str, str],
    ):
        self._length = length
        self._shown = {"loss/total": "loss", **shown}
        self.history = History(run.history, step=first_step)
        self._board = TensorBoard(run.tensorboard)
        self._board.text("settings", f"```\n{run.params.read_text()}```")
        self._bar = tqdm(
            total=length.total_steps,
            initial=first_step,
            unit="step",
            disable=not show_progress,
            dynamic_ncols=True,
        )
        self._notice: threading.Timer | None = None

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *_) -> None:
        self._stop_notice()
        self._bar.close()
        self._board.close()

    def starting(self) -> None:
        """Lets it be said that the first step takes long, unless `advance` comes soon."""
        if not self._bar.disable:
            text = "the first step waits for its batch and is compiled; of a large network that takes minutes, once"
            self._notice = threading.Timer(_SILENCE_S, self._bar.write, (text,), {"file": sys.stderr})
            self._notice.daemon = True
            self._notice.start()

    def advance(self) -> None:
        """Moves the bar by one step."""
        self._stop_notice()
        self._bar.update()

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes what the step and the timer measured."""
        self._board.scalars(values, step)
        self.history.append(Entry(step, self._length.epoch(step), TRAIN, finite(values)))
        shown = {"epoch": (step - 1) // self._length.epoch_steps + 1}
        shown |= {label: f"{values[name]:.3f}" for name, label in self._shown.items() if name in values}
        binds = binding(values)
        if binds is not None:
            shown["wait/step"] = f"{values['time/input_wait_ms']:.0f}/{values['time/step_ms']:.0f} ms"
            shown |= {unit: f"{value:.0f}" for unit, value in rates(values).items()}
            shown["binds"] = binds
        self._bar.set_postfix(shown)

    def validation(self, evaluation: Evaluation, step: int) -> None:
        """Writes the metrics of a validation."""
        # Sequences are many: they are in the report of validate_checkpoint.
        kept = [metric for metric in evaluation.metrics if metric.group != "sequence"]
        measured = [metric for metric in kept if metric.is_measured]
        self._board.scalars({metric.name: metric.value for metric in measured}, step, prefix="validation/")
        self._board.flush()
        values = finite({metric.name: metric.value for metric in kept})
        self.history.append(Entry(step, self._length.epoch(step), VALIDATION, values))
        text = "  ".join(f"{metric.name} {metric.value:.4g}" for metric in measured if not metric.group)
        self._bar.write(f"step {step}: {text}")

    def _stop_notice(self) -> None:
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None

    def picture(self, picture: np.ndarray, step: int) -> None:
        """Writes a picture of predictions, (H, W, 3) uint8 RGB."""
        self._board.image("vis_images", picture, step)


class NoLog:
    """Says nothing, in the place of the RunLog of a worker that is not the chief."""

    def starting(self) -> None:
        """Says nothing."""

    def advance(self) -> None:
        """Moves no bar."""

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes nothing."""


class TensorBoard:
    """Writes event files into a folder; UserError says so where the disk refuses.

    Args:
        directory: folder of the event files.
    """

    def __init__(self, directory: str | os.PathLike):
        self._directory = directory
        with self._explained():
            self._writer = tf.summary.create_file_writer(str(directory))

    def scalars(self, values: Mapping, step: int, *, prefix: str = "") -> None:
        """Writes named scalars; values that are not finite are written as they are, to be seen."""
        with self._explained(), self._writer.as_default():
            for name, value in values.items():
                tf.summary.scalar(prefix + name, np.float32(value), step=step)

    def image(self, name: str, image: np.ndarray, step: int) -> None:
        """Writes one (H, W, 3) uint8 RGB picture."""
        with self._explained(), self._writer.as_default():
            tf.summary.image(name, image[None], step=step)

    def text(self, name: str, text: str) -> None:
        """Writes a text, such as the settings of the run."""
        with self._explained(), self._writer.as_default():
            tf.summary.text(name, text, step=0)

    def flush(self) -> None:
        """Brings everything to the disk."""
        with self._explained():
            self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the event file."""
        with self._explained():
            self._writer.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"{self._directory}: the log cannot be written ({first_line(error)}); "
                "free space and resume the run."
            ) from error


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


def rates(scalars: Mapping[str, float]) -> dict[str, float]:
    """Returns how many samples a second there are in scalars of `lap`, such as `images/s`; empty without times."""
    return {
        f"{name.removeprefix(_TIME).removesuffix(_PER_SECOND)}s/s": value
        for name, value in scalars.items()
        if name.startswith(_TIME) and name.endswith(_PER_SECOND)
    }


def binding(scalars: Mapping[str, float]) -> str | None:
    """Says what a run's speed hangs on, `input` or `compute`, by scalars of `lap`; None if they hold no times."""
    share = scalars.get("time/input_share")
    if share is None:
        return None
    return "input" if share > _BINDING_SHARE else "compute"

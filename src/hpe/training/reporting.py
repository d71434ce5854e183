"""What a run tells while it goes: TensorBoard, `history.jsonl` and the progress bar, in one place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from hpe.evaluation.judging import Evaluation
from hpe.runs import RunDirectory
from hpe.training.history import TRAIN, VALIDATION, Entry, History, finite
from hpe.training.inputs import TrainingData
from hpe.training.logging import TrainingLog
from hpe.training.timing import binding, rates


class RunReport:
    """Writes scalars, metrics and pictures of a run; a context that closes what it has opened.

    Args:
        run: where event files and history are written.
        data: the length of the run.
        first_step: the step that the run starts or goes on from.
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
        data: TrainingData,
        *,
        first_step: int,
        show_progress: bool,
        shown: Mapping[str, str],
    ):
        self._data = data
        self._shown = {"loss/total": "loss", **shown}
        self.history = History(run.history, step=first_step)
        self._log = TrainingLog(run.tensorboard)
        self._log.text("settings", f"```\n{run.params.read_text()}```")
        self._progress = tqdm(
            total=data.total_steps,
            initial=first_step,
            unit="step",
            disable=not show_progress,
            dynamic_ncols=True,
        )

    def __enter__(self) -> RunReport:
        return self

    def __exit__(self, *_) -> None:
        self._progress.close()
        self._log.close()

    def advance(self) -> None:
        """Moves the bar by one step."""
        self._progress.update()

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes what the step and the timer measured."""
        self._log.scalars(values, step)
        self.history.append(Entry(step, self._data.epoch(step), TRAIN, finite(values)))
        shown = {"epoch": (step - 1) // self._data.epoch_steps + 1}
        shown |= {label: f"{values[name]:.3f}" for name, label in self._shown.items() if name in values}
        binds = binding(values)
        if binds is not None:
            shown["wait/step"] = f"{values['time/input_wait_ms']:.0f}/{values['time/step_ms']:.0f} ms"
            shown |= {unit: f"{value:.0f}" for unit, value in rates(values).items()}
            shown["binds"] = binds
        self._progress.set_postfix(shown)

    def validation(self, evaluation: Evaluation, step: int) -> None:
        """Writes the metrics of a validation."""
        # Sequences are many: they are in the report of validate_checkpoint.
        kept = [metric for metric in evaluation.metrics if metric.group != "sequence"]
        measured = [metric for metric in kept if metric.is_measured]
        self._log.scalars({metric.name: metric.value for metric in measured}, step, prefix="validation/")
        self._log.flush()
        values = finite({metric.name: metric.value for metric in kept})
        self.history.append(Entry(step, self._data.epoch(step), VALIDATION, values))
        text = "  ".join(f"{metric.name} {metric.value:.4g}" for metric in measured if not metric.group)
        self.note(f"step {step}: {text}")

    def picture(self, picture: np.ndarray, step: int) -> None:
        """Writes a picture of predictions, (H, W, 3) uint8 RGB."""
        self._log.image("vis_images", picture, step)

    def note(self, text: str) -> None:
        """Prints a line above the bar."""
        self._progress.write(text)


class NoReport:
    """Says nothing, in the place of the RunReport of a worker that is not the chief."""

    def advance(self) -> None:
        """Moves no bar."""

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Writes nothing."""

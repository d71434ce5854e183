"""Validation in the course of a run: measuring it, keeping its best networks, and ending it early.

The best networks lie in `<run>/best/`, which is laid out as a run directory: wherever a run can be named, its best
can be too.

<run>/best/params.json       the settings of the run
<run>/best/checkpoints/      ckpt-<step>, the networks alone
<run>/best/best.json         metric, value and step, for people and programs
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import tensorflow as tf

from hpe import files
from hpe.errors import SettingError, UserError
from hpe.evaluation.feasibility import Comparison, compare_with
from hpe.evaluation.html_report import report_of, write_report
from hpe.evaluation.judging import Evaluation, judge
from hpe.inference.predictor import Predictor
from hpe.records.reading import AbsentDataset
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.runs.store import CheckpointStore
from hpe.training.data import RunLength, open_source
from hpe.training.log import RunLog
from hpe.training.selection import EarlyStopping, Plateau, is_better, judged_value
from hpe.training.settings import RunConfig, write_config
from hpe.training.signals import Signals
from hpe.training.state import TrainingState

Evaluate = Callable[[Predictor], Evaluation]

# A page about the last validation and the curves up to it.
REPORT = "report.html"

_VALUE = "best_value"


def open_judge(config: RunConfig, *, batch_size: int) -> Evaluate | None:
    """Opens the datasets that a run is validated on.

    Args:
        config: the run's settings.
        batch_size: samples per step; changes speed, not results.

    Returns:
        What judges a predictor on them; None if the run is not to be validated.

    Raises:
        UserError: a dataset is absent or damaged.
    """
    training = config.training
    if not (training.use_validation and training.val_datasets):
        return None
    try:
        source = open_source(config, training.val_datasets)
    except AbsentDataset as error:
        raise AbsentDataset(f"{error} Or train without validation: `use_validation=False`.") from None

    @functools.cache
    def comparison():
        return compare_with(training.data_dir, training.mocap_datasets, required=False)

    def evaluate(predictor: Predictor) -> Evaluation:
        feasibility = comparison() if predictor.system.body_models else Comparison()
        return judge(
            predictor,
            source,
            batch_size=batch_size,
            feasibility=feasibility,
            max_batches=1 if training.fast_dev_run else None,
            show_progress=False,
        )

    return evaluate


def check_validated(config: RunConfig, *, validated: bool) -> None:
    """Raises UserError if a run is to be judged by its validations but has none."""
    judged = {
        "early_stopping_metric": config.training.early_stopping_metric,
        "keep_best_metric": config.training.keep_best_metric,
        "lr_plateau_metric": config.optimization.lr_plateau_metric,
    }
    for flag, metric in judged.items():
        if metric is not None and not validated:
            raise SettingError(
                flag, "nothing is validated; give `val_datasets` and `use_validation`.", metric
            )


class Validation:
    """The validations of a run, and what follows from them.

    Args:
        config: the run's settings.
        run: the run.
        state: what is measured, with averaged weights if the run averages them.
        length: of the run.
        log: where results are told; its history is what early stopping decides by.
        evaluate: measures; None validates never.

    Attributes:
        evaluation: the last one, or None.
    """

    def __init__(
        self,
        config: RunConfig,
        run: RunDirectory,
        state: TrainingState,
        length: RunLength,
        log: RunLog,
        evaluate: Evaluate | None,
    ):
        training = config.training
        self._training, self._state, self._length, self._log = training, state, length, log
        self._evaluate, self._run = evaluate, run
        self._best = self._stopping = self._plateau = None
        self.evaluation: Evaluation | None = None
        if training.keep_best_metric is not None:
            self._best = BestCheckpoint(config, run, state, metric=training.keep_best_metric)
        if training.early_stopping_metric is not None:
            self._stopping = EarlyStopping(
                training.early_stopping_metric,
                training.early_stopping_patience,
                training.early_stopping_min_delta,
            )

        optimization = config.optimization
        if optimization.lr_plateau_metric is not None:
            self._plateau = Plateau(
                optimization.lr_plateau_metric, optimization.lr_plateau_patience, optimization.lr_step_factor
            )

    @property
    def rate_factor(self) -> float:
        """By what the learning rates are to be multiplied."""
        return self._plateau.now(self._log.history.validations) if self._plateau else 1.0

    @property
    def verdict(self) -> str | None:
        """Why the run should end, in words, or None."""
        return self._stopping.verdict(self._log.history.validations) if self._stopping else None

    @property
    def best(self) -> tuple[float, int] | None:
        """The best value so far and its step, or None."""
        return (self._best.value, self._best.step) if self._best and self._best.value is not None else None

    def is_due(self) -> bool:
        """Whether the step that was just done is one to validate after."""
        done, training = self._state.done, self._training
        epochs, rest = divmod(done, self._length.epoch_steps)
        every = training.validation_step_size
        return self._evaluate is not None and (
            done >= self._length.total_steps
            or (rest == 0 and epochs % training.validation_epochs == 0)
            or (every > 0 and done % every == 0)
        )

    def catch_up(self, signals: Signals) -> None:
        """Does the validation of the step that the run goes on from, if a kill or a signal took it."""
        done = self._state.done
        if done and self.is_due() and all(entry.step != done for entry in self._log.history.validations):
            self.run(signals)

    def run(self, signals: Signals) -> None:
        """Measures the networks as they are now; a signal that comes meanwhile leaves no trace of it.

        Raises:
            UserError: the validation does not yield a metric that the run is judged by, or the disk refuses.
        """
        with self._state.averaged():
            evaluation = signals.attempt(lambda: self._evaluate(self._state.predictor))
            if evaluation is None:
                return
            self.evaluation = evaluation
            if self._stopping is not None:
                judged_value(evaluation, self._stopping.metric, "early_stopping_metric")
            if self._plateau is not None:
                judged_value(evaluation, self._plateau.metric, "lr_plateau_metric")
            if self._best is not None:
                self._best.offer(judged_value(evaluation, self._best.metric, "keep_best_metric"))
        # The line in the history comes last: without it, a resumed run validates again and has the same to say.
        self._log.validation(evaluation, self._state.done)
        title = f"{self._run.path.name}, step {self._state.done}"
        write_report(self._run.path / REPORT, [report_of(evaluation, self._run.path)], title=title)

    def measure(self, signals: Signals) -> None:
        """Measures a run that had no step left, unless that was done just now; nothing follows from it."""
        if self._evaluate is not None and self.evaluation is None:
            with self._state.averaged():
                self.evaluation = signals.attempt(lambda: self._evaluate(self._state.predictor))


class BestCheckpoint:
    """Keeps the networks whose metric is the best so far.

    The value lies in the checkpoint itself, so that one move changes both: a run that is killed at any moment has
    either the old networks and their value, or the new ones and theirs. `best.json` is written after that, and put
    right when the run is resumed.

    Args:
        config: the run's settings.
        run: the run.
        state: its networks, those that only training needs included, are saved as they are when `offer` is called.
        metric: name of a metric of `hpe.evaluation`.

    Attributes:
        metric: as given.
        value: the best value so far, None if there is none.
        step: where it was reached.

    Raises:
        UserError: what is there cannot be read.
    """

    def __init__(self, config: RunConfig, run: RunDirectory, state: TrainingState, *, metric: str):
        self._config = config
        self._directory = RunDirectory(run.best)
        self.metric = metric
        self._state = state
        self._value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._store = CheckpointStore(
            self._directory.checkpoints,
            state.system,
            step=state.step.step,
            extra={_VALUE: self._value},
            keep=1,
        )
        self.value: float | None = None
        self.step = 0
        self._find()

    def offer(self, value: float | None) -> bool:
        """Saves the networks if `value`, which was just measured, is better than all before; returns whether."""
        if value is None or (self.value is not None and not is_better(self.metric, value, self.value)):
            return False
        write_config(self._directory, self._config)
        self._value.assign(value)
        self._store.save()
        self.value, self.step = value, self._state.done
        self._write()
        return True

    def _find(self) -> None:
        """Takes up what an earlier part of the run has kept, unless that was judged by another metric."""
        path = latest_checkpoint(self._directory.checkpoints)
        if path is None or self._read().get("metric", self.metric) != self.metric:
            return
        try:
            checkpoint = Checkpoint(path)
            value, step = float(checkpoint.read(_VALUE)), checkpoint.step
        except UserError as error:
            raise UserError(f"{error} Delete {self._directory.path} to keep the best from now on.") from error
        self.value, self.step = value, step
        if self._read() != self._content():
            self._write()

    def _content(self) -> dict:
        return {"metric": self.metric, "value": self.value, "step": self.step}

    def _read(self) -> dict:
        try:
            content = json.loads((self._directory.path / "best.json").read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        files.write_text(self._directory.path / "best.json", json.dumps(self._content(), indent=2) + "\n")

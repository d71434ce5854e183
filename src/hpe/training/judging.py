"""What follows from the validations of a run: which networks are kept as its best, and when it ends early."""

from __future__ import annotations

import tensorflow as tf

from hpe.errors import SettingError
from hpe.evaluation.judging import Evaluation
from hpe.runs import RunDirectory
from hpe.training.best import BestCheckpoint
from hpe.training.config import TrainingConfig
from hpe.training.history import History
from hpe.training.runs import RunConfig
from hpe.training.selection import EarlyStopping, judged_value


def check_validated(training: TrainingConfig, *, validated: bool) -> None:
    """Raises UserError if a run is to be judged by its validations but has none."""
    for flag in ("early_stopping_metric", "keep_best_metric"):
        metric = getattr(training, flag)
        if metric is not None and not validated:
            raise SettingError(
                flag, "nothing is validated; give `val_datasets` and `use_validation`.", metric
            )


class Judge:
    """Keeps the best networks of a run, and says when training has stopped helping.

    Args:
        config: the run's settings.
        run: the run.
        system: a `hpe.systems.base.Trains`.
        step: int64 variable, the number of finished steps.
        history: the run's history.
    """

    def __init__(self, config: RunConfig, run: RunDirectory, system, *, step: tf.Variable, history: History):
        training = config.training
        self._history = history
        self._best = self._stopping = None
        if training.keep_best_metric is not None:
            self._best = BestCheckpoint(config, run, system, metric=training.keep_best_metric, step=step)
        if training.early_stopping_metric is not None:
            self._stopping = EarlyStopping(
                training.early_stopping_metric,
                training.early_stopping_patience,
                training.early_stopping_min_delta,
            )

    @property
    def verdict(self) -> str | None:
        """Why the run should end, in words, or None."""
        return self._stopping.verdict(self._history.validations) if self._stopping else None

    @property
    def best(self) -> tuple[float, int] | None:
        """The best value so far and its step, or None."""
        return (self._best.value, self._best.step) if self._best and self._best.value is not None else None

    def consider(self, evaluation: Evaluation) -> None:
        """Takes a validation of the networks as they are now, before it goes into the history.

        Raises:
            UserError: the validation does not yield a metric that the run is judged by, or the disk refuses.
        """
        if self._stopping is not None:
            judged_value(evaluation, self._stopping.metric, "early_stopping_metric")
        if self._best is not None:
            self._best.offer(judged_value(evaluation, self._best.metric, "keep_best_metric"))

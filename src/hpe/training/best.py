"""The best networks of a run so far, by a metric of the validation, kept beside its latest checkpoints.

`<run>/best/` is laid out as a run directory: wherever a run can be named, its best can be too.

<run>/best/params.json       the settings of the run
<run>/best/checkpoints/      ckpt-<step>, the networks alone
<run>/best/best.json         metric, value and step, for people and programs
"""

from __future__ import annotations

import json

import tensorflow as tf

from hpe import files
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.runs.store import CheckpointStore
from hpe.training.runs import RunConfig, write_config
from hpe.training.selection import is_better

_VALUE = "best_value"


class BestCheckpoint:
    """Keeps the networks whose metric is the best so far.

    The value lies in the checkpoint itself, so that one move changes both: a run
    that is killed at any moment has either the old networks and their value, or the new ones and theirs.
    `best.json` is written after that, and put right when the run is resumed.

    Args:
        config: the run's settings.
        run: the run.
        system: a `hpe.systems.base.Trains`; its networks, critic included, are saved as they are when
            `offer` is called.
        metric: name of a metric of `hpe.training.selection`.
        step: int64 variable, the number of finished steps.

    Attributes:
        metric: as given.
        value: the best value so far, None if there is none.
        step: where it was reached.

    Raises:
        UserError: what is there cannot be read.
    """

    def __init__(self, config: RunConfig, run: RunDirectory, system, *, metric: str, step: tf.Variable):
        self._config = config
        self._directory = RunDirectory(run.best)
        self.metric = metric
        self._now = step
        self._value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._store = CheckpointStore(
            self._directory.checkpoints, system, step=step, extra={_VALUE: self._value}, keep=1
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
        self.value, self.step = value, int(self._now)
        self._write()
        return True

    def _find(self) -> None:
        """Takes up what an earlier part of the run has kept, unless that was judged by another metric."""
        path = latest_checkpoint(self._directory.checkpoints)
        if path is None or self._read().get("metric", self.metric) != self.metric:
            return
        checkpoint = Checkpoint(path, advice=f"delete {self._directory.path} to keep the best from now on")
        self.value, self.step = float(checkpoint.read(_VALUE)), checkpoint.step
        if self._read() != self._content():
            self._write()

    def _content(self) -> dict:
        return {"metric": self.metric, "value": self.value, "step": self.step}

    def _read(self) -> dict:
        try:
            content = json.loads((self._directory.path / "best.json").read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        files.write_text(self._directory.path / "best.json", json.dumps(self._content(), indent=2) + "\n")

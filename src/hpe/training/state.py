"""What a run changes from step to step, and where that is kept."""

from __future__ import annotations

import contextlib

from hpe.inference.predictor import Predictor
from hpe.runs import RunDirectory
from hpe.runs.store import CheckpointStore
from hpe.training.step import TrainingStep


class TrainingState:
    """The state of a run.

    Args:
        step: the step with its system, optimizers and averages.
        run: the run, in whose checkpoints all that is kept.
        keep: how many checkpoints to keep.

    Attributes:
        step: as given.
        predictor: predicts with the weights as they are.
        done: number of finished steps.
        saved: number of finished steps in the last checkpoint.
    """

    def __init__(self, step: TrainingStep, run: RunDirectory, *, keep: int):
        self.step = step
        self.predictor = Predictor(step.system)
        self.done = self.saved = 0
        self._store = CheckpointStore(
            run.checkpoints,
            step.system,
            optimizers=step.optimizers,
            step=step.step,
            bad_steps=step.bad_steps,
            average=step.average,
            keep=keep,
        )

    @property
    def system(self):
        """The system that is trained."""
        return self.step.system

    def restore(self, checkpoint: str) -> None:
        """Goes on from a checkpoint; UserError if it does not fit or cannot be read."""
        self.done = self.saved = self._store.restore(checkpoint)

    def save(self) -> None:
        """Writes a checkpoint; UserError if the disk refuses."""
        self._store.save()
        self.saved = self.done

    def averaged(self) -> contextlib.AbstractContextManager:
        """Puts the averaged weights in place, if the run averages them."""
        average = self.step.average
        return average.applied() if average is not None else contextlib.nullcontext()

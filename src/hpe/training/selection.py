"""Which of two validations is better, and when training has stopped helping."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from hpe.errors import SettingError
from hpe.evaluation.evaluator import Evaluation
from hpe.training.history import Entry


class Better(enum.Enum):
    """In which direction a metric improves."""

    SMALLER = "smaller"
    LARGER = "larger"


# The metrics of hpe.evaluation that a run can be judged by. Not `mean_abs_shape`: people have 0.8, and neither
# less nor more is better.
DIRECTIONS = {
    "keypoint_loss": Better.SMALLER,
    "pck_0.2_torso": Better.LARGER,
    "pckh_0.5": Better.LARGER,
    "pckh_0.1": Better.LARGER,
    "mesh_loss": Better.SMALLER,
    "silhouette_iou": Better.LARGER,
    "silhouette_accuracy": Better.LARGER,
    "silhouette_f1": Better.LARGER,
    "mpjpe": Better.SMALLER,
    "pa_mpjpe": Better.SMALLER,
    "n_mpjpe": Better.SMALLER,
    "mpjpe_actions": Better.SMALLER,
    "pa_mpjpe_actions": Better.SMALLER,
    "n_mpjpe_actions": Better.SMALLER,
    "pve": Better.SMALLER,
    "angles_outside_limits": Better.SMALLER,
    "nearest_mocap_pose": Better.SMALLER,
    "limb_asymmetry": Better.SMALLER,
    "shape_beyond_3": Better.SMALLER,
}


def direction(metric: str) -> Better:
    """Returns in which direction a metric improves; ValueError names the metrics that there are."""
    if metric not in DIRECTIONS:
        raise ValueError(f"{metric!r} is no metric to judge a run by; there are {', '.join(DIRECTIONS)}.")
    return DIRECTIONS[metric]


def is_better(metric: str, value: float, than: float, *, by: float = 0.0) -> bool:
    """Whether `value` of a metric is better than another one by more than `by`."""
    gain = value - than if direction(metric) is Better.LARGER else than - value
    return gain > by


def judged_value(evaluation: Evaluation, metric: str, flag: str) -> float | None:
    """Returns the value of a metric in a validation, None if it could not be measured this time.

    Args:
        evaluation: the validation.
        metric: its name.
        flag: the flag that asks for it, for the message.

    Raises:
        UserError: the validation does not yield it, now or ever.
    """
    found = {entry.name: entry for entry in evaluation.metrics}
    if metric in found and found[metric].is_measured:
        return float(found[metric].value)
    if metric in found and not found[metric].reason:
        return None
    reason = f" ({found[metric].reason})" if metric in found else ""
    yielded = [name for name in evaluation.values() if name in DIRECTIONS]
    raise SettingError(
        flag,
        f"the validation does not yield it{reason}; it yields "
        f"{', '.join(yielded) or 'nothing to judge by'}. Resume with one of these, or with `{flag}=` for none.",
        metric,
    )


@dataclasses.dataclass(frozen=True)
class Progress:
    """How a metric has developed.

    Attributes:
        best: the best value, None if nothing was measured.
        step: where it was reached.
        since: validations after it, none of which improved on it by enough.
    """

    best: float | None = None
    step: int = 0
    since: int = 0


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops a run whose metric has not improved for some validations.

    It keeps no state: what it says is a function of the run's history alone, which a kill does not spoil.

    Attributes:
        metric: by what the run is judged.
        patience: how many validations without improvement are too many.
        min_delta: how much better a value must be to count as an improvement.
    """

    metric: str
    patience: int
    min_delta: float = 0.0

    def progress(self, validations: Sequence[Entry]) -> Progress:
        """Follows the metric through all validations of a run, in their order.

        One that does not hold the metric is passed over; one in which it could not be measured is no improvement.
        """
        now = Progress()
        for entry in validations:
            if self.metric not in entry.values:
                continue
            value = entry.values[self.metric]
            first = now.best is None and value is not None
            if first or (value is not None and is_better(self.metric, value, now.best, by=self.min_delta)):
                now = Progress(value, entry.step, 0)
            else:
                now = dataclasses.replace(now, since=now.since + 1)
        return now

    def verdict(self, validations: Sequence[Entry]) -> str | None:
        """Says in words why the run should end, or None if it should go on."""
        now = self.progress(validations)
        if now.since < self.patience:
            return None
        if now.best is None:
            return f"{self.metric} could not be measured in {now.since} validations"
        return (
            f"{self.metric} has not improved on {now.best:.4g} of step {now.step} in {now.since} validations"
        )

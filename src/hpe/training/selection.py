"""Which of two validations is better, and when training has stopped helping."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hpe.errors import SettingError
from hpe.evaluation.judging import Evaluation
from hpe.evaluation.measure import Better
from hpe.evaluation.registry import better, find
from hpe.evaluation.report import Metric
from hpe.training.history import Entry


def is_better(metric: str, value: float, than: float, *, by: float = 0.0) -> bool:
    """Whether `value` of a metric is better than another one by more than `by`."""
    gain = value - than if direction(metric) is Better.HIGHER else than - value
    return gain > by


def direction(metric: str) -> Better:
    """Returns in which direction a metric improves; ValueError if it is none, or one that should do neither."""
    found = better(metric)
    if found is Better.NEITHER:
        raise ValueError(f"{metric!r} is no metric to judge a run by: neither less nor more of it is better.")
    return found


def _judges(metric: Metric) -> bool:
    try:
        return not metric.group and bool(direction(metric.name))
    except ValueError:
        return False


def judged_value(evaluation: Evaluation, metric: str, flag: str) -> float | None:
    """Returns the value of a metric in a validation, None if it could not be measured this time.

    Args:
        evaluation: the validation.
        metric: its name, the family of the name, or an older name; see docs/evaluation.md.
        flag: the setting that asks for it, for the message.

    Raises:
        UserError: the validation does not yield it, now or ever.
    """
    found = evaluation.find(metric)
    if found is not None and found.is_measured:
        return float(found.value)
    if found is not None and not found.reason:
        return None
    reason = f" ({found.reason})" if found is not None else ""
    yielded = [entry.name for entry in evaluation.metrics if entry.is_measured and _judges(entry)]
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
class Plateau:
    """Lowers learning rates whenever a metric stands still, as PyTorch's ReduceLROnPlateau does.

    It keeps no state either: the factor is a function of the run's history.

    Attributes:
        metric: by what the run is judged.
        patience: how many validations without improvement lower the rates.
        factor: by what they are multiplied each time.
    """

    metric: str
    patience: int
    factor: float

    def now(self, validations: Sequence[Entry]) -> float:
        """Returns by what the rates are multiplied after these validations of a run, in their order."""
        best, waited, factor = None, 0, 1.0
        for entry in validations:
            name = find(self.metric, entry.values)
            if name is None:
                continue
            value = entry.values[name]
            if value is not None and (best is None or is_better(self.metric, value, best)):
                best, waited = value, 0
                continue
            waited += 1
            if waited >= self.patience:
                factor, waited = factor * self.factor, 0
        return factor


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
            name = find(self.metric, entry.values)
            if name is None:
                continue
            value = entry.values[name]
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

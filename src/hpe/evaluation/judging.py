"""Judges a system: predicts every sample of a source once and compares with all truth that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from hpe.errors import SettingError, UserError
from hpe.evaluation import evidence, registry
from hpe.evaluation.camera_space import seen_by_camera
from hpe.evaluation.feasibility import Comparison
from hpe.evaluation.judged import Judged, sliced
from hpe.evaluation.measure import Measure
from hpe.evaluation.report import Metric
from hpe.inference.predictor import Predictor
from hpe.pipeline.source import Source
from hpe.systems.prediction import Prediction

# What samples are ranked by: the first of these that was measured.
_RANKED_BY = ("keypoint_loss", "mpjpe")
_NO_MOCAP = Comparison()


class Accumulator(Protocol):
    """What looks at predictions besides the metrics, such as the writer of a submission."""

    def add(self, judged: Judged) -> None:
        """Takes the samples of a batch, in the order of the source."""
        ...


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Metrics over all samples, and those of every sample that say something of one.

    Attributes:
        metrics: in the order of the report.
        names: (N,) bytes, names of the samples in the order of the source.
        samples: by metric (N,) float64, NaN where the sample has no such truth.
    """

    metrics: Sequence[Metric]
    names: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, "S1"))
    samples: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def values(self) -> dict[str, float]:
        """Returns the measured metrics by name."""
        return {metric.name: metric.value for metric in self.metrics if metric.is_measured}

    def find(self, name: str) -> Metric | None:
        """Returns the metric that somebody means by a name, see `hpe.evaluation.registry.find`."""
        by_name = {metric.name: metric for metric in self.metrics}
        return by_name.get(registry.find(name, by_name))

    def ranking(self) -> tuple[str, np.ndarray] | None:
        """Returns a metric that ranks samples and their positions from best to worst, or None."""
        for family in _RANKED_BY:
            name = registry.find(family, self.samples)
            if name is not None and np.isfinite(self.samples[name]).any():
                order = np.argsort(self.samples[name], kind="stable")
                return name, order[: np.isfinite(self.samples[name]).sum()]
        return None


def judge(
    predictor: Predictor,
    source: Source,
    *,
    metrics: Sequence[str] | None = None,
    batch_size: int,
    feasibility: Comparison = _NO_MOCAP,
    also: Iterable[Accumulator] = (),
    max_batches: int | None = None,
    fit_to_truth: bool = False,
    show_progress: bool = True,
) -> Evaluation:
    """Predicts every sample of a source once and compares with all truth that it has.

    Args:
        predictor: the system to judge.
        source: of `hpe.pipeline.open`; joints are compared in the joint set that its datasets were annotated in.
        metrics: names of metrics; by default those that the system is judged by. Those whose truth no sample has
            are left out, unless they were asked for.
        batch_size: samples per step; changes speed, not results.
        feasibility: motion capture that poses are compared with; by default there is none.
        also: what else is shown every prediction.
        max_batches: look at so many batches alone; None for all.
        fit_to_truth: a predictor that fits bodies fits them to the labelled joints and masks, not to what it finds.
        show_progress: draw a progress bar on stderr.

    Returns:
        An Evaluation.

    Raises:
        UserError: the source is empty, nothing can be compared, a record is damaged, or a prediction is not finite.
        ValueError: there is no such metric.
    """
    if not source.count:
        raise SettingError("val_datasets", "names no dataset to validate on.")
    system = predictor.system
    names = (
        registry.metrics_of(system) if metrics is None else [registry.parse(name).text for name in metrics]
    )
    measures = {name: registry.measure(name) for name in names}
    for measure in measures.values():
        if hasattr(measure, "comparison"):
            measure.comparison = feasibility
    manifests = [dataset.manifest for dataset in source.shards]
    needs = registry.needs_of(system, names, manifests)
    if fit_to_truth:
        needs = dataclasses.replace(needs, fields=tuple(sorted({*needs.fields, *evidence.FIELDS})))
    source = source.for_needs(needs)
    predict = predictor_of_batches(predictor, needs.skeleton2d, fit_to_truth=fit_to_truth)
    labels = _Labels(source)
    every = [*measures.values(), labels, *also]
    bar = tqdm(
        total=source.count, unit=source.unit, disable=not show_progress, dynamic_ncols=True, leave=False
    )
    with bar, source.explaining():
        batches = source.evaluation_batches(batch_size=batch_size)
        if max_batches is not None:
            batches = batches.take(max_batches)
        for batch in batches.as_numpy_iterator():
            judged = _judged(predict, system, source, batch)
            for accumulator in every:
                accumulator.add(judged)
            bar.update(len(judged))
    return _evaluation(source, measures, labels, asked=metrics is not None)


def predictor_of_batches(
    predictor: Predictor, skeleton2d: str, *, fit_to_truth: bool = False
) -> Callable[[Mapping], Prediction]:
    """Returns the function from a batch, NumPy, to its prediction.

    Args:
        predictor: what predicts.
        skeleton2d: joint set of the batches' 2D joints.
        fit_to_truth: as of `judge`.
    """
    system = predictor.system
    if not fit_to_truth:
        return lambda batch: predictor(batch[system.input_key])
    return lambda batch: predictor(batch[system.input_key], evidence.true_evidence(batch, system, skeleton2d))


def _judged(predict: Callable[[Mapping], Prediction], system, source: Source, batch: dict) -> Judged:
    valid = int(batch["valid"].sum())
    prediction = sliced(predict(batch), valid)
    batch = {key: value[:valid] for key, value in batch.items()}
    _require_finite(prediction, batch["name"])
    prediction = seen_by_camera(prediction, batch)
    return Judged(
        batch,
        prediction,
        system,
        skeleton2d=source.needs.skeleton2d,
        skeleton3d=source.needs.skeleton3d or source.needs.skeleton2d,
        size=batch["image"].shape[1] if "image" in batch else None,
    )


class _Labels:
    """What samples are called, and what they can be grouped by."""

    def __init__(self, source: Source):
        self._parts: dict[str, list[np.ndarray]] = {"name": [], "action": [], "sequence": []}
        self._datasets = [(dataset.name, dataset.count) for dataset in source.shards]

    def add(self, judged: Judged) -> None:
        """Takes the labels of a batch."""
        for key, parts in self._parts.items():
            missing = np.zeros(len(judged), "S1")
            parts.append(np.asarray(judged.batch.get(key, missing)).astype("S"))

    def of(self, key: str) -> np.ndarray:
        """Returns names, actions or sequences of all samples, (N,) bytes."""
        return np.concatenate(self._parts[key])

    def groups(self, count: int) -> dict[str, np.ndarray]:
        """Returns labels (N,) of all samples by kind of group; samples of no group have an empty one."""
        found = {key: self.of(key) for key in ("action", "sequence")}
        if len(self._datasets) > 1 and sum(size for _, size in self._datasets) == count:
            names, sizes = zip(*self._datasets, strict=True)
            found["dataset"] = np.repeat(np.array(names, "S"), sizes)
        return {kind: labels for kind, labels in found.items() if (labels != b"").any()}


def _evaluation(
    source: Source, measures: Mapping[str, Measure], labels: _Labels, *, asked: bool
) -> Evaluation:
    names = labels.of("name")
    groups = labels.groups(len(names))
    found = [Metric(f"{source.unit}s", len(names))]
    grouped, samples, measured = [], {}, False
    for name, measure in measures.items():
        rows = measure.rows()
        known = np.flatnonzero(np.isfinite(rows[:, 0]))
        family = registry.parse(name).family
        kind = {"unit": family.unit, "better": family.better.value}
        if not len(known):
            if asked or measure.reason:
                reason = measure.reason or f"no {source.unit} has {_wanted(family.needs, source)}"
                found.append(Metric(name, float("nan"), reason=reason, **kind))
            continue
        measured = measured or bool(family.needs)
        total = rows[known].sum(axis=0, dtype=np.float64)
        found.append(Metric(name, measure.value(total), count=len(known), **kind))
        grouped += [
            Metric(f"{name}/{joint}", value, count=len(known), group="joint", **kind)
            for joint, value in measure.by_joint(total).items()
        ]
        for group, of_samples in groups.items():
            parts = _of_group(name, measure, rows, of_samples, group, kind)
            if group == "action" and parts and "joints3d" in family.needs:
                found.append(_mean_of_actions(name, parts, kind))
            grouped += parts
        column = measure.of_samples(rows)
        if column is not None:
            samples[name] = column
    if not measured and source.unit == "pose":
        raise SettingError("val_datasets", "no frame has 3D joints to compare with.")
    return Evaluation([*found, *grouped], names, samples)


def _wanted(fields: Sequence[str], source: Source) -> str:
    """Returns the truth that a metric compares with; of a body, whose: those of other bodies count as absent."""
    name = next(iter(fields), "")
    bodies = source.needs.body_models
    return f"{name} of the body model {' or '.join(bodies)}" if name in ("pose", "shape") and bodies else name


def _of_group(name: str, measure: Measure, rows, labels, group: str, kind: dict) -> list[Metric]:
    """Returns a metric of the samples of every label."""
    known = np.isfinite(rows[:, 0])
    found = []
    for label in np.unique(labels[known & (labels != b"")]):
        chosen = known & (labels == label)
        value = measure.value(rows[chosen].sum(axis=0, dtype=np.float64))
        text = label.decode(errors="replace")
        # Actions are called as in the tables; sequences and datasets may be called anything.
        member = text if group == "action" else f"{group}={text}"
        found.append(Metric(f"{name}/{member}", value, count=int(chosen.sum()), group=group, **kind))
    return found


def _mean_of_actions(name: str, parts: Sequence[Metric], kind: dict) -> Metric:
    stem, _, protocol = name.partition("@")
    value = float(np.mean([part.value for part in parts]))
    count = sum(part.count for part in parts)
    return Metric(f"{stem}{registry.ACTIONS}@{protocol}", value, count=count, **kind)


def _require_finite(prediction: Prediction, names: np.ndarray) -> None:
    """Raises UserError naming the first sample whose prediction is not finite: left out, it would flatter."""
    fields = ("joints2d", "confidence", "joints3d", "vertices", "camera", "pose", "shape")
    arrays = [getattr(prediction, name) for name in fields]
    finite = np.ones(len(names), bool)
    for array in arrays:
        if array is not None:
            finite &= np.isfinite(array).all(axis=tuple(range(1, np.ndim(array))))
    if not finite.all():
        name = names[np.flatnonzero(~finite)[0]]
        raise UserError(
            f"{name.decode(errors='replace')}: its prediction is not finite; training has diverged, so take an "
            "earlier checkpoint."
        )

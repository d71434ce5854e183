"""How metrics are shown and kept: an aligned table for people, a JSON file for programs."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

from hpe import files
from hpe.errors import UserError


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number of a report.

    Attributes:
        name: short identifier, the key in the JSON file, such as `pa_mpjpe`.
        value: the number; not finite where it could not be measured.
        unit: such as `mm`, or empty.
        count: how many samples it was measured on, None if that says nothing.
        reason: why it could not be measured, shown in its place.
    """

    name: str
    value: float
    unit: str = ""
    count: int | None = None
    reason: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)


def to_text(metrics: Sequence[Metric]) -> str:
    """Returns a table with one line per metric: name, value, unit, number of samples; columns are aligned."""
    rows = [("metric", "value", "unit", "samples")]
    rows += [
        (metric.name, _number(metric), metric.unit, "" if metric.count is None else str(metric.count))
        for metric in metrics
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    notes = ["", *("" if metric.is_measured else f"  ({_reason(metric)})" for metric in metrics)]
    lines = []
    for (name, value, unit, samples), note in zip(rows, notes, strict=True):
        line = f"{name:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {samples:>{widths[3]}}{note}"
        lines.append(line.rstrip() + "\n")
    return "".join(lines)


def to_json(metrics: Sequence[Metric], *, details: Mapping | None = None) -> str:
    """Returns strict JSON: `metrics` by name, with null and a reason for what is not a finite number.

    Args:
        metrics: with different names.
        details: what was measured, such as checkpoint and datasets: nested mappings and sequences of strings,
            numbers (NumPy's too), booleans and None; numbers that are not finite become null.

    Raises:
        ValueError: if two metrics have the same name.
    """
    names = [metric.name for metric in metrics]
    if len(set(names)) != len(names):
        raise ValueError(f"metrics must have different names. Received: names={names}")
    content = {}
    for metric in metrics:
        entry = {"value": metric.value, "unit": metric.unit}
        if metric.count is not None:
            entry["count"] = metric.count
        if not metric.is_measured:
            entry["reason"] = _reason(metric)
        content[metric.name] = entry
    return json.dumps(_plain({**(details or {}), "metrics": content}), indent=2, allow_nan=False) + "\n"


def make_folder(path: str | os.PathLike) -> None:
    """Makes the folder of a report, so that it is known before anything is measured whether it can be written.

    Raises:
        UserError: if it cannot.
    """
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"{path}: cannot be written to ({error.strerror or error}); set `output`.") from error


def write_json(path: str | os.PathLike, metrics: Sequence[Metric], *, details: Mapping | None = None) -> None:
    """Writes `to_json` to a file, as `hpe.files.write_text` does."""
    files.write_text(path, to_json(metrics, details=details))


def _number(metric: Metric) -> str:
    if not metric.is_measured:
        return "-"
    if isinstance(metric.value, int):
        return str(metric.value)
    return f"{metric.value:.1f}" if abs(metric.value) >= 100 else f"{metric.value:.3f}"


def _reason(metric: Metric) -> str:
    return metric.reason or f"not a finite number: {metric.value}"


def _plain(value):
    """Returns a value as plain Python that strict JSON knows."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

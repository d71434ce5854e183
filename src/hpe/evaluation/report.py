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

# Version of the layout of the JSON file.
SCHEMA = 2

_SHOWN_GROUPS = ("joint", "action", "dataset")


@dataclasses.dataclass(frozen=True)
class Metric:
    """One number of a report.

    Attributes:
        name: key in the JSON file; it holds the protocol, `pa_mpjpe@lsp14`, and behind a slash the action, the
            joint or whatever else the number is of alone: `pa_mpjpe@h36m17/Walking`.
        value: the number; not finite where it could not be measured.
        unit: such as `mm`, or empty.
        count: how many samples it was measured on, None if that says nothing.
        reason: why it could not be measured, shown in its place.
        better: `lower`, `higher` or `neither`: in which direction it improves; empty where it is no measure.
        group: what it is of alone: `action`, `joint`, `dataset` or `sequence`; empty for all samples together.
    """

    name: str
    value: float
    unit: str = ""
    count: int | None = None
    reason: str = ""
    better: str = ""
    group: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)


def to_text(metrics: Sequence[Metric]) -> str:
    """Returns a table with one line per metric: name, value, unit, number of samples; columns are aligned.

    Below it comes a table for every kind of group, a line for each action or joint and a column for each metric.
    Sequences are many and stay in the JSON file.
    """
    text = _lines([metric for metric in metrics if not metric.group])
    for group in _SHOWN_GROUPS:
        of_group = [metric for metric in metrics if metric.group == group]
        if of_group:
            text += f"\n{_pivot(group, of_group)}"
    return text


def _lines(metrics: Sequence[Metric]) -> str:
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


def _pivot(group: str, metrics: Sequence[Metric]) -> str:
    """Returns a table of the metrics of one kind of group: a line per action, a column per metric."""
    cells, members, columns = {}, [], []
    for metric in metrics:
        name, _, member = metric.name.partition("/")
        cells[member, name] = _number(metric)
        members += [member] if member not in members else []
        columns += [name] if name not in columns else []
    rows = [[group, *columns]]
    rows += [[member, *(cells.get((member, name), "") for name in columns)] for member in members]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns) + 1)]
    return "".join(
        "  ".join(
            f"{cell:<{width}}" if place == 0 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


def to_json(metrics: Sequence[Metric], *, details: Mapping | None = None) -> str:
    """Returns strict JSON: `metrics` by name, with null and a reason for what is not a finite number.

    `schema` is the version of the layout: since 2 names hold their protocol, and `samples` are columns.

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
        for key in ("better", "count", "group"):
            if getattr(metric, key) not in ("", None):
                entry[key] = getattr(metric, key)
        if not metric.is_measured:
            entry["reason"] = _reason(metric)
        content[metric.name] = entry
    return (
        json.dumps(
            _plain({"schema": SCHEMA, **(details or {}), "metrics": content}), indent=2, allow_nan=False
        )
        + "\n"
    )


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

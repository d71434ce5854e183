"""What finished runs have left: metrics, curves and minutes, and the tables of them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

from benchmarks.ablation.plan import SETTINGS, Run
from hpe.evaluation.registry import find
from hpe.training.history import VALIDATION, read_history

# The columns of the report's own table, plus the time; titles and formats.
MAIN_COLUMNS = {
    "keypoint_loss@cocoplus19": ("keypoint loss", ".2f"),
    "mesh_loss@crop": ("mesh loss, px", ".2f"),
    "pck0.2torso@lsp14": ("PCK@0.2", ".3f"),
    "silhouette_iou@crop": ("IoU", ".3f"),
}
KINDS = {"train": "training", "validation": "validation"}
_COUNTS = ("images",)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one run has left.

    Attributes:
        run: of the plan.
        metrics: by kind of report (`train`, `validation`) and name: the entries of `metrics.json`.
        minutes: of the training.
        step: of the checkpoint.
    """

    run: Run
    metrics: Mapping[str, Mapping[str, Mapping]]
    minutes: float
    step: int


def measured(run: Run, note: Mapping | None) -> Measured | None:
    """Reads the reports of a run; None unless all are there."""
    if note is None or not all(run.report(kind).exists() for kind in run.validations):
        return None
    reports = {kind: json.loads(run.report(kind).read_text()) for kind in run.validations}
    metrics = {
        kind: {name: entry for name, entry in report["metrics"].items() if not entry.get("group")}
        for kind, report in reports.items()
    }
    return Measured(run, metrics, note["seconds"] / 60, reports["validation"]["step"])


def tables(results: Sequence[Measured]) -> str:
    """Returns Markdown: for every data set a table of the losses and one of all other metrics."""
    parts = []
    for data_set in dict.fromkeys(result.run.data_set for result in results):
        rows = [result for result in results if result.run.data_set == data_set]
        steps = " or ".join(str(step) for step in sorted({row.step for row in rows}))
        parts.append(f"## {data_set}\n\n{steps} steps.\n\n{main_table(rows)}")
        others = other_table(rows)
        if others:
            parts.append(f"The rest, on training / validation images:\n\n{others}")
    return "\n".join(parts) or "No run is finished.\n"


def main_table(rows: Sequence[Measured]) -> str:
    """Returns the metrics of the report for the settings of one data set, in two columns each."""
    titles = ["setting"]
    for title, _ in MAIN_COLUMNS.values():
        titles += [f"{title}: training", "validation"]
    lines = [[*titles, "minutes"]]
    for row in rows:
        cells = [row.run.setting.title]
        for name, (_, style) in MAIN_COLUMNS.items():
            cells += [_cell(row.metrics[kind].get(name), style) for kind in KINDS]
        lines.append([*cells, f"{row.minutes:.1f}"])
    return _markdown(lines)


def other_table(rows: Sequence[Measured]) -> str:
    """Returns all other metrics that any report has, by their own names; empty if there are none."""
    units = {}
    for row in rows:
        for kind in KINDS:
            for name, entry in row.metrics[kind].items():
                if name not in MAIN_COLUMNS and name not in _COUNTS:
                    units.setdefault(name, entry.get("unit", ""))
    if not units:
        return ""
    lines = [["setting", *(f"{name}, {unit}" if unit else name for name, unit in units.items())]]
    for row in rows:
        cells = [" / ".join(_cell(row.metrics[kind].get(name), ".3g") for kind in KINDS) for name in units]
        lines.append([row.run.setting.title, *cells])
    return _markdown(lines)


def curve(run: Run, metric: str) -> list[tuple[int, float]]:
    """Returns (step, value) of a metric over the validations during a run, in the order of the steps."""
    entries = read_history(run.directory / "history.jsonl")
    validations = [entry for entry in entries if entry.kind == VALIDATION]
    points = {entry.step: entry.values.get(find(metric, entry.values)) for entry in validations}
    return sorted((step, value) for step, value in points.items() if value is not None)


def write_curves(path: pathlib.Path, runs: Sequence[Run], metrics: Mapping[str, str], *, title: str) -> bool:
    """Draws one line per run and one panel per metric into a picture.

    Args:
        path: of the PNG.
        runs: of one data set.
        metrics: titles of the panels by the name of the metric.
        title: over all panels.

    Returns:
        False if there was nothing to draw, or nothing to draw with, which is said in one line.
    """
    lines = {metric: [(run, curve(run, metric)) for run in runs] for metric in metrics}
    if not any(points for curves in lines.values() for _, points in curves):
        return False
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path}: curves need matplotlib, which is in the extra `bench` (pip install -e '.[bench]').")
        return False
    figure = Figure(figsize=(5.5 * len(metrics), 4.2), layout="constrained")
    for place, (metric, curves) in enumerate(lines.items(), start=1):
        axes = figure.add_subplot(1, len(metrics), place)
        for run, points in curves:
            if points:
                # A setting has its colour, whichever others are there.
                color = f"C{SETTINGS.index(run.setting)}"
                axes.plot(*zip(*points, strict=True), marker=".", color=color, label=run.setting.title)
        axes.set(title=metrics[metric], xlabel="step")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True


def _cell(entry: Mapping | None, style: str) -> str:
    return "-" if entry is None or entry["value"] is None else format(entry["value"], style)


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)

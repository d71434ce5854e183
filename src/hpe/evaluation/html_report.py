"""Reports as pages: metrics with their protocol and direction, curves, distributions, pictures, settings; one file.

A page is made of what lies on the disk beside a run: `metrics.json`, `history.jsonl`, `params.json`, panels. So a
report of several runs beside each other is the same page with more columns.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import math
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from hpe import files
from hpe.errors import UserError
from hpe.evaluation.charts import bars, curves, histogram, number
from hpe.evaluation.report import to_json

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 1200px; margin: 0 auto; padding: 0 14px 40px; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 28px; }
.table { overflow-x: auto; } table { border-collapse: collapse; }
td, th { padding: 2px 10px; border-top: 1px solid #8884; text-align: left; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.best { font-weight: 700; }
.quiet, .legend { opacity: 0.75; font-size: 13px; } img { max-width: 100%; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 10px 24px; }
.charts > div { min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 600px) { td, th { padding: 2px 5px; font-size: 14px; overflow-wrap: anywhere; } }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: currentColor; } svg .quiet { opacity: 0.75; }
svg .grid { stroke: currentColor; stroke-opacity: 0.15; } pre { overflow: auto; font-size: 12px; }
"""

_ARROWS = {"lower": "lower is better", "higher": "higher is better"}
_PANELS = ("samples", "best", "worst")
# Charts of single metrics would fill pages.
_MOST_CURVES = 12
METRICS = "metrics.json"


@dataclasses.dataclass(frozen=True)
class Report:
    """What is known of one run.

    Attributes:
        name: what it is called.
        metrics: entries of `metrics.json` by name.
        samples: values of every sample by metric.
        details: what else `metrics.json` says.
        history: rows (step, epoch, kind, values) of `history.jsonl`.
        settings: `params.json`.
        pictures: panels by name, PNG.
    """

    name: str
    metrics: Mapping[str, Mapping]
    samples: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    details: Mapping = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping] = ()
    settings: Mapping = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def read_report(path: pathlib.Path, *, run: pathlib.Path | None = None, name: str | None = None) -> Report:
    """Reads what a validation left.

    Args:
        path: folder of `metrics.json`, a run that holds one, or that file.
        run: the run that was validated, of which curves and settings are; by default the folder above.
        name: what it is called; by default the run's folder.

    Raises:
        UserError: there is no `metrics.json`, or it is none.
    """
    path = pathlib.Path(path)
    # What validate_checkpoint left has more in it than what the training measured last, `validation.json`.
    found = [path, path / METRICS, path / "validation" / METRICS, path / "validation.json"]
    source = next((candidate for candidate in found if candidate.is_file()), None)
    if source is None:
        raise UserError(
            f"{path}: holds no {METRICS}; measure it first: validate_checkpoint with `checkpoint={path}`."
        )
    content = _json(source)
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), dict):
        raise UserError(f"{source}: is no report of validate_checkpoint.")
    if run is None:
        run = source.parent if (source.parent / "params.json").is_file() else source.parent.parent
    samples = content.get("samples")
    samples = samples if isinstance(samples, dict) else {}
    return Report(
        name or run.name or str(path),
        {key: value for key, value in content["metrics"].items() if isinstance(value, dict)},
        {
            key: _numbers(values)
            for key, values in samples.items()
            if key != "name" and isinstance(values, list)
        },
        {key: value for key, value in content.items() if key not in ("metrics", "samples", "schema")},
        _history(run / "history.jsonl"),
        _json(run / "params.json") if (run / "params.json").is_file() else {},
        {
            panel: (source.parent / f"{panel}.png").read_bytes()
            for panel in _PANELS
            if (source.parent / f"{panel}.png").is_file()
        },
    )


def report_of(evaluation, run: pathlib.Path) -> Report:
    """Returns the report of what a training has just measured.

    Args:
        evaluation: `hpe.evaluation.Evaluation`.
        run: the run's directory, of which curves and settings are.
    """
    settings = run / "params.json"
    return Report(
        run.name,
        json.loads(to_json(evaluation.metrics))["metrics"],
        evaluation.samples,
        {},
        _history(run / "history.jsonl"),
        _json(settings) if settings.is_file() else {},
    )


def to_html(reports: Sequence[Report], *, title: str, command: str = "") -> str:
    """Returns a page of one run, or of several beside each other.

    Args:
        reports: of runs; the first says the order of the metrics.
        title: of the page.
        command: that made it, shown as it is.
    """
    sections = [
        ("Metrics", _table(reports)),
        ("Over the training", _curves(reports)),
        ("Distributions", _distributions(reports)),
        ("By joint and action", _groups(reports)),
        *((f"Pictures: {report.name}", _pictures(report)) for report in reports if report.pictures),
        ("Settings", _settings(reports)),
    ]
    body = "".join(f"<h2>{html.escape(name)}</h2>{content}" for name, content in sections if content)
    made = f'<p class="quiet"><code>{html.escape(command)}</code></p>' if command else ""
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{name}</h1>{made}{body}</body></html>\n"
    )


def write_report(path: pathlib.Path, reports: Sequence[Report], *, title: str, command: str = "") -> None:
    """Writes `to_html` to a file.

    Raises:
        UserError: it cannot be written.
    """
    files.write_text(path, to_html(reports, title=title, command=command))


def comparison(reports: Sequence[Report]) -> str:
    """Returns a table for a terminal: a line for each metric, a column for each run, `*` at the best."""
    rows = [["metric", *(report.name for report in reports), "unit"]]
    for name, unit, better, values in _rows(reports):
        best = _best(values, better)
        cells = [("*" if value == best else "") + _shown(value) for value in values]
        rows.append([name, *cells, unit])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "".join(
        "  ".join(
            cell.ljust(width) if place in (0, len(row) - 1) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        + "\n"
        for row in rows
    )


def _rows(reports: Sequence[Report]):
    """Yields name, unit, direction and the values (NaN where it was not measured) of metrics of all samples."""
    names = dict.fromkeys(
        name for report in reports for name, entry in report.metrics.items() if not entry.get("group")
    )
    for name in names:
        entries = [report.metrics.get(name, {}) for report in reports]
        first = next(entry for entry in entries if entry)
        values = [_value(entry.get("value")) for entry in entries]
        yield name, str(first.get("unit", "")), str(first.get("better", "")), values


def _best(values: Sequence[float], better: str) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    if len(finite) < 2 or better not in _ARROWS:
        return None
    return min(finite) if better == "lower" else max(finite)


def _table(reports: Sequence[Report]) -> str:
    heads = "".join(f"<th>{html.escape(report.name)}</th>" for report in reports)
    lines = []
    for name, unit, better, values in _rows(reports):
        best = _best(values, better)
        cells = "".join(
            f'<td class="number{" best" if value == best else ""}">{_shown(value)}</td>' for value in values
        )
        lines.append(
            f"<tr><td>{html.escape(name)}</td>{cells}<td>{html.escape(unit)}</td>"
            f'<td class="quiet">{_ARROWS.get(better, "")}</td></tr>'
        )
    head = f"<tr><th>metric</th>{heads}<th></th><th></th></tr>"
    return f'<div class="table"><table>{head}{"".join(lines)}</table></div>'


def _curves(reports: Sequence[Report]) -> str:
    charts = []
    for kind, label in (("validation", "validated"), ("train", "trained on")):
        names = dict.fromkeys(
            name
            for report in reports
            for row in report.history
            if row["kind"] == kind
            for name in row["values"]
        )
        if kind == "validation":
            chosen = [name for name in names if not _counts(name, reports)]
        else:
            chosen = [name for name in names if name.startswith(("loss/", "critic/total"))]
        for name in chosen[:_MOST_CURVES]:
            lines = {
                report.name: [
                    (row["epoch"], row["values"][name])
                    for row in report.history
                    if row["kind"] == kind and row["values"].get(name) is not None
                ]
                for report in reports
            }
            if max(map(len, lines.values())) > 1:
                lines = {line: _thinned(points) for line, points in lines.items()}
                chart = curves(lines, x_label="epoch")
                charts.append(
                    f"<div><b>{html.escape(name)}</b> <span class='quiet'>{label}</span>{chart}</div>"
                )
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _counts(name: str, reports: Sequence[Report]) -> bool:
    """Returns whether a number only says on how much was measured, as `images` does: its curve would be flat."""
    entries = [report.metrics[name] for report in reports if name in report.metrics]
    return bool(entries) and not any(entry.get("better") for entry in entries)


def _thinned(points: list, most: int = 300) -> list:
    """Returns means of neighbours, no more than can be told apart."""
    step = -(-len(points) // most)
    parts = [points[start : start + step] for start in range(0, len(points), step)]
    return [tuple(float(np.mean(column)) for column in zip(*part, strict=True)) for part in parts]


def _distributions(reports: Sequence[Report]) -> str:
    names = dict.fromkeys(name for report in reports for name in report.samples)
    charts = []
    for name in names:
        values = {report.name: report.samples[name] for report in reports if name in report.samples}
        unit = next((str(report.metrics.get(name, {}).get("unit", "")) for report in reports), "")
        charts.append(f"<div><b>{html.escape(name)}</b>{histogram(values, unit=unit)}</div>")
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _groups(reports: Sequence[Report]) -> str:
    found: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    units = {}
    for report in reports:
        for name, entry in report.metrics.items():
            group = entry.get("group")
            if group not in ("joint", "action", "dataset"):
                continue
            metric, _, member = name.partition("/")
            chart = found.setdefault((metric, group), {})
            chart.setdefault(report.name, {})[member] = _value(entry.get("value"))
            units[metric] = str(entry.get("unit", ""))
    charts = [
        f"<div><b>{html.escape(metric)}</b> by {group}{bars(values, unit=units[metric])}</div>"
        for (metric, group), values in found.items()
    ]
    return f'<div class="charts">{"".join(charts)}</div>' if charts else ""


def _pictures(report: Report) -> str:
    return "".join(
        f'<p><b>{name}</b></p><img alt="{name} of the samples" src="data:image/png;base64,'
        f'{base64.b64encode(picture).decode()}">'
        for name, picture in report.pictures.items()
    )


def _settings(reports: Sequence[Report]) -> str:
    parts = []
    for report in reports:
        shown = {**report.details, "settings": report.settings} if report.settings else dict(report.details)
        text = html.escape(json.dumps(shown, indent=1, ensure_ascii=False))
        parts.append(f"<details><summary>{html.escape(report.name)}</summary><pre>{text}</pre></details>")
    return "".join(parts)


def _shown(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return str(int(value)) if value == int(value) and abs(value) < 1e9 else number(value)


def _value(value) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _numbers(values: list) -> np.ndarray:
    return np.array([_value(value) for value in values])


def _json(path: pathlib.Path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read ({error}).") from error


def _history(path: pathlib.Path) -> list[dict]:
    """Returns the entries of a history, see `hpe.training.history`; lines that are none are left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if (
            isinstance(row, dict)
            and {"epoch", "kind", "values"} <= row.keys()
            and isinstance(row["values"], dict)
        ):
            rows.append(row)
    return rows

"""Small charts as SVG for pages of results: curves, histograms and bars, with words and numbers for everything.

No drawing library is among the dependencies, and a page needs no more than lines and boxes.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

COLORS = ("#2f6fde", "#e8731a", "#2a9d5c", "#a44fc9", "#c0392b", "#7f8c8d")

_WIDTH, _HEIGHT = 460, 220
# A number of eight letters under the last tick needs half its width beside it.
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 26, 10, 36
_TICKS = 4
_BAR = 18


def curves(
    lines: Mapping[str, Sequence[tuple[float, float]]], *, x_label: str = "", y_label: str = ""
) -> str:
    """Returns a chart of curves.

    Args:
        lines: points (x, y) by name; those that are not finite are left out.
        x_label, y_label: what the axes are.
    """
    kept = {
        name: [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        for name, points in lines.items()
    }
    points = [point for line in kept.values() for point in line]
    if not points:
        return _nothing()
    xs, ys = zip(*points, strict=True)
    across, down = (
        _axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT),
        _axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP),
    )
    parts = [_frame(across, down, x_label, y_label)]
    for (name, line), color in zip(kept.items(), _endless(COLORS), strict=False):
        path = " ".join(f"{across.at(x):.1f},{down.at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"/>')
        parts += [
            f'<circle cx="{across.at(x):.1f}" cy="{down.at(y):.1f}" r="2.4" fill="{color}">'
            f"<title>{html.escape(name)}: {number(y)} at {number(x)}</title></circle>"
            for x, y in (line if len(line) <= 60 else line[-1:])
        ]
    return _svg("".join(parts), _WIDTH, _HEIGHT) + _legend(list(kept))


def histogram(samples: Mapping[str, np.ndarray], *, unit: str = "", bins: int = 30) -> str:
    """Returns how values are distributed, as shares of the samples; the last bin holds all that is larger.

    Args:
        samples: values (N,) by name; those that are not finite are left out.
        unit: of the values.
        bins: number of bins up to the 98th percentile.
    """
    finite = {name: np.asarray(values, np.float64) for name, values in samples.items()}
    finite = {name: values[np.isfinite(values)] for name, values in finite.items()}
    everything = np.concatenate(list(finite.values())) if finite else np.zeros(0)
    if not len(everything):
        return _nothing()
    low, high = float(everything.min()), float(np.percentile(everything, 98))
    if high <= low:
        high = low + 1
    edges = np.linspace(low, high, bins + 1)
    shares = {
        name: np.histogram(np.minimum(values, high), edges)[0] / max(len(values), 1)
        for name, values in finite.items()
    }
    most = max(float(share.max()) for share in shares.values())
    across, down = _axis(low, high, _LEFT, _WIDTH - _RIGHT), _axis(0.0, 100 * most, _HEIGHT - _BOTTOM, _TOP)
    parts = [_frame(across, down, unit, "% of samples")]
    for (name, share), color in zip(shares.items(), _endless(COLORS), strict=False):
        for start, end, part in zip(edges[:-1], edges[1:], share, strict=True):
            x, top = across.at(start), down.at(100 * part)
            parts.append(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{max(across.at(end) - x - 0.5, 0.5):.1f}" '
                f'height="{_HEIGHT - _BOTTOM - top:.1f}" fill="{color}" fill-opacity="0.55"><title>'
                f"{html.escape(name)}: {100 * part:.1f} % from {number(start)} to {number(end)}</title></rect>"
            )
    return _svg("".join(parts), _WIDTH, _HEIGHT) + _legend(list(shares))


def bars(groups: Mapping[str, Mapping[str, float]], *, unit: str = "") -> str:
    """Returns horizontal bars, such as the error of every joint.

    Args:
        groups: by what is compared, such as two runs, values by name; names follow the first.
        unit: of the values.
    """
    names = list(dict.fromkeys(name for values in groups.values() for name in values))
    most = max(
        (value for values in groups.values() for value in values.values() if math.isfinite(value)),
        default=0.0,
    )
    if not names or most <= 0:
        return _nothing()
    left, thick = 150, max(_BAR / max(len(groups), 1), 5)
    step = thick * len(groups) + 6
    parts = []
    for row, name in enumerate(names):
        top = row * step + 3
        middle = top + thick * len(groups) / 2 + 4
        parts.append(f'<text x="{left - 6}" y="{middle:.1f}" text-anchor="end">{html.escape(name)}</text>')
        for place, ((group, values), color) in enumerate(zip(groups.items(), _endless(COLORS), strict=False)):
            value = values.get(name, math.nan)
            if not math.isfinite(value):
                continue
            wide = (_WIDTH - left - 60) * value / most
            y = top + place * thick
            parts.append(
                f'<rect x="{left}" y="{y:.1f}" width="{wide:.1f}" height="{thick - 1:.1f}" fill="{color}">'
                f"<title>{html.escape(group)}</title></rect>"
                f'<text x="{left + wide + 4:.1f}" y="{y + thick / 2 + 4:.1f}">{number(value)}</text>'
            )
    note = f'<text x="{left}" y="{len(names) * step + 14:.0f}" class="quiet">{html.escape(unit)}</text>'
    return _svg("".join(parts) + note, _WIDTH, int(len(names) * step + 20)) + _legend(list(groups))


def number(value: float) -> str:
    """Returns a number with three digits that say something."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "-"
    size = math.floor(math.log10(abs(value)))
    if -4 < size < 6:
        return f"{value:.{max(2 - size, 0)}f}"
    return f"{value:.2e}"


class _Axis:
    def __init__(self, low: float, high: float, start: float, end: float):
        self.low, self.high, self._start, self._end = low, high, start, end

    def at(self, value: float) -> float:
        return self._start + (value - self.low) / (self.high - self.low) * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [self.low + (self.high - self.low) * index / _TICKS for index in range(_TICKS + 1)]


def _axis(low: float, high: float, start: float, end: float) -> _Axis:
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return _Axis(low, high, start, end)


def _frame(across: _Axis, down: _Axis, x_label: str, y_label: str) -> str:
    parts = []
    for value in down.ticks():
        y = down.at(value)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    for value in across.ticks():
        place = f'x="{across.at(value):.1f}" y="{_HEIGHT - _BOTTOM + 17}"'
        parts.append(f'<text {place} text-anchor="middle">{number(value)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle" class="quiet">{html.escape(x_label)}</text>'
    )
    parts.append(f'<text x="{_LEFT + 4}" y="{_TOP + 10}" class="quiet">{html.escape(y_label)}</text>')
    return "".join(parts)


def _svg(content: str, width: int, height: int) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" style="max-width:{width}px">{content}</svg>'


def _legend(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    entries = (
        f'<span style="color:{color}">&#9632;</span> {html.escape(name)}'
        for name, color in zip(names, _endless(COLORS), strict=False)
    )
    return f'<p class="legend">{" &nbsp; ".join(entries)}</p>'


def _nothing() -> str:
    return '<p class="quiet">nothing was measured</p>'


def _endless(values):
    while True:
        yield from values

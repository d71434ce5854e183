"""Curves as an SVG that needs no library: panels side by side, one line for each run."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Mapping, Sequence

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT, _MARGIN = 360, 250, 46
_COLORS = ("#1f77b4", "#d95f02", "#2ca02c", "#9467bd", "#8c564b", "#e377c2")
_TICKS = 4


def write_svg(path: pathlib.Path, panels: Mapping[str, Mapping[str, Points]], *, xlabel: str) -> None:
    """Draws panels.

    Args:
        path: of the SVG.
        panels: for every title the lines by their names, each points (x, y); panels without points are left out.
        xlabel: below every panel.
    """
    panels = {
        title: {name: points for name, points in lines.items() if len(points)}
        for title, lines in panels.items()
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    parts = []
    for place, (title, lines) in enumerate(panels.items()):
        parts.append(f'<g transform="translate({place * _WIDTH} 0)">')
        parts += _panel(title, lines, names, xlabel)
        parts.append("</g>")
    for place, name in enumerate(names):
        x, y = 12 + 170 * (place % 6), _HEIGHT + 14 + 18 * (place // 6)
        parts.append(f'<rect x="{x}" y="{y - 8}" width="14" height="4" fill="{_color(names, name)}"/>')
        parts.append(f'<text x="{x + 20}" y="{y - 2}">{html.escape(name)}</text>')
    height = _HEIGHT + 22 + 18 * ((len(names) + 5) // 6)
    width = max(_WIDTH * len(panels), 12 + 170 * min(len(names), 6))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">'
        f'<rect width="{width}" height="{height}" fill="white"/>'
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *parts, "</svg>", ""]))


def _panel(title: str, lines: Mapping[str, Points], names: Sequence[str], xlabel: str) -> list[str]:
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    low, high = min(0.0, *ys), max(ys) or 1.0
    left, right = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1

    def place(x: float, y: float) -> tuple[float, float]:
        across = _MARGIN + (x - left) / (right - left) * (_WIDTH - _MARGIN - 14)
        up = (y - low) / (high - low or 1.0) * (_HEIGHT - _MARGIN - 34)
        return round(across, 1), round(_HEIGHT - _MARGIN - up, 1)

    parts = [f'<text x="{_WIDTH / 2}" y="18" text-anchor="middle" font-size="13">{html.escape(title)}</text>']
    for step in range(_TICKS + 1):
        y = low + (high - low) * step / _TICKS
        x = left + (right - left) * step / _TICKS
        (x0, y0), (x1, _) = place(left, y), place(right, y)
        parts.append(f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y0}" stroke="#ddd"/>')
        parts.append(f'<text x="{x0 - 4}" y="{y0 + 4}" text-anchor="end">{_number(y)}</text>')
        parts.append(
            f'<text x="{place(x, low)[0]}" y="{place(x, low)[1] + 16}" text-anchor="middle">{_number(x)}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 10}" text-anchor="middle">{html.escape(xlabel)}</text>'
    )
    for name, points in lines.items():
        way = " ".join(f"{x},{y}" for x, y in (place(*point) for point in points))
        color = _color(names, name)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="1.6"/>')
    return parts


def _color(names: Sequence[str], name: str) -> str:
    return _COLORS[names.index(name) % len(_COLORS)]


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"

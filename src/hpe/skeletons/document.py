"""docs/skeletons.md: all joint sets and how they become each other, from the tables of this package.

python -m hpe.skeletons.document > docs/skeletons.md
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from hpe.skeletons.conversion import convert
from hpe.skeletons.rules import DETECTED, DETECTED_WHY, RULES, TABLES
from hpe.skeletons.sets import SKELETONS, get

_HEAD = """# Joint sets

This page is printed by `python -m hpe.skeletons.document`; a test holds it to the code.

A joint has a name, and it is a point of the body: `thorax@h36m` is where the neck begins, MPII's `thorax` lies
between the shoulders. Names say the side, so sets mirror by them; points say what may stand for what. `=` is the
same point (or its definition, such as a midpoint), `~` another one that stands in for it, with what it is off
where that was measured. Training may use stand-ins; an evaluation may refuse them: `skeletons.convert(source,
target, stand_ins=False)`. A joint that cannot be told is an error unless `missing=True`, which gives it weight 0.

Biases are medians over 34,975 frames of Human3.6M against Stacked Hourglass' MPII joints. By the same measure
shoulders, elbows, wrists and knees of both are 0.03 m apart, hips and ankles 0.05 m, which every published table
takes for the same.
"""


def to_markdown() -> str:
    """Returns the page."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield from _HEAD.strip().splitlines()
    yield from ("", "## Sets", "", "| set | joints, in order; `name=point` where they differ |", "|---|---|")
    for skeleton in SKELETONS.values():
        joints = (
            joint if joint == point else f"{joint}={point}"
            for joint, point in zip(skeleton.joints, skeleton.points, strict=True)
        )
        yield f"| {skeleton.name} ({len(skeleton)}) | {' '.join(joints)} |"
    yield from ("", "## What stands for what", "", "The first row whose sources a set has holds.", "")
    yield from ("| point | from | off by | why |", "|---|---|---|---|")
    yield f"| any | ~ the same with `{DETECTED}` | | {DETECTED_WHY} |"
    for rule in RULES:
        sources = rule.sources[0] if len(rule.sources) == 1 else f"mean({', '.join(rule.sources)})"
        off = "" if rule.bias is None else f"{rule.bias:.2f} m"
        yield f"| {rule.target} | {'=' if rule.exact else '~'} {sources} | {off} | {rule.why} |"
    yield from (
        "",
        "## Published tables",
        "",
        'Asked for by name, `convert(..., table="spin")`; else the rules hold.',
        "",
    )
    yield from ("| table | from | to | differs in |", "|---|---|---|---|")
    for name, entries in TABLES.items():
        for (source, target), text in entries.items():
            yield f"| {name} | {source} | {target} | {'; '.join(map(_difference, text.split(';')))} |"
    yield from ("", "## Every pair", "", "Exact joints, stand-ins, and what is missing.", "")
    yield from ("| from | to | = | ~ | missing |", "|---|---|---|---|---|")
    for source, target in itertools.permutations(SKELETONS, 2):
        conversion = convert(get(source), get(target), missing=True)
        exact = len(conversion.matches) - len(conversion.stand_ins)
        stand_ins = "; ".join(map(str, conversion.stand_ins))
        yield f"| {source} | {target} | {exact} | {stand_ins} | {' '.join(conversion.missing)} |"


def _difference(entry: str) -> str:
    target, *sources = entry.split()
    return f"{target} ~ {', '.join(sources)}" if sources else f"{target} is left out"


if __name__ == "__main__":
    print(to_markdown(), end="")

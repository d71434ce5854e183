"""Conversion between joint sets: which joint of the source serves which joint of the target, and how well."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from hpe.skeletons.rules import DETECTED, DETECTED_WHY, RULES, TABLES, Rule
from hpe.skeletons.skeleton import Skeleton


@dataclasses.dataclass(frozen=True)
class Match:
    """What serves one joint.

    Attributes:
        target: name of the joint.
        sources: names of one, two or four joints of the source whose mean it is.
        exact: whether that is the joint itself, or its definition; else it stands in for it.
        bias: metres that a stand-in is off, None where it was not measured.
        why: of a stand-in, in words.
    """

    target: str
    sources: tuple[str, ...]
    exact: bool = True
    bias: float | None = None
    why: str = ""

    def __str__(self) -> str:
        different = list(dict.fromkeys(self.sources))
        names = different if len(different) < 3 else self.sources
        source = names[0] if len(names) == 1 else f"mean({', '.join(names)})"
        if self.exact:
            return f"{self.target} = {source}"
        off = "" if self.bias is None else f" ({self.bias:.2f} m)"
        return f"{self.target} ~ {source}{off}"


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How joints of one skeleton become those of another.

    Attributes:
        sources: (J_target, 4) int32 source indices; the target joint is the mean of these joints. All four are
            equal where the source has the joint itself, and 0 where the joint is missing.
        weights: (J_target,) float32, 1 where the target joint can be computed, else 0.
        matches: what serves each joint that can be computed.
        missing: names of the joints that cannot.
    """

    sources: np.ndarray
    weights: np.ndarray
    matches: tuple[Match, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def stand_ins(self) -> tuple[Match, ...]:
        """The matches that are not exact."""
        return tuple(match for match in self.matches if not match.exact)

    def coordinates(self, joints):
        """Converts coordinates (..., J_source, C) to (..., J_target, C); missing joints become 0."""
        a, b, c, d = np.moveaxis(np.asarray(joints)[..., self.sources, :], -2, 0)
        # Means of pairs, so that the mean of four equal values is exactly that value.
        mean = 0.5 * (0.5 * (a + b) + 0.5 * (c + d))
        return mean * self.weights[:, None].astype(mean.dtype)

    def confidences(self, values):
        """Converts confidences or 0/1 visibilities (..., J_source): a midpoint is as sure as its weakest end."""
        least = np.asarray(values)[..., self.sources].min(axis=-1)
        return least * self.weights.astype(least.dtype)


@functools.cache
def convert(
    source: Skeleton,
    target: Skeleton,
    *,
    missing: bool = False,
    stand_ins: bool = True,
    table: str | None = None,
) -> Conversion:
    """Finds every joint of `target` in `source`: the same point of the body, else what a rule lets stand for it.

    Args:
        source: joint set to convert from.
        target: joint set to convert to.
        missing: whether joints may be missing; they get weight 0.
        stand_ins: whether joints may stand in that are other points of the body, see `hpe.skeletons.rules`; an
            evaluation may refuse them.
        table: name of a published table whose entries for this pair go before the rules.

    Raises:
        ValueError: a joint is missing and must not, or there is no such table for this pair.
    """
    published = _published(table, source, target)
    matches = []
    for joint, point in zip(target.joints, target.points, strict=True):
        match = published[joint] if joint in published else _found(source, joint, point)
        matches.append(match if match is None or match.exact or stand_ins else None)
    lacking = tuple(joint for joint, match in zip(target.joints, matches, strict=True) if match is None)
    if lacking and not missing:
        raise ValueError(f"{', '.join(lacking)} of {target.name} cannot be told from {source.name}.")
    indices = [
        [0] * 4 if match is None else [source.index(name) for name in _four(match.sources)]
        for match in matches
    ]
    return Conversion(
        np.array(indices, dtype=np.int32),
        np.array([match is not None for match in matches], np.float32),
        tuple(match for match in matches if match is not None),
        lacking,
    )


def has_table(table: str | None, source: Skeleton, target: Skeleton) -> bool:
    """Returns whether a published table has an entry for a pair of sets; ValueError if there is no such table."""
    if table is not None and table not in TABLES:
        raise ValueError(f"There is no table {table!r} of joints; there are {', '.join(TABLES)}.")
    return table is not None and (source.name, target.name) in TABLES[table]


def _four(names: tuple[str, ...]) -> tuple[str, ...]:
    """Repeats one or two joints so that the mean stays the same."""
    return tuple(names[place * len(names) // 4] for place in range(4))


def _found(source: Skeleton, joint: str, point: str) -> Match | None:
    """Returns what of `source` serves a point of the body, or None."""
    # A joint of the same name before others of the same place.
    if joint in source.joints and source.point(joint) == point:
        return Match(joint, (joint,))
    match = _of_point(source, point)
    if match is not None:
        return dataclasses.replace(match, target=joint)
    for rule in RULES:
        if rule.target == point:
            match = _by_rule(source, joint, rule)
            if match is not None:
                return match
    return None


def _by_rule(source: Skeleton, joint: str, rule: Rule) -> Match | None:
    """Returns the match that a rule gives, or None where the source lacks what it needs."""
    direct = len(rule.sources) == 1
    # One point stands for another only where the source has it; the ends of a midpoint may be found by rules.
    ends = [_of_point(source, point) if direct else _found(source, joint, point) for point in rule.sources]
    if None in ends:
        return None
    exact = rule.exact and all(end.exact for end in ends)
    if direct:
        return dataclasses.replace(ends[0], target=joint, exact=exact, bias=rule.bias, why=rule.why)
    names = [_two(end.sources) for end in ends]
    if None in names:
        return None
    # Of two midpoints all four ends, of two joints each twice.
    sources = tuple(name[place] for place in (0, 1) for name in names)
    return Match(joint, sources, exact=exact, bias=rule.bias, why="" if exact else rule.why)


def _of_point(source: Skeleton, point: str) -> Match | None:
    """Returns the joint of `source` that is this point, or that a detector took for it."""
    if point in source.points:
        return Match(point, (source.joints[source.points.index(point)],))
    if point + DETECTED in source.points:
        found = source.joints[source.points.index(point + DETECTED)]
        return Match(point, (found,), exact=False, why=DETECTED_WHY)
    return None


def _two(names: tuple[str, ...]) -> tuple[str, str] | None:
    """Returns the ends of a joint or of a midpoint; None for a mean of more joints."""
    different = tuple(dict.fromkeys(names))
    return (different[0], different[-1]) if len(different) < 3 else None


def _published(table: str | None, source: Skeleton, target: Skeleton) -> dict[str, Match | None]:
    """Returns the entries of a published table for a pair of sets; None for joints that it leaves out."""
    if table is None:
        return {}
    text = TABLES.get(table, {}).get((source.name, target.name))
    if text is None:
        pairs = {name: list(entries) for name, entries in TABLES.items()}
        raise ValueError(
            f"There is no table {table!r} from {source.name} to {target.name}. There are: "
            + "; ".join(
                f"{name}: {', '.join(f'{a} to {b}' for a, b in list_)}" for name, list_ in pairs.items()
            )
        )
    entries = {}
    for line in text.split(";"):
        joint, *names = line.split()
        why = f"as {table} has it"
        entries[target.joints[target.index(joint)]] = (
            Match(joint, tuple(names), exact=False, why=why) if names else None
        )
    return entries

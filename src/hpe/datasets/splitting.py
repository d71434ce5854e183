"""Datasets are thinned and split into training, validation and test: at random, by subject, or one after the other.

People of one picture always go the same way. What goes where is a function of the seed and the data alone.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpe.datasets.source import Source
from hpe.errors import SettingError

# Datasets that are a part already are thinned, but not split further.
_PARTS = ("_val", "_valid", "_validation", "_test")
_TRAIN = "_train"


class Split(enum.Enum):
    """How people are dealt out."""

    RANDOM = "random"
    SUBJECT = "subject"
    SEQUENTIAL = "sequential"


def split_all(
    sources: Sequence[Any],
    *,
    data_ratio: float = 1.0,
    validation_ratio: float = 0.0,
    test_ratio: float = 0.0,
    split: Split = Split.RANDOM,
    seed: int = 0,
) -> list[Any]:
    """Returns sources thinned and split.

    Args:
        sources: Sources of people; anything else can be neither thinned nor split.
        data_ratio: share of the people that is used at all.
        validation_ratio: share of what is no test that becomes NAME_val.
        test_ratio: share of what is used that becomes NAME_test.
        split: how: random and by subject from the seed; sequential as the students' code of HEMlets does it, the
            first people for training, then validation, then test.
        seed: of random splits.

    Raises:
        SettingError: something else than people is selected, a part would be empty or there already, or subjects
            are not known.
    """
    if data_ratio == 1 and not validation_ratio and not test_ratio:
        return list(sources)
    found = []
    for source in sources:
        if not isinstance(source, Source):
            name = getattr(source, "name", "motion capture")
            raise SettingError(
                "data_ratio",
                f"and `validation_ratio`, `test_ratio` are of people in pictures, which {name} is not; create it "
                "by a call of its own.",
            )
        ratios = (0.0, 0.0) if source.name.endswith(_PARTS) else (validation_ratio, test_ratio)
        found += _split(source, data_ratio, *ratios, split, seed)
    names = [source.name for source in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingError(
            "validation_ratio", f"makes a {twice[0]}, but that is selected, too; leave one of them out."
        )
    return found


def _split(
    source: Source, data_ratio: float, validation_ratio: float, test_ratio: float, split: Split, seed: int
) -> list[Source]:
    groups = _groups(source, split)
    order = list(range(len(groups)))
    if split is not Split.SEQUENTIAL:
        np.random.default_rng([seed, *source.name.encode()]).shuffle(order)
    kept, rest, test, val = order, order, [], []
    if data_ratio < 1:
        kept = rest = _first(order, groups, _floor(data_ratio * _people(order, groups)), source, "data_ratio")
    if test_ratio:
        count = _people(kept, groups)
        rest = _first(kept, groups, count - _floor(test_ratio * count), source, "test_ratio")
        test = kept[len(rest) :]
    train = rest
    if validation_ratio:
        wanted = _floor((1.0 - validation_ratio) * _people(rest, groups))
        train = _first(rest, groups, wanted, source, "validation_ratio")
        val = rest[len(train) :]
    base = source.name.removesuffix(_TRAIN)
    parts = [
        (f"{base}_train" if val or test else source.name, train),
        (f"{base}_val", val),
        (f"{base}_test", test),
    ]
    options = {
        **source.options,
        "split": split.value,
        "data_ratio": data_ratio,
        "validation_ratio": validation_ratio,
        "test_ratio": test_ratio,
        "split_seed": seed,
    }
    return [
        dataclasses.replace(
            source,
            name=name,
            # In the order of the dataset, whatever they were drawn in.
            items=[source.items[place] for place in sorted(p for group in chosen for p in groups[group])],
            options=options,
        )
        for name, chosen in parts
        if chosen
    ]


def _groups(source: Source, split: Split) -> list[list[int]]:
    """Returns the places of people who must go the same way: those of a picture, or of a subject."""
    found: dict[Any, list[int]] = {}
    for place, item in enumerate(source.items):
        if split is Split.SUBJECT:
            key = _subject(item)
            if not key:
                raise SettingError(
                    "split", f"by subject needs subjects, which {source.name} does not tell.", split.value
                )
        else:
            key = getattr(item, "image", None) or place
        found.setdefault(key, []).append(place)
    return [found[key] for key in (sorted(found, key=str) if split is Split.SUBJECT else found)]


def _subject(item: Any) -> str:
    facts = getattr(item, "facts", {})
    return getattr(item, "subject", "") or facts.get("subject", "")


def _floor(number: float) -> int:
    # What a share of a whole number is must not fall by the last digit of a float.
    return math.floor(number + 1e-9)


def _people(order: list[int], groups: list[list[int]]) -> int:
    return sum(len(groups[group]) for group in order)


def _first(order: list[int], groups, wanted: int, source: Source, setting: str) -> list[int]:
    """Returns the first groups, which hold as many people as wanted at most; SettingError where a part is empty."""
    counts = np.cumsum([len(groups[group]) for group in order])
    number = int(np.searchsorted(counts, wanted, side="right"))
    if not 0 < number < len(order):
        raise SettingError(
            setting,
            f"leaves a part of {source.name} empty: its {len(source.items)} people are in {len(order)} groups "
            "that go the same way.",
        )
    return order[:number]

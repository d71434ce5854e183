"""Thinning and splitting of datasets: shares, seeds, subjects, pictures that stay together."""

import dataclasses

import pytest

from hpe.datasets.registry import WriteConfig
from hpe.datasets.source import Source
from hpe.datasets.splitting import Split, split_all
from hpe.errors import UserError


@dataclasses.dataclass(frozen=True)
class Item:
    number: int
    image: str
    subject: str = ""


def source(count=100, *, per_picture=1, subjects=0, name="own"):
    items = [
        Item(n, f"{n // per_picture}.jpg", f"S{n * subjects // count}" if subjects else "")
        for n in range(count)
    ]
    return Source(name, "lsp14", items, print)


def numbers(parts):
    return {part.name: [item.number for item in part.items] for part in parts}


def test_nothing_is_split_unless_asked():
    one = source()
    assert split_all([one, print]) == [one, print]


def test_sequential_is_the_students_split():
    """n = int(data_ratio N); the last int(test_ratio n) are the test; of the others the first are for training."""
    parts = split_all(
        [source(103)], data_ratio=0.4, test_ratio=0.3, validation_ratio=0.1, split=Split.SEQUENTIAL
    )
    used = list(range(41))
    found = numbers(parts)
    assert found["own_train"] == used[:26]
    assert found["own_val"] == used[26:29]
    assert found["own_test"] == used[29:]
    assert parts[0].options["split"] == "sequential"


def test_random_splits_are_of_the_seed_and_keep_pictures_together():
    one = source(90, per_picture=3)
    found = numbers(split_all([one], validation_ratio=0.2, test_ratio=0.1, seed=5))
    assert sorted(n for part in found.values() for n in part) == list(range(90))
    assert {name: len(part) for name, part in found.items()} == {
        "own_train": 63,
        "own_val": 18,
        "own_test": 9,
    }
    for part in found.values():
        assert part == sorted(part)
        assert {n // 3 for n in part} == {n // 3 for n in part if n % 3 == 0}
    assert numbers(split_all([one], validation_ratio=0.2, test_ratio=0.1, seed=5)) == found
    assert numbers(split_all([one], validation_ratio=0.2, test_ratio=0.1, seed=6)) != found
    thinned = split_all([source(name="lsp_val")], data_ratio=0.25, validation_ratio=0.5)
    assert [(part.name, len(part.items)) for part in thinned] == [("lsp_val", 25)]


def test_subjects_go_one_way():
    found = numbers(
        split_all([source(100, subjects=5, name="x_train")], validation_ratio=0.4, split=Split.SUBJECT)
    )
    assert set(found) == {"x_train", "x_val"}
    assert {n // 20 for n in found["x_train"]}.isdisjoint(n // 20 for n in found["x_val"])
    assert len(found["x_val"]) == 40


@pytest.mark.parametrize(
    ("sources", "options", "message"),
    [
        ([source()], {"split": Split.SUBJECT, "validation_ratio": 0.5}, "does not tell"),
        ([source(100, subjects=1)], {"split": Split.SUBJECT, "test_ratio": 0.5}, "test_ratio.*empty"),
        ([source(3)], {"validation_ratio": 0.9}, "validation_ratio.*empty"),
        ([source(), source(name="own_val")], {"validation_ratio": 0.5}, "own_val.*selected, too"),
        ([print], {"data_ratio": 0.5}, "people in pictures"),
    ],
)
def test_splits_that_cannot_be_are_refused(sources, options, message):
    with pytest.raises(UserError, match=message):
        split_all(sources, **options)


def test_ratios_have_their_range():
    for options in ({"data_ratio": 0.0}, {"validation_ratio": 1.0}, {"test_ratio": -0.1}):
        with pytest.raises(UserError, match=next(iter(options))):
            WriteConfig(**options)

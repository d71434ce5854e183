"""A few mutations of every reader: none ends by a signal, a traceback, without end, or with too much memory."""

import random

import pytest

from benchmarks.fuzz.__main__ import run
from benchmarks.fuzz.mutations import mutated
from benchmarks.fuzz.samples import READERS


def test_no_reader_ends_badly():
    assert list(run(list(READERS), first=0, mutations=6, seed=7)) == []


def test_a_bad_end_is_seen():
    """The worker is a process of its own, so the reader that ends badly is one that it does not know."""
    with pytest.raises(KeyError):
        READERS["none"]
    ((_, _, end),) = run(["none"], first=0, mutations=1, seed=0)
    assert end.startswith("status 1: ")
    assert end.endswith("KeyError: 'none'")


def test_a_mutation_is_the_same_again():
    content = bytes(range(256)) * 10
    first, again, other = (mutated(content, "a.bin", random.Random(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other

"""Shares of batches: exact, as even as whole samples allow, and known at every step without what came before."""

import fractions

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hpe.pipeline.shares import Shares


def counts(shares, steps):
    size = len(shares.before(0))
    return np.array(
        [np.bincount(shares.rows(tf.constant(k, tf.int64)), minlength=size) for k in range(steps)]
    )


@settings(max_examples=25, deadline=None)
@given(
    weights=st.lists(st.integers(0, 12), min_size=1, max_size=5).filter(any),
    batch_size=st.integers(1, 12),
    key=st.integers(0, 2**62),
)
def test_every_batch_has_its_whole_samples_and_every_cycle_its_exact_share(weights, batch_size, key):
    parts = [fractions.Fraction(weight, sum(weights)) for weight in weights]
    shares = Shares(parts, batch_size, key=key)
    cycle = min(shares.cycle, 30)
    found = counts(shares, cycle)
    assert (found.sum(axis=1) == batch_size).all()
    exact = np.array([float(part) * batch_size for part in parts])
    assert (np.abs(found - exact) < 1).all()
    np.testing.assert_array_equal(shares.before(cycle), found.sum(axis=0))
    if cycle == shares.cycle:
        np.testing.assert_array_equal(found.sum(axis=0), [part * batch_size * cycle for part in parts])


def test_a_share_of_whole_samples_is_the_same_in_every_batch():
    shares = Shares([fractions.Fraction(1, 4), fractions.Fraction(3, 4)], 8, key=5)
    assert shares.cycle == 1
    assert (counts(shares, 10) == [2, 6]).all()


def test_what_is_left_over_is_spread_and_not_heaped():
    shares = Shares([fractions.Fraction("0.3"), fractions.Fraction("0.7")], 8, key=11)
    given_ = np.cumsum(counts(shares, 60)[:, 0])
    assert np.abs(given_ - 2.4 * np.arange(1, 61)).max() < 2


@pytest.mark.parametrize("start", [0, 7, 123])
def test_places_count_on_where_the_last_batch_ended(start):
    shares = Shares([fractions.Fraction(1, 3), fractions.Fraction(2, 3)], 4, key=3)
    seen = {0: [], 1: []}
    for step in range(start, start + 6):
        rows = shares.rows(tf.constant(step, tf.int64))
        for owner, place in zip(
            rows.numpy(), shares.places(tf.constant(step, tf.int64), rows).numpy(), strict=True
        ):
            seen[int(owner)].append(int(place))
    for owner, places in seen.items():
        first = int(shares.before(start)[owner])
        assert places == list(range(first, first + len(places)))

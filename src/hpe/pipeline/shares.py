"""Shares of datasets in batches: exact, the same in every batch as far as whole samples can be."""

from __future__ import annotations

import fractions
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# After so many batches at most the shares are exact; odd ones are rounded to that.
_LONGEST_CYCLE = 10_000


class Shares:
    """How many samples of every batch come from each of several datasets, and which rows they are.

    Everybody gets the whole samples of their quota. What is left over - less than one sample each - goes round:
    in a cycle of batches everybody gets exactly their share, and never one sample more or less than in another
    batch.

    Args:
        shares: of the datasets, at least 0; they add up to 1.
        batch_size: B.
        key: of `hpe.pipeline.ordering.stream_key`; where the cycle begins and which rows are whose.

    Attributes:
        cycle: number of batches after which the shares are exact.
    """

    def __init__(self, shares: Sequence[fractions.Fraction], batch_size: int, *, key: int):
        quotas = [share * batch_size for share in shares]
        self._base = np.array([math.floor(quota) for quota in quotas], np.int64)
        rest = [quota - base for quota, base in zip(quotas, self._base.tolist(), strict=True)]
        left_over = batch_size - int(self._base.sum())
        self.cycle = min(math.lcm(*(part.denominator for part in rest)), _LONGEST_CYCLE)
        parts = _rounded(rest, self.cycle, left_over * self.cycle)
        # Laid end to end on a line, the parts are met by points at distances of 1: nobody twice, everybody in
        # proportion. From batch to batch the points move on by about the golden section, which spreads the turns.
        moves = next(
            step
            for step in range(max(round(0.618 * self.cycle), 1), 2 * self.cycle + 2)
            if math.gcd(step, self.cycle) == 1
        )
        begins = (key % self.cycle + moves * np.arange(self.cycle, dtype=np.int64)) % self.cycle
        points = begins[:, None] + self.cycle * np.arange(left_over)
        self._extra = np.searchsorted(np.cumsum(parts), points, side="right").astype(np.int32)
        given = np.zeros((self.cycle + 1, len(quotas)), np.int64)
        np.add.at(given, (np.repeat(np.arange(1, self.cycle + 1), left_over), self._extra.ravel()), 1)
        self._given = np.cumsum(given, axis=0)
        self._key = key

    def before(self, step: int) -> np.ndarray:
        """Returns how many samples of each dataset the batches before a step have."""
        cycles, rest = divmod(step, self.cycle)
        return self._base * step + self._given[-1] * cycles + self._given[rest]

    def rows(self, step: tf.Tensor) -> tf.Tensor:
        """Returns of which dataset every row of a batch is, (B,) int32, mixed. Graph code; `step` is int64."""
        extra = tf.gather(tf.constant(self._extra), step % self.cycle)
        whole = np.repeat(np.arange(len(self._base), dtype=np.int32), self._base)
        everyone = tf.concat([tf.constant(whole), extra], axis=0)
        return tf.random.experimental.stateless_shuffle(
            everyone, seed=tf.stack([self._key, step]), alg="philox"
        )

    def places(self, step: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Returns which sample of its dataset's endless order every row of `rows` is, (B,) int64. Graph code."""
        rest = step % self.cycle
        before = (
            self._base * step
            + self._given[-1] * (step // self.cycle)
            + tf.gather(tf.constant(self._given), rest)
        )
        own = tf.one_hot(rows, len(self._base), dtype=tf.int64)
        rank = tf.cumsum(own, axis=0, exclusive=True)
        return tf.reduce_sum(own * (before + rank), axis=1)


def _rounded(parts: Sequence[fractions.Fraction], cycle: int, total: int) -> np.ndarray:
    """Returns parts in units of 1 / cycle, in whole numbers that add up to a total (largest remainders)."""
    exact = [part * cycle for part in parts]
    whole = np.array([math.floor(value) for value in exact], np.int64)
    remainders = np.array([float(value - math.floor(value)) for value in exact])
    for index in np.argsort(-remainders, kind="stable")[: total - int(whole.sum())]:
        whole[index] += 1
    return whole

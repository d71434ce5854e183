"""Means over a batch, kept as sum and count until everyone who holds a part of the batch has been asked."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops


class Mean(NamedTuple):
    """A weighted mean in two halves.

    A batch that is spread over several devices has one mean, not the mean of theirs: devices that see few
    labelled joints would count as much as those that see many. So every loss returns the two sums, which add up
    over devices, and the division comes last.

    Attributes:
        total: scalar, the weighted sum; 0 where nothing counts.
        count: scalar >= 0, the sum of the weights.
    """

    total: Any
    count: Any

    @property
    def value(self):
        """The mean, scalar; 0 where nothing counts."""
        return self.over(self.count)

    def over(self, count):
        """Returns `total` over another count, such as that of the whole batch; 0 where that is 0."""
        return self.total / ops.where(count > 0, count, ops.ones_like(count))


def mean_of(values) -> Mean:
    """Returns the plain mean of a tensor of values of any shape, each of weight 1."""
    values = ops.convert_to_tensor(values)
    return Mean(ops.sum(values), ops.cast(ops.size(values), values.dtype))

"""An exponential moving average of weights, which predicts better than the weights of any one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


def averaged_variables(system) -> list:
    """Returns the variables of a system that are averaged: all floating-point ones, statistics included."""
    return [
        variable
        for network in system.networks.values()
        for variable in network.variables
        if variable.dtype.startswith("float")
    ]


def set_average(system, values: Sequence) -> None:
    """Gives a system averaged weights, in the order of `averaged_variables`."""
    for variable, value in zip(averaged_variables(system), values, strict=True):
        variable.assign(value)


class WeightAverage:
    """Follows variables with average <- average + (1 - d) (variable - average).

    d starts low, d = min(decay, (1 + n) / (10 + n)) after n updates, so that the first weights do not linger.
    Batch normalisation statistics are averaged like weights: those of any one step belong to the weights of that
    step.

    Args:
        system: a `hpe.systems.base.Trains`, whose weights as they are now are the average's start.
        decay: d, in [0, 1).

    Attributes:
        variables: the averages, in the order of `averaged_variables`.
        updates: int64 variable, how often it was updated.
    """

    def __init__(self, system, decay: float):
        self._followed = [variable.value for variable in averaged_variables(system)]
        self._decay = decay
        self._strategy = tf.distribute.get_strategy()
        self.variables = [tf.Variable(value, trainable=False, dtype=value.dtype) for value in self._followed]
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)

    def update(self) -> None:
        """Takes one step towards the variables; outside of replicas."""
        number = tf.cast(self.updates, tf.float32)
        rate = 1.0 - tf.minimum(self._decay, (1.0 + number) / (10.0 + number))

        def approach(average, followed):
            average.assign_add(tf.cast(rate, average.dtype) * (followed - average))

        for average, followed in zip(self.variables, self._followed, strict=True):
            self._strategy.extended.update(average, approach, args=(followed,), group=False)
        self.updates.assign_add(1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages in the place of the variables, and the variables back at the end."""
        kept = [variable.numpy() for variable in self._followed]
        try:
            for variable, average in zip(self._followed, self.variables, strict=True):
                variable.assign(average.numpy())
            yield
        finally:
            for variable, value in zip(self._followed, kept, strict=True):
                variable.assign(value)

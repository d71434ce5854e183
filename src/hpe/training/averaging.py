"""An exponential moving average of weights, which predicts better than the weights of any one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from hpe.runs.weights import averaged_variables


class WeightAverage:
    """Follows variables with average <- average + (1 - d) (variable - average).

    d starts low, d = min(decay, (1 + n) / (10 + n)) after n updates, so that the first weights do not linger.
    Batch normalisation statistics are averaged like weights: those of any one step belong to the weights of that
    step.

    Args:
        system: a `hpe.systems.base.Trains`, whose weights as they are now are the average's start.
        decay: d, in [0, 1).

    Attributes:
        variables: the averages, by the names of what they follow, see `hpe.runs.weights.averaged_variables`.
        updates: int64 variable, how often it was updated.
    """

    def __init__(self, system, decay: float):
        followed = {name: variable.value for name, variable in averaged_variables(system).items()}
        self._decay = decay
        self._strategy = tf.distribute.get_strategy()
        self.variables = {
            name: tf.Variable(value, trainable=False, dtype=value.dtype) for name, value in followed.items()
        }
        self._pairs = [(average, followed[name]) for name, average in self.variables.items()]
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)

    def update(self) -> None:
        """Takes one step towards the variables; outside of replicas."""
        number = tf.cast(self.updates, tf.float32)
        rate = 1.0 - tf.minimum(self._decay, (1.0 + number) / (10.0 + number))

        def approach(average, followed):
            average.assign_add(tf.cast(rate, average.dtype) * (followed - average))

        for average, followed in self._pairs:
            self._strategy.extended.update(average, approach, args=(followed,), group=False)
        self.updates.assign_add(1)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages in the place of the variables, and the variables back at the end."""
        kept = [followed.numpy() for _, followed in self._pairs]
        try:
            for average, followed in self._pairs:
                followed.assign(average.numpy())
            yield
        finally:
            for (_, followed), value in zip(self._pairs, kept, strict=True):
                followed.assign(value)

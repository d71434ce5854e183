"""How weights are updated: rates and weights of losses as functions of the step, and averages of weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from hpe.runs.weights import averaged_variables


def learning_rate(rate: float, step, *, config, epoch_steps: int, total_steps: int) -> tf.Tensor:
    """Returns the learning rate of the step after `step` finished ones.

    Args:
        rate: the highest rate.
        step: scalar integer tensor, finished steps.
        config: an OptimizationConfig.
        epoch_steps: steps per epoch.
        total_steps: length of the run; the cosine ends there.

    Returns:
        Scalar float32. The warm-up's first step already learns: step k of n takes (k + 1) / n of the rate.
    """
    step = tf.cast(step, tf.float32)
    warmup = config.warmup_epochs * epoch_steps
    factor = tf.minimum(1.0, (step + 1.0) / max(warmup, 1.0))
    kind = config.lr_schedule.value
    if kind == "cosine":
        progress = tf.clip_by_value((step - warmup) / max(total_steps - warmup, 1.0), 0.0, 1.0)
        factor *= 0.5 * (1.0 + tf.cos(math.pi * progress))
    elif kind == "step":
        edges = tf.constant([epoch * epoch_steps for epoch in config.step_epochs], tf.float32)
        passed = tf.reduce_sum(tf.cast(step >= edges, tf.float32))
        factor *= tf.pow(float(config.lr_step_factor), passed)
    return rate * factor


def factor_at(points: Sequence[tuple[float, float]], step, *, epoch_steps: int) -> tf.Tensor:
    """Returns the factor of points (epoch, factor) after `step` finished steps, scalar float32."""
    epochs, factors = np.array(points, np.float32).T
    epoch = tf.cast(step, tf.float32) / epoch_steps
    value = tf.constant(factors[0])
    for index in range(1, len(points)):
        share = tf.clip_by_value((epoch - epochs[index - 1]) / (epochs[index] - epochs[index - 1]), 0.0, 1.0)
        value += share * (factors[index] - factors[index - 1])
    return value


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

"""Learning rates and loss weights as functions of the step, inside and outside of graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hpe.errors import SettingError


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


def parse_factors(schedules: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Reads `NAME=FACTOR@EPOCH:FACTOR@EPOCH...` into points (epoch, factor) by name.

    Raises:
        SettingError: one cannot be read, a factor is negative, epochs do not rise, or a name comes twice.
    """
    parsed = {}
    for schedule in schedules:
        name, equals, points = schedule.partition("=")
        try:
            read = [tuple(map(float, point.split("@"))) for point in points.split(":")]
            values = [(epoch, factor) for factor, epoch in read]
        except ValueError:
            values = []
        epochs = [epoch for epoch, _ in values]
        finite = all(0 <= number < math.inf for point in values for number in point)
        if not (name and equals and values and finite) or epochs != sorted(set(epochs)) or name in parsed:
            raise SettingError(
                "loss_schedules",
                "must hold NAME=FACTOR@EPOCH:FACTOR@EPOCH, each name once, epochs rising, nothing "
                "negative, such as mr_loss=0@0:1@5.",
                schedule,
            )
        parsed[name] = values
    return parsed


def factor_at(points: Sequence[tuple[float, float]], step, *, epoch_steps: int) -> tf.Tensor:
    """Returns the factor of points (epoch, factor) after `step` finished steps, scalar float32."""
    epochs, factors = np.array(points, np.float32).T
    epoch = tf.cast(step, tf.float32) / epoch_steps
    value = tf.constant(factors[0])
    for index in range(1, len(points)):
        share = tf.clip_by_value((epoch - epochs[index - 1]) / (epochs[index] - epochs[index - 1]), 0.0, 1.0)
        value += share * (factors[index] - factors[index - 1])
    return value

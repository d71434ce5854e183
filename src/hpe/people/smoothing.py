"""Smoothing over time that does not lag on fast motion: One-Euro filters of points and of rotations.

After Casiez, Roussel and Vogel, "1 euro filter: a simple speed-based low-pass filter for noisy input in interactive
systems" (2012): a first-order low pass whose cutoff frequency rises with the speed, fc = fc_min + beta |velocity|.
The speed is that of a whole point, not of a coordinate, so that turning the axes changes nothing; of rotations it
is the angular velocity, and the way to the new value goes along the shortest arc.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from hpe.geometry.so3 import rotation_exp, rotation_log


@dataclasses.dataclass(frozen=True)
class OneEuroConfig:
    """How much is smoothed.

    Attributes:
        min_cutoff: Hz at rest; lower smooths standing people more.
        beta: Hz per unit of speed; higher lags less.
        speed_cutoff: Hz of the low pass of the speed itself.
    """

    min_cutoff: float
    beta: float
    speed_cutoff: float = 1.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0) or (value == 0 and field.name != "beta"):
                raise ValueError(f"{field.name} must be finite and positive. Received: {field.name}={value}")


class PointFilter:
    """Filters points (..., C) frame by frame; all leading axes have filters of their own.

    Args:
        config: how much is smoothed; speeds are in units of the points per second.
    """

    def __init__(self, config: OneEuroConfig):
        self._config = config
        self._time: float | None = None
        self._value = self._velocity = None

    def __call__(self, value: np.ndarray, time: float, *, unit: float = 1.0) -> np.ndarray:
        """Smooths the values of the next frame.

        Args:
            value: (..., C). A point that is not finite leaves its filter as it is; its last value comes back.
            time: of the frame in seconds; it must grow.
            unit: in which the speed counts, in units of the points: the size of what moves.
        """
        value = np.array(value, np.float64)
        if self._time is None:
            self._time, self._value, self._velocity = time, value, np.zeros_like(value)
            return value.copy()
        step = _step(time, self._time)
        if np.isfinite(value).all() and np.isfinite(self._value).all():
            return self._smooth_all(value, time, step, unit)
        known = np.isfinite(value).all(axis=-1, keepdims=True)
        fresh = ~np.isfinite(self._value).all(axis=-1, keepdims=True)
        previous = np.where(fresh, value, self._value)
        velocity = np.where(known, (value - previous) / step, 0.0)
        velocity = self._velocity + _gain(self._config.speed_cutoff, step) * (velocity - self._velocity)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        gain = _gain(self._config.min_cutoff + self._config.beta * speed / unit, step)
        self._value = np.where(known, previous + gain * (np.where(known, value, 0.0) - previous), previous)
        self._velocity = np.where(known, velocity, self._velocity)
        self._time = time
        return self._value.copy()

    def _smooth_all(self, value: np.ndarray, time: float, step: float, unit: float) -> np.ndarray:
        """The same where no point is missing, in place: a mesh has thousands of points."""
        change = value - self._value
        gain = _gain(self._config.speed_cutoff, step)
        self._velocity *= 1.0 - gain
        self._velocity += change * (gain / step)
        speed = np.sqrt(np.einsum("...i,...i->...", self._velocity, self._velocity))[..., None]
        change *= _gain(self._config.min_cutoff + speed * (self._config.beta / unit), step)
        change += self._value
        self._time, self._value = time, change
        return change.copy()


class RotationFilter:
    """Filters rotation matrices (..., 3, 3) frame by frame; all leading axes have filters of their own.

    Args:
        config: how much is smoothed; speeds are in radians per second.
    """

    def __init__(self, config: OneEuroConfig):
        self._config = config
        self._time: float | None = None
        self._value = self._velocity = None

    def __call__(self, rotmats: np.ndarray, time: float) -> np.ndarray:
        """Takes the rotations of a frame and its time in seconds, which must grow; returns them smoothed."""
        rotmats = np.array(rotmats, np.float64)
        if self._time is None:
            self._time, self._value, self._velocity = time, rotmats, np.zeros(rotmats.shape[:-1])
            return rotmats.copy()
        step = _step(time, self._time)
        arc = rotation_log(np.swapaxes(self._value, -1, -2) @ rotmats)
        gain = _gain(self._config.speed_cutoff, step)
        self._velocity = self._velocity + gain * (arc / step - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        gain = _gain(self._config.min_cutoff + self._config.beta * speed, step)
        self._value = self._value @ rotation_exp(gain * arc)
        self._time = time
        return self._value.copy()


def _step(time: float, before: float) -> float:
    if not time > before:
        raise ValueError(f"Times of frames must grow. Received: {time} after {before}")
    return time - before


def _gain(cutoff, step: float):
    """Returns the weight of a new value: 1 / (1 + tau / step), tau = 1 / (2 pi cutoff)."""
    return 1.0 / (1.0 + 1.0 / (2 * math.pi * np.asarray(cutoff) * step))

"""What is random of a crop in training: drawn for a batch, a function of (seed, step), by bounds of each dataset.

All functions are TensorFlow graph code; `hpe.pipeline.moving` says what the numbers do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.looks import LONGEST_BLUR

# Angles are from a normal distribution that is cut at two deviations, as HRNet's and SPIN's.
_DEVIATIONS = 2.0
# Of generators of NumPy.
_LARGEST_SEED = 2**31 - 1


class Jitter(NamedTuple):
    """The random part of the crops of a batch.

    Attributes:
        shift: (B, 2) float32, how far a crop's centre moves, in pixels of a 224 crop before zoom.
        zoom: (B,) float32, how much larger the person becomes.
        mirror: (B,) bool, whether the crop is mirrored.
        angle: (B,) float32 radians by which the crop is turned; None where no crop ever is.
        half: (B,) bool, whether the crop is of half the body; None where no crop ever is.
        upper: (B,) bool, whether the upper half is preferred.
        colors: (B, 3) float32 factors of the channels; None where they never change.
        blur: (B, 2) float32 length in pixels of a 224 crop and direction of a blur; None where nothing is blurred.
        occluder: (B,) int32 seeds of things in front, -1 for none; None where there never are any.
    """

    shift: tf.Tensor
    zoom: tf.Tensor
    mirror: tf.Tensor
    angle: tf.Tensor | None = None
    half: tf.Tensor | None = None
    upper: tf.Tensor | None = None
    colors: tf.Tensor | None = None
    blur: tf.Tensor | None = None
    occluder: tf.Tensor | None = None

    def rows(self, chosen: slice) -> Jitter:
        """Returns the jitter of some rows of a batch."""
        return Jitter(*(None if values is None else values[chosen] for values in self))


def no_jitter(count: int | tf.Tensor) -> Jitter:
    """Returns the jitter of `count` samples of an evaluation: none."""
    return Jitter(tf.zeros([count, 2]), tf.ones([count]), tf.zeros([count], tf.bool))


def draw_jitter(configs: Sequence[PipelineConfig], numbers: tf.Tensor, key: tf.Tensor) -> Jitter:
    """Draws the jitter of a batch of training samples, a pure function of `key` and of whose samples they are.

    Args:
        configs: bounds of every dataset; shifts are whole numbers in [-trans_max, trans_max), zooms are uniform,
            angles normal.
        numbers: (B,) int32, which dataset each sample is of.
        key: (2,) int64.
    """

    def bound(name: str) -> tf.Tensor:
        table = np.array([getattr(config, name) for config in configs], np.float32)
        return tf.gather(tf.constant(table), numbers)

    count = tf.size(numbers)
    uniform = tf.random.stateless_uniform((count, 4), seed=key, alg="philox")
    reach = bound("trans_max")[:, None]
    shift = tf.floor(uniform[:, :2] * (2 * reach)) - reach
    least = bound("scale_min")
    zoom = least + uniform[:, 2] * (bound("scale_max") - least)
    mirror = uniform[:, 3] < bound("flip_probability") * bound("flip")
    jitter = Jitter(shift, zoom, mirror)
    if any(config.rotation_max > 0 for config in configs):
        chosen, normal = _uniform(key, 1, (count,)), _normal(key, 2, (count,))
        deviation = bound("rotation_max") * (math.pi / 180 / _DEVIATIONS)
        angle = deviation * tf.clip_by_value(normal, -_DEVIATIONS, _DEVIATIONS)
        jitter = jitter._replace(angle=tf.where(chosen < bound("rotation_probability"), angle, 0.0))
    if any(config.half_body_probability > 0 for config in configs):
        uniform = _uniform(key, 3, (count, 2))
        half, upper = uniform[:, 0] < bound("half_body_probability"), uniform[:, 1] < 0.5
        jitter = jitter._replace(half=half, upper=upper)
    if any(config.color_noise * config.color_noise_probability > 0 for config in configs):
        uniform = _uniform(key, 4, (count, 4))
        factors = 1.0 + bound("color_noise")[:, None] * (2.0 * uniform[:, :3] - 1.0)
        chosen = uniform[:, 3] < bound("color_noise_probability")
        jitter = jitter._replace(colors=tf.where(chosen[:, None], factors, 1.0))
    if any(config.blur_probability > 0 for config in configs):
        uniform = _uniform(key, 5, (count, 3))
        length = tf.where(uniform[:, 2] < bound("blur_probability"), LONGEST_BLUR * uniform[:, 0], 0.0)
        jitter = jitter._replace(blur=tf.stack([length, math.pi * uniform[:, 1]], axis=1))
    if any(config.occluder_probability > 0 for config in configs):
        chosen = _uniform(key, 6, (count,)) < bound("occluder_probability")
        seeds = tf.random.stateless_uniform(
            (count,), seed=_part(key, 7), minval=0, maxval=_LARGEST_SEED, dtype=tf.int32, alg="philox"
        )
        jitter = jitter._replace(occluder=tf.where(chosen, seeds, -1))
    return jitter


def _uniform(key: tf.Tensor, part: int, shape: tuple) -> tf.Tensor:
    """Draws from a stream beside that of the key itself, which must not change with what else is drawn."""
    return tf.random.stateless_uniform(shape, seed=_part(key, part), alg="philox")


def _normal(key: tf.Tensor, part: int, shape: tuple) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed=_part(key, part), alg="philox")


def _part(key: tf.Tensor, part: int) -> tf.Tensor:
    return tf.random.fold_in(key, part, alg="philox")

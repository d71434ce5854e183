"""What is drawn for a batch: within its bounds, of every dataset its own, a function of the key alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe.pipeline.augmentation import Jitter, draw_jitter
from hpe.pipeline.config import PipelineConfig

TURNING = PipelineConfig(rotation_max=60)
KEY = tf.constant([1, 2], tf.int64)


def draw(config, count, key=KEY):
    return draw_jitter([config], tf.zeros(count, tf.int32), key)


def test_jitter_keeps_its_bounds_and_uses_them():
    draws = [draw(PipelineConfig(), 40, tf.constant([3, step], tf.int64)) for step in range(100)]
    jitter = Jitter(*(tf.concat(values, axis=0) for values in zip(*(one[:3] for one in draws), strict=True)))
    shift = jitter.shift.numpy()
    assert set(np.unique(shift)) == set(range(-20, 20))
    assert 0.8 <= jitter.zoom.numpy().min() < 0.81
    assert 1.22 < jitter.zoom.numpy().max() <= 1.23
    assert np.mean(jitter.mirror.numpy()) == pytest.approx(0.5, abs=0.04)
    assert abs(np.corrcoef(shift.T)[0, 1]) < 0.05


def test_angles_are_normal_with_a_cut_and_three_in_five_crops_turn():
    angle = np.degrees(draw(TURNING, 20000).angle)
    turned = angle[angle != 0]
    assert len(turned) / len(angle) == pytest.approx(0.6, abs=0.02)
    assert np.abs(angle).max() <= 60.001
    assert np.mean(np.abs(turned) < 30) == pytest.approx(0.683, abs=0.02)
    assert np.mean(turned > 0) == pytest.approx(0.5, abs=0.02)


def test_other_jitter_stays_when_crops_turn():
    plain = draw(PipelineConfig(), 50)
    more = draw(dataclasses.replace(TURNING, half_body_probability=0.5), 50)
    assert plain.angle is None
    assert plain.half is None
    assert plain.rows(slice(1, 2)).angle is None
    for one, other in zip(plain[:3], more[:3], strict=True):
        np.testing.assert_array_equal(one, other)


def test_every_dataset_has_bounds_of_its_own():
    steady = PipelineConfig(flip=False, trans_max=0, scale_min=1.0, scale_max=1.0)
    numbers = np.arange(400) % 2
    jitter = draw_jitter([steady, TURNING], tf.constant(numbers, tf.int32), KEY)
    calm, lively = numbers == 0, numbers == 1
    for values in (jitter.shift, jitter.angle, jitter.mirror):
        assert not np.any(values.numpy()[calm])
        assert np.any(values.numpy()[lively])
    assert (jitter.zoom.numpy()[calm] == 1).all()
    whole = draw(TURNING, 400)
    np.testing.assert_array_equal(jitter.shift.numpy()[lively], whole.shift.numpy()[lively])

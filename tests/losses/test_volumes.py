"""Joints of volumes against the truth: which coordinates count, and how much."""

import numpy as np
import pytest
from keras import ops

from hpe.losses.volumes import volume_coordinates, volume_l1

numpy = ops.convert_to_numpy


def truth():
    joints2d = np.zeros((2, 3, 2), np.float32)
    joints2d[0] = [[0.2, -0.4], [1.2, 0.0], [np.nan, 0.0]]
    joints3d = np.zeros((2, 3, 3), np.float32)
    joints3d[0, :, 2] = [5.0, 5.5, 7.5]
    joints3d[1, :, 2] = [np.nan, 1.0, 1.0]
    weight2d, weight3d = np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)
    weight2d[0, 2] = weight3d[1, 0] = 0
    return joints2d, joints3d, weight2d, weight3d


def test_places_of_volumes():
    target, weights = (numpy(value) for value in volume_coordinates(*truth(), root=0))
    np.testing.assert_allclose(target[0, 0], [0.1, -0.2, 0.0], atol=1e-6)
    # Outside of the crop no mean of its cells can lie; depth is cut off at one metre.
    np.testing.assert_array_equal(weights[0], [[1, 1, 1], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_allclose(target[0, 1:, 2], [0.25, 0.5], atol=1e-6)
    # Without a depth of the root nobody has one: the picture alone is learned from.
    np.testing.assert_array_equal(weights[1], [[1, 1, 0]] * 3)
    assert np.isfinite(target).all()


def test_the_loss_is_a_mean_over_what_is_known():
    target, weights = volume_coordinates(*truth(), root=0)
    predicted = numpy(target) + np.float32([0.1, 0.0, 0.3])
    loss = volume_l1(predicted, target, weights)
    known = numpy(weights)
    expected = (known * [0.1, 0.0, 0.3]).sum() / (known.sum() / 3)
    assert float(loss.value) == pytest.approx(expected, rel=1e-4)
    assert float(volume_l1(predicted, target, np.zeros_like(known)).value) == 0

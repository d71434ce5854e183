"""Cross-entropy of maps of parts, errors of 2D joints by confidence, and the camera's prior."""

import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses.keypoints import keypoint_mse
from hpe.losses.part_segmentation import camera_prior, part_cross_entropy

RNG = np.random.default_rng(0)


def value(mean):
    return float(ops.convert_to_numpy(mean.value))


def test_cross_entropy_of_the_cells_with_labels():
    logits = RNG.normal(size=(2, 2, 3, 4)).astype("f4")
    labels = np.zeros((2, 8, 12), np.uint8)
    labels[:, 1::4, 1::4] = RNG.integers(0, 4, (2, 2, 3))  # the pixel before the middle of each cell
    found = value(part_cross_entropy(logits, labels, np.array([1, 0], "f4")))
    log = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    cells = labels[0, 1::4, 1::4].astype(int)
    expected = -np.take_along_axis(log[0], cells[..., None], axis=-1).mean()
    assert found == pytest.approx(expected, rel=1e-5)


def test_samples_without_labels_cost_nothing_even_where_they_are_not_finite():
    logits = np.full((1, 2, 2, 3), np.inf, "f4")
    labels = np.zeros((1, 4, 4), np.uint8)
    loss = part_cross_entropy(logits, labels, np.zeros(1, "f4"))
    assert (float(loss.total), float(loss.count), value(loss)) == (0, 0, 0)
    gradient = input_gradient(lambda x: part_cross_entropy(x, labels, np.zeros(1, "f4")).total[None], logits)
    assert (ops.convert_to_numpy(gradient) == 0).all()


def test_labels_are_a_multiple_of_the_maps():
    with pytest.raises(ValueError, match="multiple of the maps"):
        part_cross_entropy(np.zeros((1, 3, 3, 2), "f4"), np.zeros((1, 8, 8), "u1"), np.ones(1, "f4"))


def test_joints_count_by_their_confidence():
    predicted = np.array([[[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]]], "f4")
    target = np.array([[[0.0, 0.0], [1.0, 0.0], [np.nan, 9.0]]], "f4")
    weight = np.array([[0.5, 1.0, 0.0]], "f4")
    assert value(keypoint_mse(predicted, target, weight)) == pytest.approx((0.5 * 5 + 1) / 4)
    assert value(keypoint_mse(predicted, target, np.zeros_like(weight))) == 0


def test_camera_costs_what_its_scale_is_below_zero():
    camera = np.array([[0.9, 0, 0], [-0.1, 0, 0]], "f4")
    assert value(camera_prior(camera)) == pytest.approx((np.exp(-18.0) + np.exp(2.0)) / 2, rel=1e-5)

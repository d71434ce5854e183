"""The heat-map loss and accuracy against sums written out by hand."""

import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses.heatmaps import heatmap_accuracy, heatmap_mse, location_entropy, mask_entropy
from hpe.networks.heatmaps import draw_heatmaps

SIZE = 20


def maps(*cells):
    """One sample with a peak at each cell; None is a joint without one."""
    joints = np.array([(0, 0, 0) if c is None else (*(2 * np.array(c) / SIZE - 1), 1) for c in cells], "f4")
    drawn, weights = draw_heatmaps(joints[None, :, :2], joints[None, :, 2], SIZE, sigma=1.0)
    return ops.convert_to_numpy(drawn), ops.convert_to_numpy(weights)


def test_loss_is_that_of_the_joints_one_by_one():
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 3, 6, 6, 4)).astype("float32")
    weights = rng.integers(0, 2, (3, 4)).astype("float32")
    weights[0, 0] = 0.5
    per_joint = []
    for joint in range(4):
        w = weights[:, joint, None, None]
        per_joint.append(0.5 * np.mean((w * predicted[..., joint] - w * target[..., joint]) ** 2))
    loss = heatmap_mse(predicted, target, weights)
    assert float(loss.value) == pytest.approx(np.mean(per_joint), rel=1e-5)
    assert float(loss.count) == 12


def test_loss_of_two_halves_adds_up():
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 4, 6, 6, 3)).astype("float32")
    weights = rng.uniform(size=(4, 3)).astype("float32")
    whole = heatmap_mse(predicted, target, weights)
    halves = [
        heatmap_mse(predicted[part], target[part], weights[part]) for part in (slice(1), slice(1, None))
    ]
    assert float(sum(half.total for half in halves)) == pytest.approx(float(whole.total), rel=1e-5)
    assert float(sum(half.count for half in halves)) == float(whole.count)


def test_joints_without_weight_have_no_gradient():
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 1, 6, 6, 3)).astype("float32")
    weights = np.float32([[1, 0, 1]])
    gradient = ops.convert_to_numpy(
        input_gradient(lambda p: heatmap_mse(p, ops.convert_to_tensor(target), weights).value, predicted)
    )
    expected = (predicted - target) * weights[:, None, None] / (36 * 3)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-9)


def accuracy(predicted, target):
    mean = heatmap_accuracy(predicted, target)
    return float(mean.value), float(mean.count)


def test_peaks_within_half_a_tenth_of_the_side_are_in_place():
    target, _ = maps((8, 8), (8, 8), (8, 8), (8, 8))
    near, _ = maps((8, 8), (8, 9), (9, 8), (9, 9))
    # A cell is half of a tenth of 20, so that a move by one cell is not below the threshold.
    assert accuracy(target, target) == (1.0, 4.0)
    assert accuracy(near, target) == (0.25, 4.0)


def test_accuracy_is_averaged_over_joints_that_occur():
    target = np.concatenate([maps((8, 8), (5, 5), None)[0], maps((8, 8), None, None)[0]])
    predicted = np.concatenate([maps((8, 8), (5, 5), (3, 3))[0], maps((2, 2), (4, 4), (3, 3))[0]])
    assert accuracy(predicted, target) == ((0.5 + 1.0) / 2, 2.0)


def test_targets_on_the_first_lines_do_not_count():
    target, _ = maps((1, 8), (8, 1), (2, 2))
    assert accuracy(target, target) == (1.0, 1.0)
    nothing, _ = maps(None, None, None)
    assert accuracy(target, nothing) == (0.0, 0.0)


def test_location_entropy_is_that_of_the_cells_one_by_one():
    rng = np.random.default_rng(2)
    logits = rng.normal(size=(2, 5, 6, 3)).astype("float32")
    places = rng.uniform(0, 4, size=(2, 3, 2)).astype("float32")
    weights = np.float32([[1, 0, 0.5], [1, 1, 1]])
    places[1, 2] = 7.5, 1.0  # outside
    costs, counted = 0.0, 0.0
    for sample in range(2):
        for joint in range(3):
            if (sample, joint) == (1, 2):
                continue
            target, own = np.zeros((5, 6)), logits[sample, ..., joint].astype("float64")
            for y in range(5):
                for x in range(6):
                    off = (x - places[sample, joint, 0]) ** 2 + (y - places[sample, joint, 1]) ** 2
                    target[y, x] = np.exp(-off / (2 * 0.9**2))
            probability = np.exp(own) / np.exp(own).sum()
            costs -= weights[sample, joint] * (target / target.sum() * np.log(probability)).sum()
            counted += weights[sample, joint]
    loss = location_entropy(logits, places, weights, deviation=0.9)
    assert float(loss.value) == pytest.approx(costs / counted, rel=1e-4)
    assert float(loss.count) == pytest.approx(counted)


def test_garbage_of_a_joint_that_does_not_count_reaches_no_gradient():
    places, weights = np.full((1, 1, 2), np.nan, "float32"), np.zeros((1, 1), "float32")
    gradient = input_gradient(
        lambda logits: location_entropy(logits, places, weights).total, np.zeros((1, 4, 4, 1), "float32")
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), 0)


def test_mask_entropy_compares_cells_with_the_share_of_their_pixels():
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(3, 4, 4)).astype("float32")
    mask = rng.integers(0, 2, (3, 8, 8)).astype("uint8")
    share = mask.reshape(3, 4, 2, 4, 2).mean(axis=(2, 4))
    probability = 1 / (1 + np.exp(-logits.astype("float64")))
    expected = -(share * np.log(probability) + (1 - share) * np.log(1 - probability))[[0, 2]].mean()
    loss = mask_entropy(logits, mask, np.float32([1, 0, 1]))
    assert float(loss.value) == pytest.approx(expected, rel=1e-5)
    assert float(loss.count) == 2

"""Keypoint reprojection against hand-computed values."""

import numpy as np
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses.keypoints import keypoint_l1


def _loss(predicted, target):
    return float(keypoint_l1(ops.convert_to_tensor(predicted), target[..., :2], target[..., 2]).value)


def _batch(seed=0):
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=(4, 19, 2)).astype("float32")
    visible = (rng.random((4, 19, 1)) < 0.6).astype("float32")
    return predicted, np.concatenate([rng.normal(size=(4, 19, 2)).astype("float32") * visible, visible], -1)


def test_equals_the_formula():
    predicted, target = _batch()
    v = target[..., 2]
    dx, dy = np.moveaxis(np.abs(predicted - target[..., :2]), -1, 0)
    assert np.isclose(_loss(predicted, target), (v * (dx + dy)).sum() / (2 * v.sum()), rtol=1e-5)


def test_a_single_joint_by_hand():
    predicted = np.array([[[0.5, -0.25], [9.0, 9.0]]], "float32")
    target = np.array([[[0.25, 0.25, 1.0], [0.0, 0.0, 0.0]]], "float32")
    assert _loss(predicted, target) == (0.25 + 0.5) / 2


def test_nothing_visible_is_zero_with_zero_gradient():
    predicted, target = _batch()
    target[..., 2] = 0
    assert _loss(predicted, target) == 0
    gradient = input_gradient(lambda p: keypoint_l1(p, target[..., :2], target[..., 2]).value, predicted)
    assert not ops.convert_to_numpy(gradient).any()


def test_is_a_mean_over_visible_joints_of_the_whole_batch_not_of_images():
    predicted = np.zeros((2, 3, 2), "float32")
    target = np.zeros((2, 3, 3), "float32")
    target[0, :, :] = 1.0  # three joints off by 1
    target[1, 0] = 3.0, 3.0, 1.0  # one joint off by 3
    assert _loss(predicted, target) == (3 * 1 + 3) / 4


def test_garbage_of_invisible_joints_reaches_neither_loss_nor_gradient():
    predicted, target = _batch()
    clean = _loss(predicted, target)
    target[..., :2][target[..., 2] == 0] = np.nan
    assert _loss(predicted, target) == clean
    gradient = ops.convert_to_numpy(
        input_gradient(lambda p: keypoint_l1(p, target[..., :2], target[..., 2]).value, predicted)
    )
    assert np.isfinite(gradient).all()
    assert not gradient[target[..., 2] == 0].any()


def test_gradient_is_the_sign_over_the_count():
    predicted, target = _batch()
    gradient = input_gradient(lambda p: keypoint_l1(p, target[..., :2], target[..., 2]).value, predicted)
    v = target[..., 2:]
    expected = v * np.sign(predicted - target[..., :2]) / (2 * v.sum())
    np.testing.assert_allclose(ops.convert_to_numpy(gradient), expected, rtol=1e-5)

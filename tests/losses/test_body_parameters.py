"""Losses on rotations, shape and 3D joints against NumPy."""

import numpy as np
import pytest
from keras import ops

from hpe import skeletons
from hpe.backends.autodiff import input_gradient
from hpe.losses.body_parameters import body_parameter_mse, joints3d_mse, rotation_mse, shape_mse

HAS = np.array([1, 0, 1, 0], "float32")


def _arrays(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(4, *shape)).astype("float32") for shape in shapes]


def test_rotations_and_shapes_average_over_the_samples_that_have_a_body():
    rotmats, rotmats_true, shape, shape_true = _arrays((24, 3, 3), (24, 3, 3), (10,), (10,))
    rotation_squares = (rotmats - rotmats_true)[HAS > 0] ** 2
    shape_squares = (shape - shape_true)[HAS > 0] ** 2
    assert np.isclose(
        float(rotation_mse(rotmats, rotmats_true, HAS).value), rotation_squares.mean(), rtol=1e-5
    )
    assert np.isclose(float(shape_mse(shape, shape_true, HAS).value), shape_squares.mean(), rtol=1e-5)
    together = (rotation_squares.sum() + shape_squares.sum()) / (226 * 2)
    found = float(body_parameter_mse(rotmats, shape, rotmats_true, shape_true, HAS, HAS).value)
    assert np.isclose(found, together, rtol=1e-5)


def test_fractional_weights_are_summed_and_divided_by_their_number():
    shape, shape_true = _arrays((10,), (10,))
    weights = np.array([0.5, 0, 1, 0], "float32")
    squares = ((shape - shape_true) ** 2).mean(axis=1)
    assert np.isclose(
        float(shape_mse(shape, shape_true, weights).value), (weights * squares).sum() / 2, rtol=1e-5
    )


@pytest.mark.parametrize("skeleton", [skeletons.COCOPLUS19, skeletons.LSP14])
def test_joints_are_centred_between_the_hips(skeleton):
    joints, truth = _arrays((len(skeleton), 3), (len(skeleton), 3))
    weights = np.ones((4, len(skeleton)), "float32")
    weights[:, -1] = 0
    weights[1] = 0

    def centred(x):
        return x - x[:, [2, 3]].mean(axis=1, keepdims=True)

    expected = ((centred(joints) - centred(truth)) ** 2)[weights > 0].mean()
    found = float(joints3d_mse(joints, truth, weights, skeleton=skeleton).value)
    assert np.isclose(found, expected, rtol=1e-5)
    moved = float(joints3d_mse(joints + 3.0, truth - 1.0, weights, skeleton=skeleton).value)
    assert np.isclose(moved, expected, rtol=1e-4)


def test_a_sample_that_lacks_a_hip_counts_as_absent():
    joints, truth = _arrays((19, 3), (19, 3))
    weights = np.ones((4, 19), "float32")
    without = weights.copy()
    without[0] = 0
    weights[0, skeletons.COCOPLUS19.index("left_hip")] = 0
    assert float(joints3d_mse(joints, truth, weights).value) == float(
        joints3d_mse(joints, truth, without).value
    )


def test_nothing_present_is_zero_with_zero_gradient():
    joints, truth, rotmats, rotmats_true = _arrays((19, 3), (19, 3), (24, 3, 3), (24, 3, 3))
    absent = np.zeros(4, "float32")
    assert float(joints3d_mse(joints, truth, np.zeros((4, 19), "float32")).value) == 0
    assert float(rotation_mse(rotmats, rotmats_true, absent).value) == 0
    gradient = input_gradient(lambda x: rotation_mse(x, rotmats_true, absent).value, rotmats)
    assert not ops.convert_to_numpy(gradient).any()


def test_garbage_of_absent_truth_reaches_neither_loss_nor_gradient():
    rotmats, rotmats_true = _arrays((24, 3, 3), (24, 3, 3))
    clean = float(rotation_mse(rotmats, rotmats_true, HAS).value)
    rotmats_true[HAS == 0] = np.nan
    assert float(rotation_mse(rotmats, rotmats_true, HAS).value) == clean
    gradient = input_gradient(lambda x: rotation_mse(x, rotmats_true, HAS), rotmats)
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()

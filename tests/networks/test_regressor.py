"""The iterative regressor: its start at the mean, its stages, its dropout, and saving."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.networks.regressor import IterativeRegressor

MEAN = np.linspace(-1, 1, 85).astype("float32")


def _regressor(**kwargs):
    regressor = IterativeRegressor(MEAN, **kwargs)
    regressor.build((None, 32))
    return regressor


@pytest.fixture
def features():
    return np.random.default_rng(0).random((4, 32)).astype("float32")


def _arrays(thetas):
    return [ops.convert_to_numpy(theta) for theta in thetas]


def test_starts_near_the_mean(features):
    thetas = _arrays(_regressor()(features))
    assert [t.shape for t in thetas] == [(4, 85)] * 3
    assert np.abs(thetas[0] - MEAN).max() < 0.3
    assert np.abs(thetas[0] - MEAN).mean() < 0.05


def test_last_kernel_is_uniform_within_the_bound_of_the_specification():
    kernel = next(w for w in _regressor().weights if tuple(w.shape) == (1024, 85))
    kernel = ops.convert_to_numpy(kernel.value)
    bound = np.sqrt(3 * 0.02 / (1024 + 85))
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert np.isclose(kernel.std(), bound / np.sqrt(3), rtol=0.02)


def test_stages_share_their_weights_and_the_mean_is_trained(features):
    regressor = _regressor(num_stages=5)
    assert len(regressor.trainable_variables) == 7
    assert any(v is regressor.mean_theta for v in regressor.trainable_variables)
    assert tuple(regressor.mean_theta.shape) == (1, 85)
    before = _arrays(regressor(features))[-1]
    regressor.mean_theta.assign(regressor.mean_theta + 0.5)
    assert np.abs(_arrays(regressor(features))[-1] - before).min() > 0.1


def test_equals_the_recurrence_in_numpy(features):
    regressor = _regressor(hidden_units=(16, 8))
    mean, *weights = (ops.convert_to_numpy(w.value).astype(float) for w in regressor.weights)
    theta = np.repeat(mean, 4, axis=0)
    for found in _arrays(regressor(features)):
        x = np.concatenate([features, theta], axis=1)
        for kernel, bias in zip(weights[:4:2], weights[1:4:2], strict=True):
            x = np.maximum(x @ kernel + bias, 0)
        theta = theta + x @ weights[4] + weights[5]
        np.testing.assert_allclose(found, theta, atol=1e-5)


def test_dropout_is_a_function_of_its_seed(features):
    regressor = _regressor()
    first = _arrays(regressor(features, training=True, seed=(7, 1)))
    for again in (
        regressor(features, training=True, seed=(7, 1)),
        regressor(features, training=True, seed=ops.convert_to_tensor([7, 1], dtype="int32")),
    ):
        np.testing.assert_array_equal(_arrays(again), first)
    for other in ((7, 2), (8, 1)):
        assert not np.allclose(_arrays(regressor(features, training=True, seed=other))[0], first[0])
    np.testing.assert_array_equal(
        _arrays(regressor(features, training=False, seed=(7, 1))), _arrays(regressor(features))
    )


def test_dropout_acts_in_every_stage_with_its_own_mask():
    """With hidden units that are 1 and outputs that sum them, a correction counts the units that are kept."""
    regressor = IterativeRegressor(np.zeros(85), hidden_units=(10, 2000))
    regressor.build((None, 2))
    for weight in regressor.weights:
        weight.assign(ops.zeros(weight.shape))
    regressor.weights[4].assign(ops.ones((2000,)))  # bias of the second hidden layer
    regressor.weights[5].assign(ops.ones((2000, 85)))
    assert tuple(regressor.weights[4].shape) == (2000,)
    thetas = _arrays(regressor(np.zeros((3, 2), "float32"), training=True, seed=(0, 0)))
    corrections = np.diff([np.zeros((3, 85)), *thetas], axis=0)[..., 0]
    assert len(np.unique(corrections)) > 6  # stages and samples differ
    np.testing.assert_allclose(corrections, 2000, rtol=0.15)  # kept units count twice
    assert not np.isclose(corrections, 2000).all(axis=1).any()


def test_first_hidden_layer_drops_too():
    regressor = IterativeRegressor(np.zeros(85), hidden_units=(2000, 1), num_stages=1)
    regressor.build((None, 2))
    for weight in regressor.weights:
        weight.assign(ops.zeros(weight.shape))
    for index in (2, 3, 5):  # first bias, second kernel, last kernel
        regressor.weights[index].assign(ops.ones(regressor.weights[index].shape))
    (theta,) = _arrays(regressor(np.zeros((16, 2), "float32"), training=True, seed=(0, 0)))
    kept = theta[theta[:, 0] > 0, 0]  # the single unit behind is dropped in half of the samples
    np.testing.assert_allclose(kept, 2 * 2000, rtol=0.15)
    assert len(np.unique(kept)) > 2


def test_training_without_a_seed_is_refused_unless_nothing_drops(features):
    with pytest.raises(ValueError, match="seed=None"):
        _regressor()(features, training=True)
    regressor = _regressor(dropout=0.0)
    np.testing.assert_array_equal(_arrays(regressor(features, training=True)), _arrays(regressor(features)))


def test_gradient_reaches_the_features_through_all_stages(features):
    gradient = input_gradient(lambda x: _last(_regressor()(x)), features)
    assert np.isfinite(ops.convert_to_numpy(gradient)).all()
    assert ops.convert_to_numpy(gradient).any()


def _last(thetas):
    return thetas[-1]


def test_saved_and_loaded_it_predicts_the_same(features, tmp_path):
    regressor = _regressor(hidden_units=(16, 8), num_stages=2)
    regressor.mean_theta.assign(regressor.mean_theta + 0.25)
    before = _arrays(regressor(features))
    regressor.save(tmp_path / "regressor.keras")
    np.testing.assert_array_equal(
        _arrays(keras.saving.load_model(tmp_path / "regressor.keras")(features)), before
    )
    regressor.save_weights(tmp_path / "regressor.weights.h5")
    other = _regressor(hidden_units=(16, 8), num_stages=2)
    other.load_weights(tmp_path / "regressor.weights.h5")
    np.testing.assert_array_equal(_arrays(other(features)), before)


@pytest.mark.parametrize(
    "arguments", [{"num_stages": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"mean_theta": np.zeros(84)}]
)
def test_wrong_arguments_are_named(arguments):
    with pytest.raises(ValueError, match="Received: "):
        IterativeRegressor(**{"mean_theta": MEAN, **arguments})


def test_theta_stays_in_single_precision_under_a_mixed_policy(features):
    regressor = IterativeRegressor(MEAN * 3, dtype="mixed_bfloat16")
    thetas = regressor(features, training=True, seed=(1, 2))
    assert {keras.backend.standardize_dtype(t.dtype) for t in thetas} == {"float32"}
    regressor.weights[-1].assign(ops.zeros(85))
    regressor.weights[-2].assign(ops.zeros((1024, 85)))
    np.testing.assert_array_equal(_arrays(regressor(features))[-1], np.repeat(MEAN[None] * 3, 4, axis=0))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function is TensorFlow's")
def test_compiled_training_equals_eager(features):
    import tensorflow as tf

    regressor = _regressor()

    @tf.function(input_signature=[tf.TensorSpec((None, 32)), tf.TensorSpec((), tf.int64)])
    def compiled(x, step):
        return regressor(x, training=True, seed=tf.stack([3, step]))

    expected = _arrays(regressor(features, training=True, seed=(3, 12)))
    np.testing.assert_allclose(_arrays(compiled(features, 12)), expected, atol=1e-6)

"""The lifter: the numbers of the reference, its bound on kernels, its dropout, its statistics, and saving."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe.networks.lifter import Lifter, Standardization, TotalNorm
from hpe.networks.randomness import BatchSeed

numpy = ops.convert_to_numpy


def _lifter(inputs=6, outputs=9, **options):
    keras.utils.set_random_seed(0)
    lifter = Lifter(outputs, **{"linear_size": 16, "dropout": 0.0} | options)
    lifter.build((None, inputs))
    return lifter


def _parameters(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.fixture
def inputs():
    return np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)


def test_has_as_many_parameters_as_the_references():
    assert _parameters(_lifter(32, 48, linear_size=1024)) == 4_291_632
    assert _parameters(_lifter(34, 51, linear_size=1024)) == 4_296_755


def test_kernels_and_biases_start_from_truncated_normals_of_variance_two_over_inputs():
    lifter = _lifter(256, 48, linear_size=256)
    for layer in lifter.layers:
        if isinstance(layer, keras.layers.Dense):
            bound = 2 * np.sqrt(2 / 256)
            for variable in (layer.kernel, layer.bias):
                values = numpy(variable.value)
                assert np.abs(values).max() <= bound
                # A normal distribution that is cut at two deviations keeps 0.88 of its own.
                assert 0.6 * bound / 2 < values.std() < 1.1 * bound / 2
            assert np.isclose(numpy(layer.kernel.value).std(), 0.88 * bound / 2, rtol=0.03)


@pytest.mark.parametrize("residual", [True, False])
def test_equals_numpy(inputs, residual):
    lifter = _lifter(num_blocks=1, residual=residual, batch_norm=False)
    weights = [numpy(variable.value).astype(float) for variable in lifter.weights]
    (w0, b0), (w1, b1), (w2, b2), (w3, b3) = zip(weights[::2], weights[1::2], strict=True)
    x = np.maximum(inputs @ w0 + b0, 0)
    y = np.maximum(np.maximum(x @ w1 + b1, 0) @ w2 + b2, 0)
    expected = (x + y if residual else y) @ w3 + b3
    np.testing.assert_allclose(numpy(lifter(inputs)), expected, atol=1e-4)


def test_batch_norm_uses_the_batch_in_training_and_its_running_statistics_else(inputs):
    lifter = _lifter()
    assert len(lifter.non_trainable_variables) == 10
    before = numpy(lifter(inputs))
    trained = numpy(lifter(inputs, training=True))
    assert np.abs(before - trained).max() > 1e-3
    assert np.abs(numpy(lifter(inputs)) - before).max() > 1e-6


def test_mixed_precision_changes_training_a_little_and_inference_not_at_all(inputs):
    plain, mixed = _lifter(linear_size=64), _lifter(linear_size=64, mixed_precision=True)
    mixed.set_weights(plain.get_weights())
    np.testing.assert_array_equal(numpy(mixed(inputs)), numpy(plain(inputs)))
    there, here = numpy(plain(inputs, training=True)), mixed(inputs, training=True)
    assert keras.backend.standardize_dtype(here.dtype) == "float32"
    assert 0 < np.abs(numpy(here) - there).max() < 0.1 * np.abs(there).max()


def test_total_norm_bounds_the_whole_and_leaves_what_is_within():
    weight = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    bound = numpy(TotalNorm()(weight))
    np.testing.assert_allclose(bound, weight / np.linalg.norm(weight), rtol=1e-5)
    np.testing.assert_array_equal(numpy(TotalNorm()(0.1 * bound)), 0.1 * bound)
    assert not numpy(TotalNorm()(np.zeros((2, 2), np.float32))).any()
    assert TotalNorm.from_config(TotalNorm(2.0).get_config()).limit == 2.0


def test_every_kernel_stays_within_the_bound_after_updates():
    lifter = _lifter(max_norm=True)
    kernels = [layer.kernel for layer in lifter.layers if isinstance(layer, keras.layers.Dense)]
    assert len(kernels) == 6
    optimizer = keras.optimizers.Adam(0.5)
    optimizer.build(lifter.trainable_variables)
    rng = np.random.default_rng(0)
    for _ in range(3):
        assert all(np.linalg.norm(numpy(kernel.value)) <= 1 + 1e-5 for kernel in kernels)
        before = [numpy(kernel.value) for kernel in kernels]
        gradients = [
            ops.convert_to_tensor(rng.normal(size=variable.shape).astype(np.float32))
            for variable in lifter.trainable_variables
        ]
        optimizer.apply(gradients, lifter.trainable_variables)
        assert all((numpy(kernel.value) != old).any() for kernel, old in zip(kernels, before, strict=True))
    assert all(np.linalg.norm(numpy(kernel.value)) <= 1 + 1e-5 for kernel in kernels)


def test_dropout_is_a_function_of_its_seed_and_of_the_place_in_the_whole_batch():
    lifter = _lifter(dropout=0.5, batch_norm=False)
    inputs = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)

    def run(rows, pair, **share):
        return numpy(lifter(inputs[rows], training=True, seed=BatchSeed(ops.array(pair), **share)))

    whole = run(slice(None), [1, 2])
    np.testing.assert_array_equal(whole, run(slice(None), [1, 2]))
    assert np.abs(whole - run(slice(None), [1, 3])).max() > 1e-3
    second = run(slice(3, 6), [1, 2], first=3, samples=6)
    np.testing.assert_allclose(second, whole[3:], atol=1e-5)
    with pytest.raises(ValueError, match="seed"):
        lifter(inputs, training=True)
    np.testing.assert_array_equal(numpy(lifter(inputs)), numpy(lifter(inputs)))


def test_dropout_keeps_the_mean_of_what_it_scales():
    lifter = _lifter(6, 3, linear_size=64, num_blocks=1, dropout=0.25, batch_norm=False, residual=False)
    inputs = np.repeat(np.random.default_rng(1).normal(size=(1, 6)), 4000, axis=0).astype(np.float32)
    masks = lifter.dropout_masks(4000, [1, 2])
    assert [tuple(mask.shape) for mask in masks] == [(4000, 64)] * 3
    assert abs(np.mean([numpy(mask).mean() for mask in masks]) - 0.75) < 0.01
    assert numpy(lifter(inputs, training=True, seed=[3, 4])).std(axis=0).min() > 0


def test_saved_and_loaded_it_computes_the_same(tmp_path, inputs):
    lifter = _lifter(dropout=0.1, max_norm=True)
    expected = numpy(lifter(inputs))
    lifter.save(tmp_path / "lifter.keras")
    loaded = keras.saving.load_model(tmp_path / "lifter.keras")
    np.testing.assert_array_equal(numpy(loaded(inputs)), expected)
    assert loaded.get_config() == lifter.get_config()


@pytest.mark.parametrize(
    "wrong", [{"outputs": 0}, {"linear_size": 0}, {"num_blocks": 0}, {"dropout": 1.0}, {"dropout": -0.1}]
)
def test_wrong_arguments(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        _lifter(**wrong)


def _statistics(**changes):
    rng = np.random.default_rng(0)
    given = {
        "input_mean": rng.normal(size=(4, 2)),
        "input_deviation": rng.uniform(1, 2, size=(4, 2)),
        "output_mean": rng.normal(size=(3, 3)),
        "output_deviation": rng.uniform(1, 2, size=(3, 3)),
    }
    return given | changes


def test_standardisation_and_its_inverse():
    statistics, layer = _statistics(), Standardization((4, 2), (3, 3))
    values = np.random.default_rng(1).normal(size=(5, 4, 2)).astype(np.float32)
    np.testing.assert_array_equal(numpy(layer(values)), values)
    layer.adapt(**statistics)
    expected = (values - statistics["input_mean"]) / statistics["input_deviation"]
    np.testing.assert_allclose(numpy(layer(values)), expected, atol=1e-5)
    lifted = np.random.default_rng(2).normal(size=(5, 3, 3)).astype(np.float32)
    there = layer.standardize_outputs(lifted)
    np.testing.assert_allclose(numpy(layer.restore_outputs(there)), lifted, atol=1e-5)
    assert np.abs(numpy(there) - lifted).max() > 0.1
    assert len(layer.non_trainable_variables) == 4
    assert not layer.trainable_variables


def test_statistics_travel_with_the_saved_layer(tmp_path):
    layer = Standardization((4, 2), (3, 3))
    layer.adapt(**_statistics())
    layer.save(tmp_path / "statistics.keras")
    loaded = keras.saving.load_model(tmp_path / "statistics.keras")
    values = np.ones((1, 4, 2), np.float32)
    np.testing.assert_array_equal(numpy(loaded(values)), numpy(layer(values)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_mean": np.zeros((3, 2))}, "input mean must have shape"),
        ({"output_mean": np.full((3, 3), np.nan)}, "output mean must be finite"),
        ({"output_deviation": np.zeros((3, 3))}, r"above 0.*\[0, 0\]"),
    ],
)
def test_refuses_statistics_that_it_cannot_use(changes, message):
    layer = Standardization((4, 2), (3, 3))
    with pytest.raises(ValueError, match=message):
        layer.adapt(**_statistics(**changes))


def test_normalisation_is_that_of_the_reference():
    """TensorFlow 1's batch normalisation, which Martinez et al. use as it is, adds 1e-3 to the variance."""
    norms = [layer for layer in _lifter().layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {norm.epsilon for norm in norms} == {1e-3}

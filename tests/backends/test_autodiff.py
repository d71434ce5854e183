"""The gradient by an input: values, second order, and inside the training of weights."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient


def _numpy(x):
    return ops.convert_to_numpy(x)


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(5, 3)).astype("float32")


def test_first_order(points):
    np.testing.assert_allclose(_numpy(input_gradient(lambda x: x**3, points)), 3 * points**2, rtol=1e-5)


def test_each_sample_gets_the_gradient_of_its_own_output(points):
    gradient = input_gradient(lambda x: ops.sum(ops.sin(x), axis=-1, keepdims=True), points)
    np.testing.assert_allclose(_numpy(gradient), np.cos(points), rtol=1e-5, atol=1e-6)


def test_second_order(points):
    """d/dx of sum (d x^3/dx)^2 = d/dx sum 9 x^4 = 36 x^3."""

    def squared_gradient(x):
        return ops.square(input_gradient(lambda y: y**3, x))

    np.testing.assert_allclose(_numpy(input_gradient(squared_gradient, points)), 36 * points**3, rtol=1e-4)


def test_independent_output_gives_zeros(points):
    constant = ops.ones((2,))
    np.testing.assert_array_equal(_numpy(input_gradient(lambda x: constant, points)), np.zeros_like(points))


def test_unknown_backend_is_named(points, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(NotImplementedError, match="backend=numpy"):
        input_gradient(lambda x: x, points)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function and tapes are TensorFlow's")
@pytest.mark.parametrize("compiled", [False, True])
def test_weights_learn_from_an_input_gradient_on_a_tape(points, compiled):
    """L(w) = sum_n || d (w . x_n^2) / dx_n ||^2 = sum (2 w x_n)^2, so dL/dw = 8 w sum_n x_n^2."""
    import tensorflow as tf

    weights = tf.Variable([1.0, -2.0, 0.5])

    def step():
        with tf.GradientTape() as tape:
            gradient = input_gradient(lambda x: tf.linalg.matvec(x**2, weights), points)
            loss = tf.reduce_sum(gradient**2)
        return tape.gradient(loss, weights)

    found = tf.function(step)() if compiled else step()
    expected = 8 * np.array([1.0, -2.0, 0.5]) * (points**2).sum(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)

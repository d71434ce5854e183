"""Seeded draws: a pure function of seed and shape."""

import random

import keras
import numpy as np
import pytest
from keras import ops

from hpe.networks.randomness import BatchSeed, batch_uniform, initial_weights, seeded_normal, seeded_uniform


def _draw(seed, shape=(1000,)):
    return ops.convert_to_numpy(seeded_uniform(shape, seed))


def test_same_seed_same_numbers_whatever_was_drawn_before():
    first = _draw((3, 4))
    _draw((9, 9))
    keras.random.uniform((5,))
    np.testing.assert_array_equal(_draw((3, 4)), first)
    np.testing.assert_array_equal(_draw(ops.convert_to_tensor([3, 4], dtype="int32")), first)


@pytest.mark.parametrize("other", [(3, 5), (4, 4), (4, 3), (0, 0)])
def test_other_seeds_give_unrelated_numbers(other):
    assert abs(np.corrcoef(_draw((3, 4)), _draw(other))[0, 1]) < 0.15


def test_numbers_are_uniform():
    numbers = _draw((1, 2), (100, 1000))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts, _ = np.histogram(numbers, bins=10, range=(0, 1))
    np.testing.assert_allclose(counts / numbers.size, 0.1, atol=0.005)


def test_normal_numbers_are_normal_and_seeded():
    numbers = ops.convert_to_numpy(seeded_normal((100, 1000), (1, 2)))
    np.testing.assert_allclose([numbers.mean(), numbers.std()], [0, 1], atol=0.02)
    np.testing.assert_array_equal(ops.convert_to_numpy(seeded_normal((100, 1000), (1, 2))), numbers)


def test_wrong_seed_is_named():
    with pytest.raises(ValueError, match=r"pair of integers. Received: seed of shape \(3,\)"):
        seeded_uniform((2,), (1, 2, 3))


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly here")
def test_compiled_equals_eager():
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        drawn = tf.function(lambda step: seeded_uniform((7,), tf.stack([5, step])))(tf.constant(11, tf.int64))
    else:
        import jax

        drawn = jax.jit(lambda seed: seeded_uniform((7,), seed))(np.array([5, 11], "int32"))
    np.testing.assert_array_equal(np.asarray(drawn), _draw((5, 11), (7,)))


def test_what_a_sample_gets_does_not_depend_on_who_holds_it():
    whole = ops.convert_to_numpy(batch_uniform(6, (2, 3), (1, 2)))
    assert whole.shape == (6, 2, 3)
    for first in (0, 2, 4):
        part = batch_uniform(2, (2, 3), BatchSeed((1, 2), first=ops.convert_to_tensor(first), samples=6))
        np.testing.assert_array_equal(ops.convert_to_numpy(part), whole[first : first + 2])
    stream = ops.convert_to_numpy(batch_uniform(6, (2, 3), BatchSeed((1, 2)).stream(5)))
    assert (stream != whole).all()
    np.testing.assert_array_equal(stream, ops.convert_to_numpy(batch_uniform(6, (2, 3), (6, 2))))


def test_first_weights_are_a_function_of_the_seed_and_the_process_keeps_its_own():
    def kernel(seed):
        with initial_weights(seed):
            layer = keras.layers.Dense(4)
            layer.build((None, 3))
        return ops.convert_to_numpy(layer.kernel)

    random.seed(5)
    before = random.getstate()
    first = kernel(1)
    assert random.getstate() == before
    random.random()
    np.testing.assert_array_equal(kernel(1), first)
    assert (kernel(2) != first).all()

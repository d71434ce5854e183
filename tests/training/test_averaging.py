"""The moving average of weights."""

import keras
import numpy as np
import pytest

from hpe.runs.weights import averaged_variables
from hpe.training.averaging import WeightAverage


class OneDense:
    """The least that has networks."""

    def __init__(self):
        model = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(1), keras.layers.BatchNormalization()]
        )
        self.networks = {"dense": model}


@pytest.fixture
def system():
    return OneDense()


def test_the_average_follows_and_starts_fast(system):
    variables = averaged_variables(system).values()
    assert len(variables) == 6  # kernel, bias, and all four of the normalisation
    average = WeightAverage(system, decay=0.19)
    expected = [variable.numpy() for variable in variables]
    rng = np.random.default_rng(0)
    for rate in (0.9, 1 - 2 / 11, 0.81, 0.81):
        for index, variable in enumerate(variables):
            variable.assign(rng.normal(size=variable.shape))
            expected[index] += rate * (variable.numpy() - expected[index])
        average.update()
    for found, wanted in zip(average.variables.values(), expected, strict=True):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)
    assert int(average.updates) == 4


def test_the_weights_come_back_even_after_an_error(system):
    average = WeightAverage(system, decay=0.5)
    before = [variable.numpy() for variable in averaged_variables(system).values()]
    for variable in averaged_variables(system).values():
        variable.assign(variable.numpy() + 1)
    with pytest.raises(RuntimeError), average.applied():
        for variable, old in zip(averaged_variables(system).values(), before, strict=True):
            np.testing.assert_array_equal(variable.numpy(), old)
        raise RuntimeError
    for variable, old in zip(averaged_variables(system).values(), before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old + 1)

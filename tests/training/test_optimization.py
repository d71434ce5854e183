"""Rates and weights of losses over the steps, and the moving average of weights."""

import math

import keras
import numpy as np
import pytest

from hpe.runs.weights import averaged_variables
from hpe.training.config import LearningRateSchedule, OptimizationConfig, parse_factors
from hpe.training.optimization import WeightAverage, factor_at, learning_rate


def rates(steps, *, total_steps=100, epoch_steps=10, **options):
    config = OptimizationConfig(**options)
    return [
        float(learning_rate(2.0, step, config=config, epoch_steps=epoch_steps, total_steps=total_steps))
        for step in steps
    ]


def test_a_constant_rate_is_constant():
    assert rates([0, 50, 1000]) == [2.0, 2.0, 2.0]


def test_warm_up_rises_to_the_rate_and_learns_from_the_first_step_on():
    assert rates([0, 4, 9, 10, 30], warmup_epochs=1) == pytest.approx([0.2, 1.0, 2.0, 2.0, 2.0])


def test_cosine_falls_from_the_end_of_the_warm_up_to_nothing_at_the_end():
    options = {"warmup_epochs": 2.0, "lr_schedule": LearningRateSchedule.COSINE}
    found = rates([19, 20, 40, 60, 100, 120], **options)
    expected = [2.0, 2.0, 1 + math.cos(math.pi / 4), 1.0, 0.0, 0.0]
    assert found == pytest.approx(expected, abs=1e-6)


def test_steps_fall_at_their_epochs():
    options = {
        "lr_schedule": LearningRateSchedule.STEP,
        "lr_step_epochs": ("3", "4.5"),
        "lr_step_factor": 0.5,
    }
    assert rates([0, 29, 30, 44, 45, 99], **options) == pytest.approx([2, 2, 1, 1, 0.5, 0.5])


def test_factors_run_linearly_between_their_points():
    points = parse_factors(["mr_loss=0@1:1@3:0.5@4"])["mr_loss"]
    steps = np.array([0, 10, 15, 20, 30, 35, 40, 90])
    found = [float(factor_at(points, step, epoch_steps=10)) for step in steps]
    assert found == pytest.approx(np.interp(steps / 10, [1, 3, 4], [0, 1, 0.5]), abs=1e-6)


@pytest.mark.parametrize(
    "schedule",
    ["mr_loss", "mr_loss=", "=1@0", "a=1", "a=x@0", "a=1@2:1@1", "a=1@1:2@1", "a=-1@0", "a=1@inf", "a=1@0@2"],
)
def test_a_schedule_that_cannot_be_read_is_shown(schedule):
    with pytest.raises(ValueError, match="loss_schedules") as error:
        parse_factors([schedule])
    assert schedule in str(error.value)
    with pytest.raises(ValueError, match="loss_schedules"):
        OptimizationConfig(loss_schedules=(schedule,))


def test_a_loss_has_one_schedule():
    with pytest.raises(ValueError, match="each name once"):
        parse_factors(["a=1@0", "a=2@0"])


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"generator_lr": -1e-4}, "generator_lr"),
        ({"warmup_epochs": -1.0}, "warmup_epochs"),
        ({"clip_norm": float("inf")}, "clip_norm"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"freeze_epochs": -0.5}, "freeze_epochs"),
        ({"lr_schedule": LearningRateSchedule.STEP}, "lr_step_epochs"),
        ({"lr_step_epochs": ("5", "3"), "lr_schedule": LearningRateSchedule.STEP}, "lr_step_epochs"),
        ({"lr_step_epochs": ("five",), "lr_schedule": LearningRateSchedule.STEP}, "lr_step_epochs"),
        ({"lr_step_epochs": ("5",)}, "lr_step_epochs"),
        ({"freeze_epochs": 1.0, "freeze_networks": ()}, "freeze_epochs"),
    ],
)
def test_impossible_settings_name_their_flag(options, flag):
    with pytest.raises(ValueError, match=f"{flag}"):
        OptimizationConfig(**options)


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

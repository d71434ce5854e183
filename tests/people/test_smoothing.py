"""Filters calm what stands, follow what moves, and do not care how axes are turned."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.people.smoothing import OneEuroConfig, PointFilter, RotationFilter

RATE = 30.0
CONFIG = OneEuroConfig(min_cutoff=1.0, beta=0.3)


def run(make, values):
    smooth = make()
    return np.stack([smooth(value, k / RATE) for k, value in enumerate(values)])


def reference(values, config):
    """The filter of one coordinate as the paper's pseudocode has it."""
    out, speed = [values[0]], 0.0
    alpha = lambda cutoff: 1 / (1 + RATE / (2 * np.pi * cutoff))  # noqa: E731
    for value in values[1:]:
        speed += alpha(config.speed_cutoff) * ((value - out[-1]) * RATE - speed)
        out.append(out[-1] + alpha(config.min_cutoff + config.beta * abs(speed)) * (value - out[-1]))
    return np.array(out)


def test_one_coordinate_is_the_filter_of_the_paper():
    values = np.cumsum(np.random.default_rng(0).normal(size=(50, 1)), axis=0)
    np.testing.assert_allclose(
        run(lambda: PointFilter(CONFIG), values)[:, 0], reference(values[:, 0], CONFIG), atol=1e-12
    )


def test_noise_at_rest_shrinks_and_a_fast_ramp_is_followed():
    noise = np.random.default_rng(1).normal(scale=0.01, size=(300, 17, 3))
    still = run(lambda: PointFilter(CONFIG), noise)
    # First-order low pass of 1 Hz at 30 Hz: about a third of the deviation.
    assert still[60:].std() < 0.45 * noise.std()
    ramp = np.arange(300)[:, None, None] / RATE * 4.0 * np.ones((1, 1, 3))
    fast = run(lambda: PointFilter(OneEuroConfig(1.0, 5.0)), ramp)
    slow = run(lambda: PointFilter(OneEuroConfig(1.0, 0.0)), ramp)
    lag_fast, lag_slow = ((ramp - out)[-1, 0, 0] / 4.0 for out in (fast, slow))
    assert lag_fast < 0.01 < 0.15 < lag_slow  # seconds


def test_turning_the_axes_changes_nothing():
    points = np.cumsum(np.random.default_rng(2).normal(size=(40, 5, 3)), axis=0)
    turn = Rotation.from_rotvec([0.3, -1.0, 0.5]).as_matrix()
    straight = run(lambda: PointFilter(CONFIG), points) @ turn.T
    np.testing.assert_allclose(run(lambda: PointFilter(CONFIG), points @ turn.T), straight, atol=1e-9)


def test_a_missing_point_keeps_its_last_value_and_joins_again():
    points = np.zeros((4, 2, 2))
    points[1, 0] = np.nan
    points[2:, 0] = 1.0
    out = run(lambda: PointFilter(OneEuroConfig(1e6, 0.0)), points)
    np.testing.assert_allclose(out[1, 0], 0.0)
    np.testing.assert_allclose(out[3], [[1, 1], [0, 0]], atol=1e-3)
    late = np.full((3, 1, 2), np.nan)
    late[1:] = 7.0
    np.testing.assert_allclose(run(lambda: PointFilter(CONFIG), late)[1:], 7.0)


def test_rotations_stay_rotations_and_follow_the_shortest_arc():
    angles = np.linspace(3.0, 3.4, 60)  # across pi, where axis-angle vectors jump
    turns = Rotation.from_rotvec(angles[:, None] * np.array([[0.0, 1.0, 0.0]])).as_matrix()
    out = run(lambda: RotationFilter(OneEuroConfig(2.0, 1.0)), turns[:, None])[:, 0]
    np.testing.assert_allclose(
        out @ np.swapaxes(out, -1, -2), np.broadcast_to(np.eye(3), out.shape), atol=1e-9
    )
    gap = Rotation.from_matrix(np.swapaxes(out, -1, -2) @ turns).magnitude()
    assert gap.max() < 0.03


def test_times_have_to_grow_and_settings_to_make_sense():
    smooth = PointFilter(CONFIG)
    smooth(np.zeros((1, 2)), 1.0)
    with pytest.raises(ValueError, match="must grow"):
        smooth(np.zeros((1, 2)), 1.0)
    with pytest.raises(ValueError, match="min_cutoff"):
        OneEuroConfig(0.0, 1.0)

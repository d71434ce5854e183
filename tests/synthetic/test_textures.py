"""Textures keep their ranges and statistics."""

import numpy as np

from hpe.synthetic.textures import blend, noise, pattern, ramp, random_color, shifted


def test_noise_is_about_unit_normal():
    fields = [
        noise(np.random.default_rng(n), 100, 150, coarsest=int(c), octaves=int(o))
        for n, (c, o) in enumerate([(4, 1), (8, 3), (16, 5), (30, 2)])
    ]
    for field in fields:
        assert field.shape == (100, 150)
        assert abs(field.mean()) < 0.5
        assert 0.6 < field.std() < 1.4


def test_noise_is_smooth_at_the_scale_asked_for():
    rng = np.random.default_rng(0)
    coarse = noise(rng, 128, 128, coarsest=3, octaves=1)
    fine = noise(rng, 128, 128, coarsest=64, octaves=1)
    assert np.abs(np.diff(coarse, axis=1)).mean() * 5 < np.abs(np.diff(fine, axis=1)).mean()


def test_blend_mixes_colours():
    share = np.float32([[0, 0.25], [1, 7]])
    mixed = blend((0, 100, 200), (100, 0, 200), share)
    np.testing.assert_allclose(mixed[0, 1], (25, 75, 200))
    np.testing.assert_allclose(mixed[1, 1], (100, 0, 200))


def test_ramp_rises_along_its_direction():
    across = ramp(5, 9, 0.0)
    np.testing.assert_allclose(across[2], np.linspace(0, 1, 9), atol=1e-6)
    down = ramp(5, 9, np.pi / 2)
    np.testing.assert_allclose(down[:, 3], np.linspace(0, 1, 5), atol=1e-6)


def test_colours_and_patterns_stay_in_range():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        color = random_color(rng, saturation=(0, 1), value=(0, 1))
        for value in (color, shifted(color, rng, 0.5), pattern(rng, 40, 30)):
            assert value.min() >= 0
            assert value.max() <= 255


def test_saturation_and_value_ranges_hold():
    for seed in range(20):
        grey = random_color(np.random.default_rng(seed), saturation=(0, 0), value=(0.5, 0.6))
        assert np.ptp(grey) < 1e-3
        assert 127 <= grey[0] <= 154

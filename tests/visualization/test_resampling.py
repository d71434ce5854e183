"""Enlarging and reducing keep the content where it is."""

import numpy as np

from hpe.visualization.resampling import average_pixels, enlarge_points, enlarge_to, repeat_pixels


def test_repeating_and_averaging_is_the_identity():
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    for factor in (1, 2, 4):
        np.testing.assert_array_equal(average_pixels(repeat_pixels(image, factor), factor), image)


def test_enlarged_points_stay_on_the_content():
    """The centre of a bright blob moves as `enlarge_points` says."""
    rows, columns = np.mgrid[:40, :30]
    blob = 255 * np.exp(-((columns - 12.0) ** 2 + (rows - 21.0) ** 2) / 18)
    image = np.repeat(blob[..., None], 3, axis=2).astype(np.uint8)
    large, factor = enlarge_to(image, 100)
    assert large.shape == (100, 75, 3)
    assert factor == 2.5
    weight = large[..., 0].astype(float)
    rows, columns = np.mgrid[:100, :75]
    centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
    np.testing.assert_allclose(centre, enlarge_points((12, 21), factor), atol=0.05)


def test_large_pictures_stay():
    image = np.zeros((40, 30, 3), np.uint8)
    same, factor = enlarge_to(image, 40)
    assert same is image
    assert factor == 1

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hpe.geometry import cameras


def test_weak_perspective_puts_the_translation_inside_the_scale():
    points = np.array([[[1.0, 2.0, 3.0], [0.0, -1.0, 9.0]]])
    projected = cameras.weak_perspective_project(points, np.array([[0.5, 0.25, -1.0]]))
    np.testing.assert_allclose(projected, [[[0.625, 0.5], [0.125, -1.0]]])


def test_doubling_the_scale_doubles_every_coordinate():
    generator = np.random.default_rng(0)
    points, camera = generator.normal(size=(3, 7, 3)), generator.normal(size=(3, 3))
    once = cameras.weak_perspective_project(points, camera)
    twice = cameras.weak_perspective_project(points, camera * [2.0, 1.0, 1.0])
    np.testing.assert_allclose(twice, 2.0 * once)


def test_a_batch_equals_its_single_items():
    generator = np.random.default_rng(1)
    points, camera = generator.normal(size=(4, 5, 3)), generator.normal(size=(4, 3))
    singles = [cameras.weak_perspective_project(points[i : i + 1], camera[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(cameras.weak_perspective_project(points, camera), singles)


def test_normalised_coordinates_follow_two_px_over_size_minus_one():
    np.testing.assert_allclose(
        cameras.pixels_to_normalized(np.array([0.0, 112.0, 224.0]), 224), [-1.0, 0.0, 1.0]
    )


@given(st.floats(-1e3, 1e3), st.integers(1, 4096))
def test_pixels_and_normalised_coordinates_are_inverse(pixel, size):
    back = cameras.normalized_to_pixels(cameras.pixels_to_normalized(pixel, size), size)
    np.testing.assert_allclose(back, pixel, atol=1e-9 * size + 1e-9)

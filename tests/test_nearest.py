"""The host search against brute force, on awkward masks and points, eager and compiled."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from hpe.nearest import nearest_between_points_and_masks, search

WIDTH, HEIGHT = 13, 9


def _pixels(mask):
    return np.argwhere(mask)[:, ::-1].astype(float)


def _check_image(points, mask, point_of_pixel, pixel_of_point):
    """Compares distances, not indices: of equally near neighbours any one will do."""
    matrix = cdist(_pixels(mask), points)
    found = points[point_of_pixel[np.flatnonzero(mask)]]
    np.testing.assert_allclose(np.linalg.norm(found - _pixels(mask), axis=1), matrix.min(axis=1), atol=1e-9)
    found = np.stack([pixel_of_point % mask.shape[1], pixel_of_point // mask.shape[1]], axis=1)
    assert mask[found[:, 1], found[:, 0]].all()
    np.testing.assert_allclose(np.linalg.norm(found - points, axis=1), matrix.min(axis=0), atol=1e-9)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    density=st.sampled_from([0.02, 0.3, 0.9, 1.0]),
    spread=st.sampled_from([2.0, 8.0, 60.0]),
    on_half_pixels=st.booleans(),
)
def test_equals_brute_force(seed, density, spread, on_half_pixels):
    rng = np.random.default_rng(seed)
    mask = rng.random((HEIGHT, WIDTH)) < density
    mask[rng.integers(HEIGHT), rng.integers(WIDTH)] = True
    points = rng.normal(size=(17, 2)) * spread + (WIDTH / 2, HEIGHT / 2)
    if on_half_pixels:  # ties between two and four pixels, and points on pixel centres
        points = np.round(2 * points) / 2
    point_of_pixel, pixel_of_point = search(points[None], mask[None])
    _check_image(points, mask, point_of_pixel[0], pixel_of_point[0])


@pytest.fixture
def batch():
    rng = np.random.default_rng(3)
    masks = (rng.random((3, HEIGHT, WIDTH)) < 0.4).astype("uint8")
    masks[1] = 0
    return rng.normal(size=(3, 20, 2)).astype("float32") * 6 + 6, masks


def test_empty_mask_gives_zeros(batch):
    point_of_pixel, pixel_of_point = search(*batch)
    assert not point_of_pixel[1].any()
    assert not pixel_of_point[1].any()
    _check_image(batch[0][2].astype(float), batch[1][2] > 0, point_of_pixel[2], pixel_of_point[2])


def test_points_that_are_not_finite_are_nobodys_neighbour(batch):
    points, masks = batch
    points[0, 0], points[0, 3], points[2] = np.nan, np.inf, np.nan
    point_of_pixel, _ = search(points, masks)
    assert not np.isin(point_of_pixel[0, np.flatnonzero(masks[0])], [0, 3]).any()
    assert not point_of_pixel[2].any()


def test_far_points_do_not_overflow(batch):
    points, masks = batch
    points[0, 0] = 1e30, -1e30
    point_of_pixel, pixel_of_point = search(points, masks)
    _check_image(points[0].astype(float), masks[0] > 0, point_of_pixel[0], pixel_of_point[0])


def test_tensors_eager(batch):
    for found, expected in zip(nearest_between_points_and_masks(*batch), search(*batch), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), expected)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs eagerly here")
def test_tensors_compiled(batch):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(
            nearest_between_points_and_masks,
            input_signature=[
                tf.TensorSpec((None, 20, 2), tf.float32),
                tf.TensorSpec((None, HEIGHT, WIDTH), tf.uint8),
            ],
        )
        shapes = compiled.get_concrete_function().output_shapes
        assert [s.as_list() for s in shapes] == [[None, HEIGHT * WIDTH], [None, 20]]
    else:
        import jax

        compiled = jax.jit(nearest_between_points_and_masks)
    for found, expected in zip(compiled(*batch), search(*batch), strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected)


def test_unknown_backend_is_named(batch, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    with pytest.raises(NotImplementedError, match="backend=numpy"):
        nearest_between_points_and_masks(*batch)

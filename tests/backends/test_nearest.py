"""The host search against brute force, on awkward masks and points, eager and compiled."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from hpe.backends import nearest, nearest_kernels
from hpe.backends.nearest import nearest_between_points_and_masks, search

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


def _one_pixel(size):
    mask = np.zeros((size, size), bool)
    mask[5, size - 2] = True
    return mask


_RNG = np.random.default_rng(0)
_CLOUD = _RNG.normal(size=(300, 2)) * 6 + 16
_ROWS, _COLUMNS = np.mgrid[:32, :32]
_DISC = (_ROWS - 14) ** 2 + (_COLUMNS - 18) ** 2 < 80
_RING = np.abs(np.hypot(_ROWS - 16, _COLUMNS - 16) - 12) < 1
_NOISE = _RNG.random((32, 32)) < 0.5
_ONE_SPOT = np.full((300, 2), 40.25)

AWKWARD = {
    "shifted by a quarter": (np.add(_CLOUD, (8, 0)), _DISC),
    "far to the right": (np.add(_CLOUD, (150, 0)), _DISC),
    "beyond the reach of the cells": (np.add(_CLOUD, (3000, -2000)), _DISC),
    "some beyond the reach": (np.concatenate([_CLOUD, 1e4 * _CLOUD]), _DISC),
    "a stray point": (np.concatenate([_CLOUD, [[1e30, -1e30]]]), _DISC),
    "scale exploded": (_CLOUD * 1e3, _DISC),
    "scale collapsed": (_CLOUD * 1e-9 + 20, _DISC),
    "one spot": (_ONE_SPOT, _DISC),
    "one spot and a stray point": (np.concatenate([_ONE_SPOT, [[-60.0, 1.0]]]), _DISC),
    "a horizontal line": (_CLOUD * (1, 0) + (0, 40), _DISC),
    "a vertical line": (_CLOUD * (0, 1) - (40, 0), _NOISE),
    "a diagonal": (_CLOUD[:, :1] + np.zeros(2), _NOISE),
    "in the middle of a ring": (_RNG.normal(size=(300, 2)) * 1e-3 + 16, _RING),
    "around the mask": (16 + 40 * np.stack([np.cos(np.arange(300)), np.sin(np.arange(300))], 1), _DISC),
    "one pixel": (_CLOUD, _one_pixel(32)),
    "one point": (_CLOUD[:1], _NOISE),
    "a full mask": (_CLOUD, np.ones((32, 32), bool)),
}


@pytest.mark.parametrize("give_up", [False, True], ids=["by kernels", "by trees"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_scenes(name, give_up, monkeypatch):
    """Each also with the tree doing what the kernels leave when their budget is spent at once."""
    points, mask = AWKWARD[name]
    if give_up:
        kernel = nearest_kernels.search_image

        def spent(points, mask, point_of_pixel, pixel_of_point):
            _, _, border = kernel(points, mask, point_of_pixel, pixel_of_point)
            rest = np.flatnonzero(np.isin(pixel_of_point, border))
            point_of_pixel[:], pixel_of_point[rest] = 0, 0
            return np.flatnonzero(mask), rest, border

        monkeypatch.setattr(nearest_kernels, "search_image", spent)
    point_of_pixel, pixel_of_point = search(points[None], mask[None])
    _check_image(points, mask, point_of_pixel[0], pixel_of_point[0])


def test_a_large_mask_and_few_points():
    rows, columns = np.mgrid[:2000, :2000]
    points = np.array([[10.25, 1500.5], [1900.0, 20.0], [-300.0, -5.0]])
    found, _ = search(points[None], np.ones((1, 2000, 2000), bool))
    squared = [(columns - x) ** 2 + (rows - y) ** 2 for x, y in points]
    np.testing.assert_array_equal(np.choose(found[0].reshape(2000, 2000), squared), np.min(squared, axis=0))


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


def test_independent_of_threads_and_of_the_rest_of_the_batch(batch, monkeypatch):
    expected = search(*batch)
    monkeypatch.setattr(nearest, "_PER_THREAD", 1)
    monkeypatch.setattr(nearest, "usable_cores", lambda: 3)
    for found, image_by_image, same in zip(
        search(*batch),
        zip(*(search(p[None], m[None]) for p, m in zip(*batch, strict=True)), strict=True),
        expected,
        strict=True,
    ):
        np.testing.assert_array_equal(found, same)
        np.testing.assert_array_equal(np.concatenate(image_by_image), same)


def test_other_types_and_layouts_are_the_same_and_compile_nothing(batch):
    points, masks = batch
    expected = search(points, masks)
    compiled = len(nearest_kernels.search_image.signatures)
    fixed = points.copy()
    fixed.flags.writeable = False
    for p, m in (
        (fixed, masks > 0),
        (np.asfortranarray(points), masks.astype("int8")),
        (points[:, ::-1][:, ::-1], np.asfortranarray(masks) * 255.0),
    ):
        for found, same in zip(search(p, m), expected, strict=True):
            np.testing.assert_array_equal(found, same)
    assert len(nearest_kernels.search_image.signatures) == compiled


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

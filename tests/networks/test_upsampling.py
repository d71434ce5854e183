"""Upsampling with corners aligned: PyTorch's, by NumPy's interpolation along each axis."""

import numpy as np
import pytest
from keras import ops

from hpe.networks.upsampling import AlignedUpsampling, aligned_matrix


def interpolated(line, enlarged):
    """A line of cells at `enlarged` places that share its ends."""
    return np.interp(np.linspace(0, len(line) - 1, enlarged), np.arange(len(line)), line)


@pytest.mark.parametrize(("shape", "factor"), [((3, 5), 2), ((1, 4), 4), ((2, 1), 3)])
def test_ends_stay_ends_along_both_axes(shape, factor):
    maps = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype("f4")
    found = ops.convert_to_numpy(AlignedUpsampling(factor)(maps))
    tall = np.apply_along_axis(interpolated, 1, maps, factor * shape[0])
    expected = np.apply_along_axis(interpolated, 2, tall, factor * shape[1])
    assert found.shape == (2, factor * shape[0], factor * shape[1], 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_array_equal(found[:, 0, 0], maps[:, 0, 0])


def test_rows_are_shares_of_two_neighbours():
    matrix = aligned_matrix(7, 56)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
    assert ((matrix > 0).sum(axis=1) <= 2).all()

"""What the kernels promise beyond the result: bounded work, and one compilation for all kinds of arrays."""

import numpy as np
import pytest

from hpe.backends import nearest, nearest_kernels

SIZE = 64


def _search(points, mask):
    """Returns how many pixels and points were left for a tree."""
    found = np.zeros(mask.size, np.int32), np.zeros(len(points), np.int32)
    # As `search` passes them, so that nothing is compiled anew.
    arrays = nearest.read_only(points.astype(np.float32)), nearest.read_only(mask)
    pixels, rest, border = nearest_kernels.search_image(*arrays, *found)
    assert np.isin(pixels, np.flatnonzero(mask)).all()
    assert mask.ravel()[border].all()
    return len(pixels), len(rest)


@pytest.fixture
def disc():
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return ((rows - 32) ** 2 + (columns - 32) ** 2 < 400).astype("uint8")


@pytest.mark.parametrize("shift", [0.0, 16.0, 100.0])
def test_a_body_needs_no_tree_wherever_it_is(disc, shift):
    points = np.random.default_rng(0).normal(size=(3000, 2)) * (5, 15) + 32 + shift
    assert _search(points, disc) == (0, 0)


def test_points_in_one_spot_are_no_work(disc):
    assert _search(np.full((3000, 2), 90.5), disc) == (0, 0)


def test_gives_up_on_points_that_crowd_in_a_cell(disc):
    points = 90.5 + 1e-3 * np.random.default_rng(0).normal(size=(3000, 2))
    points[0] = -200, 0  # draws the cells out
    left, _ = _search(points, disc)
    assert left > np.count_nonzero(disc) / 2


def test_gives_up_on_pixels_that_are_all_equally_near():
    rows, columns = np.mgrid[:1001, :1001]
    distance = np.hypot(rows - 500, columns - 500)
    ring = ((distance >= 400) & (distance < 410)).astype("uint8")
    points = 500 + np.random.default_rng(0).normal(size=(3000, 2))
    _, left = _search(points, ring)
    assert left > 1500


def test_cells_number_as_the_sites_however_these_lie():
    for x, y in (
        (np.linspace(0, 60, 1000), np.full(1000, 3.0)),
        (np.full(1000, 3.0), np.linspace(0, 1e-9, 1000)),
        (np.linspace(0, 60, 1000), np.linspace(0, 60, 1000) % 7),
    ):
        cells = nearest_kernels.sort_into_cells(x, y, np.arange(1000, dtype=np.int32), 0.0, 64.0, 0.0, 64.0)
        first = cells[3]
        assert len(first) < 1000
        assert first[-1] == 1000
        np.testing.assert_array_equal(np.sort(cells[2]), np.arange(1000))

"""Heat maps: drawn as HRNet draws them, read back to a fraction of a cell, mirrored without a shift."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from hpe import skeletons
from hpe.networks.heatmaps import decode_heatmaps, draw_heatmaps, find_peaks, mirror_heatmaps

SIZE = 16
CELL = 2.0 / SIZE  # normalised


def draw(joints2d, *, size=SIZE, sigma=2.0):
    joints2d = np.asarray(joints2d, np.float32)
    maps, weights = draw_heatmaps(joints2d[..., :2], joints2d[..., 2], size, sigma=sigma)
    return ops.convert_to_numpy(maps), ops.convert_to_numpy(weights)


def decode(maps):
    return tuple(ops.convert_to_numpy(value) for value in decode_heatmaps(np.asarray(maps, np.float32)))


def normalized(cells, size=SIZE):
    return 2.0 * np.asarray(cells, np.float32) / size - 1.0


def at(*cells, size=SIZE):
    """One sample with visible joints at these cells."""
    points = normalized(cells, size)
    return np.concatenate([points, np.ones((len(points), 1))], axis=-1).astype(np.float32)[None]


def by_hand(x, y, size, sigma):
    """One map, cell by cell, and whether it counts; x and y in cells."""
    centre = math.floor(x + 0.5), math.floor(y + 0.5)
    drawn = np.zeros((size, size), np.float32)
    for row in range(size):
        for column in range(size):
            dx, dy = column - centre[0], row - centre[1]
            if max(abs(dx), abs(dy)) <= 3 * sigma:
                drawn[row, column] = math.exp(-(dx * dx + dy * dy) / (2 * sigma**2))
    return drawn, float(drawn.any())


@settings(max_examples=25, deadline=None)
@given(
    cells=st.lists(
        st.tuples(st.floats(-12, 28, width=32), st.floats(-12, 28, width=32)), min_size=5, max_size=5
    ),
    sigma=st.sampled_from([1.0, 2.0]),
)
def test_maps_are_those_drawn_cell_by_cell(cells, sigma):
    joints = at(*cells)
    # Normalised coordinates are rounded: the cells are taken from them.
    rounded = (joints[0, :, :2] + np.float32(1)) * np.float32(SIZE / 2)
    maps, weights = draw(joints, sigma=sigma)
    for joint, (x, y) in enumerate(rounded):
        drawn, counts = by_hand(float(x), float(y), SIZE, sigma)
        np.testing.assert_allclose(maps[0, :, :, joint], drawn, atol=1e-6)
        assert weights[0, joint] == counts


def test_a_joint_on_a_cell_is_a_peak_of_1_there():
    maps, weights = draw(at((5, 9), (0, 15)))
    for joint, (x, y) in enumerate([(5, 9), (0, 15)]):
        assert maps[0, y, x, joint] == 1.0
        assert maps[0, ..., joint].argmax() == y * SIZE + x
    np.testing.assert_array_equal(weights, 1)


def test_the_published_size_has_a_window_of_13_cells():
    maps, _ = draw(at((30, 20), size=64), size=64)
    rows, columns = np.nonzero(maps[0, ..., 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 26, 24, 36)
    assert maps[0, 20, 32, 0] == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize(("cell", "counts"), [(-6, 1), (-7, 0), (21, 1), (22, 0)])
def test_a_joint_counts_as_long_as_its_window_touches_the_map(cell, counts):
    for joint in ((cell, 8), (8, cell)):
        maps, weights = draw(at(joint))
        assert weights[0, 0] == counts
        assert maps.any() == counts


def test_unlabelled_joints_draw_nothing_whatever_they_hold():
    joints = at((5, 9), (3, 4), (7, 7))
    joints[0, 1] = np.nan, np.inf, 0
    joints[0, 2, 2] = 0.25
    maps, weights = draw(joints)
    np.testing.assert_array_equal(weights, [[1, 0, 0.25]])
    assert np.isfinite(maps).all()
    assert not maps[..., 1].any()
    assert maps[..., 2].max() == 1


def test_what_is_drawn_is_found_within_half_a_cell():
    rng = np.random.default_rng(0)
    cells = rng.uniform(2, SIZE - 3, (200, 2))
    joints = at(*cells)
    maps, _ = draw(joints)
    found, confidence = decode(maps)
    assert np.abs(found - joints[..., :2]).max() <= 0.5 * CELL + 1e-6
    np.testing.assert_array_equal(confidence, 1)


def test_a_peak_between_cells_is_found_within_a_quarter_of_a_cell():
    cells = np.random.default_rng(1).uniform(3, SIZE - 4, (200, 2))
    grid = np.arange(SIZE)
    profiles = np.exp(-((grid[:, None, None] - cells) ** 2) / 8)  # (S, J, 2)
    maps = profiles[None, None, :, :, 0] * profiles[None, :, None, :, 1]
    found, _ = decode(maps)
    assert np.abs(found[0] - normalized(cells)).max() <= 0.25 * CELL + 1e-6


def test_cells_beside_the_border_are_not_moved():
    maps = np.zeros((1, SIZE, SIZE, 4), np.float32)
    for joint, (x, y) in enumerate([(1, 8), (SIZE - 1, 8), (8, 0), (8, 8)]):
        maps[0, y, x, joint] = 1
        maps[0, y, min(x + 1, SIZE - 1), joint] += 0.5
    found, _ = decode(maps)
    np.testing.assert_allclose(found[0], normalized([(1, 8), (SIZE - 1, 8), (8, 0), (8.25, 8)]), atol=1e-6)


def test_an_empty_map_has_no_joint():
    found, confidence = decode(np.stack([np.zeros((SIZE, SIZE, 2)), np.full((SIZE, SIZE, 2), -3.0)]))
    np.testing.assert_array_equal(found, -1)
    np.testing.assert_array_equal(confidence, 0)
    cells, _ = find_peaks(np.full((1, SIZE, SIZE, 2), -3.0, np.float32))
    assert not ops.convert_to_numpy(cells).any()


def test_confidence_is_the_height_and_at_most_1():
    maps, _ = draw(at((5, 9), (6, 6)))
    _, confidence = decode(maps * np.float32([0.3, 1.7]))
    np.testing.assert_allclose(confidence, [[0.3, 1.0]], atol=1e-6)


def test_a_map_that_is_no_number_has_no_confidence_that_is_one():
    _, confidence = decode(np.full((1, SIZE, SIZE, 2), np.nan))
    assert np.isnan(confidence).all()


def test_mirrored_maps_are_turned_back_exactly_where_the_mirror_is_whole_cells():
    """A network that sees a joint of cell c at cell S - c in the mirror gives the same maps by both ways."""
    skeleton = skeletons.LSP14
    rng = np.random.default_rng(0)
    cells = rng.integers(1, SIZE - 1, (len(skeleton), 2))
    mirrored = cells[list(skeleton.flip)].copy()
    mirrored[:, 0] = SIZE - mirrored[:, 0]
    seen, _ = draw(at(*mirrored))
    expected, _ = draw(at(*cells))
    turned = ops.convert_to_numpy(mirror_heatmaps(seen, skeleton.flip))
    # The first column has no neighbour to come from, and stays.
    np.testing.assert_array_equal(turned[:, :, 1:], expected[:, :, 1:])
    np.testing.assert_array_equal(turned[:, :, 0], seen[:, :, ::-1, list(skeleton.flip)][:, :, 0])


def test_the_mirror_image_of_a_crop_moves_joints_by_at_most_a_quarter_cell():
    """Pixel p is S - 1 - p in a mirrored crop, which is 3/4 of a cell beside what reversing the cells does."""
    pixels = 4.0 * np.arange(2, SIZE - 2)
    seen = (4 * SIZE - 1 - pixels) / 4  # in cells of the mirrored crop, between two cells
    profiles = np.exp(-((np.arange(SIZE)[:, None] - seen) ** 2) / 8)
    maps = np.repeat(profiles[None, None], SIZE, axis=1).astype(np.float32)
    turned = ops.convert_to_numpy(mirror_heatmaps(maps, range(len(pixels))))
    centres = (turned[0, 0] * np.arange(SIZE)[:, None]).sum(0) / turned[0, 0].sum(0)
    inner = slice(4, -4)
    np.testing.assert_allclose(centres[inner] - pixels[inner] / 4, 0.25, atol=0.1)

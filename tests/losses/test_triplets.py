"""Triplets of heat maps: where Gaussians lie, what swapping depths swaps, and who counts."""

import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses import triplets
from hpe.networks.heatmaps import draw_heatmaps
from hpe.skeletons.parts import FARTHER, LEVEL, NEARER, NUM_STATES, PARTS, UNKNOWN

SIZE, SIGMA, TOLERANCE = 16, 1.0, 0.1
RNG = np.random.default_rng(0)
JOINTS2D = RNG.uniform(-0.7, 0.7, (2, 18, 2)).astype(np.float32)
DEPTHS = RNG.normal(0, 0.3, (2, 18)).astype(np.float32)
ONES = np.ones((2, 18), np.float32)
numpy = ops.convert_to_numpy


def states(depths, weight=ONES):
    return numpy(triplets.part_states(depths, weight, tolerance=TOLERANCE))


def drawn(depths, weight=ONES):
    maps, known = triplets.draw_triplets(JOINTS2D, weight, states(depths, weight), SIZE, sigma=SIGMA)
    return numpy(maps), numpy(known)


def test_states_follow_the_depths():
    depths = np.zeros((1, 18), np.float32)
    parent, child = PARTS[2]
    for depth, state in ((-0.2, NEARER), (0.2, FARTHER), (0.05, LEVEL), (-0.05, LEVEL)):
        depths[0, child] = depth
        found = states(depths, ONES[:1])
        assert found[0, 2] == state
    weight = ONES[:1].copy()
    weight[0, parent] = 0
    depths[0, parent] = np.nan
    assert states(depths, weight)[0, 2] == UNKNOWN


def test_gaussians_lie_where_the_depths_say():
    """The parent's in the middle map, the child's by its state; together always the two of them."""
    maps, known = drawn(DEPTHS)
    single = numpy(draw_heatmaps(JOINTS2D, ONES, SIZE, sigma=SIGMA)[0])
    assert maps.shape == (2, SIZE, SIZE, len(PARTS), NUM_STATES)
    assert (known == 1).all()
    parts_states = states(DEPTHS)
    assert {FARTHER, LEVEL, NEARER} == set(parts_states.ravel())
    for sample in range(2):
        for part, (parent, child) in enumerate(PARTS):
            found = maps[sample, :, :, part]
            both = single[sample, ..., parent] + single[sample, ..., child]
            np.testing.assert_allclose(found.sum(axis=-1), both, atol=1e-6)
            expected = np.zeros((SIZE, SIZE, NUM_STATES))
            expected[..., 1] += single[sample, ..., parent]
            expected[..., parts_states[sample, part] - 1] += single[sample, ..., child]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_swapping_two_depths_swaps_the_outer_maps_only():
    depths = np.zeros((2, 18), np.float32)
    part = 4
    parent, child = PARTS[part]
    depths[:, parent], depths[:, child] = 0.3, -0.3
    maps, swapped = drawn(depths)[0], drawn(-depths)[0]
    np.testing.assert_array_equal(swapped[..., part, :], maps[..., part, ::-1])
    assert maps[..., part, 2].any()
    assert not maps[..., part, 0].any()


def test_a_part_without_a_label_costs_nothing():
    weight = ONES.copy()
    weight[0, PARTS[0][0]] = 0
    maps, known = drawn(DEPTHS, weight)
    parts = [part for part, joints in enumerate(PARTS) if PARTS[0][0] in joints]
    assert not known[0, parts].any()
    assert known.sum() == 28 - len(parts)
    assert not maps[0, :, :, parts].any()
    # Labels of people who said nothing of a part.
    found = states(DEPTHS)
    found[1, 3] = UNKNOWN
    target, known = triplets.draw_triplets(JOINTS2D, ONES, found, SIZE, sigma=SIGMA)
    assert not numpy(known)[1, 3]
    predicted = np.array(target)
    predicted[1, :, :, 3] += 5.0
    assert float(triplets.triplet_sse(predicted, target, known).value) == 0
    predicted[1, 2, 2, 4, 0] += 2.0
    loss = triplets.triplet_sse(predicted, target, known)
    assert float(loss.total) == pytest.approx(4.0, rel=1e-5)
    assert float(loss.count) == 2
    assert float(triplets.triplet_sse(predicted, target, np.zeros((2, 14))).value) == 0


def test_every_map_has_a_gradient():
    target, known = drawn(DEPTHS)
    predicted = RNG.normal(size=target.shape).astype(np.float32)
    gradient = numpy(input_gradient(lambda x: triplets.triplet_sse(x, target, known).value, predicted))
    np.testing.assert_allclose(gradient, predicted - target, rtol=1e-4, atol=1e-5)
    heatmaps, seen = draw_heatmaps(JOINTS2D, ONES, SIZE, sigma=SIGMA)
    predicted = RNG.normal(size=heatmaps.shape).astype(np.float32)
    gradient = numpy(input_gradient(lambda x: triplets.heatmap_sse(x, heatmaps, seen).value, predicted))
    np.testing.assert_allclose(gradient, predicted - numpy(heatmaps), rtol=1e-4, atol=1e-5)

"""Losses of maps of depth, against sums written out joint by joint and bone by bone, and finite differences."""

import numpy as np
import pytest
from keras import ops

from hpe import skeletons
from hpe.backends.autodiff import input_gradient
from hpe.losses.depth_maps import (
    THIGH_BY_SHIN,
    UPPER_ARM_BY_FOREARM,
    bone_geometry,
    depth_smooth_l1,
    depth_targets,
    read_maps,
)

SIZE, JOINTS = 8, 16
numpy = ops.convert_to_numpy
# The published groups by MPII's numbers, written down apart from the package.
LEG, ARM = 1.0085885098415446, 1.1375361376887123
PUBLISHED = (
    ([(0, 1), (1, 2), (3, 4), (4, 5)], [LEG, 1, 1, LEG]),
    ([(10, 11), (11, 12), (13, 14), (14, 15)], [ARM, 1, 1, ARM]),
    ([(2, 6), (3, 6)], [1, 1]),
    ([(12, 8), (13, 8)], [1, 1]),
)


def people(seed=0, count=3):
    rng = np.random.default_rng(seed)
    joints2d = rng.uniform(-0.4, 0.4, (count, JOINTS, 2)).astype(np.float32)
    depth = rng.normal(scale=0.1, size=(count, JOINTS)).astype(np.float32)
    return joints2d, depth, rng.uniform(size=(count, JOINTS)) < 0.8


def geometry(joints2d, depth, visible):
    return bone_geometry(joints2d, depth, ops.convert_to_tensor(visible), skeleton="mpii16")


def by_hand(joints2d, depth, visible):
    total = 0.0
    for points, z, seen in zip(joints2d.astype(float), depth.astype(float), visible, strict=True):
        for bones, ratios in PUBLISHED:
            lengths = [
                ratio * np.sqrt(((points[a] - points[b]) ** 2).sum() + (z[a] - z[b]) ** 2)
                for (a, b), ratio in zip(bones, ratios, strict=True)
                if seen[a] and seen[b]
            ]
            if lengths:
                mean = np.mean(lengths)
                total += sum((length - mean) ** 2 for length in lengths) / (2 * len(lengths))
    return total / len(joints2d)


def test_maps_are_read_in_the_cell_of_each_joint():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, SIZE, SIZE, JOINTS)).astype(np.float32)
    cells = rng.integers(0, SIZE, (2, JOINTS, 2))
    joints = (2 * (cells + rng.uniform(-0.4, 0.4, cells.shape)) / SIZE - 1).astype(np.float32)
    weight = np.ones((2, JOINTS), np.float32)
    joints[0, 1], weight[0, 2], joints[0, 2] = (1.1, 0), 0, np.nan
    values, read = (numpy(value) for value in read_maps(maps, joints, weight))
    # Channels last: the published code's flat index, (y W + x) 16 + joint.
    flat = maps.reshape(2, -1)
    for n in range(2):
        for j in range(JOINTS):
            x, y = cells[n, j]
            expected = 0 if (n, j) in ((0, 1), (0, 2)) else flat[n, (y * SIZE + x) * JOINTS + j]
            assert values[n, j] == expected
    assert list(zip(*np.nonzero(~read), strict=True)) == [(0, 1), (0, 2)]


def test_the_gradient_of_what_is_not_read_is_zero():
    maps = np.ones((1, SIZE, SIZE, 2), np.float32)
    joints, weight = np.float32([[[0, 0], [np.nan, 3]]]), np.float32([[1, 0]])
    gradient = numpy(input_gradient(lambda m: ops.sum(read_maps(m, joints, weight)[0]), maps))
    expected = np.zeros_like(maps)
    expected[0, SIZE // 2, SIZE // 2, 0] = 1
    np.testing.assert_array_equal(gradient, expected)


def test_depths_are_in_sides_of_the_crop():
    """A weak-perspective camera of scale s shows a metre as s half sides; so it shows depth."""
    rng = np.random.default_rng(1)
    joints3d = rng.normal(scale=0.4, size=(2, JOINTS, 3)).astype(np.float32)
    scales = np.float32([0.7, 1.3])
    joints2d = scales[:, None, None] * (joints3d[..., :2] + np.float32([0.1, -0.2]))
    weight2d, weight3d = np.ones((2, 2, JOINTS), np.float32)
    weight2d[0, 4], joints2d[0, 4] = 0, 9  # not labelled in the picture: its depth is known all the same
    weight3d[1, 5], joints3d[1, 5] = 0, np.nan
    depth, known = depth_targets(joints2d, weight2d, joints3d, weight3d, root=(6,))
    expected = 0.5 * scales[:, None] * (joints3d[..., 2] - joints3d[:, 6:7, 2])
    np.testing.assert_allclose(numpy(depth)[0], expected[0], atol=1e-5)
    np.testing.assert_array_equal(numpy(known).sum(axis=1), [16, 15])
    assert numpy(depth)[1, 5] == 0


@pytest.mark.parametrize("lack", ["root", "picture", "truth", "extent", "mirrored"])
def test_people_whose_depth_cannot_be_told_have_none(lack):
    """No camera is needed, but some joints that picture and truth share."""
    joints3d = np.random.default_rng(1).normal(scale=0.4, size=(1, JOINTS, 3)).astype(np.float32)
    joints2d = joints3d[..., :2].copy()
    weight2d, weight3d = np.ones((2, 1, JOINTS), np.float32)
    if lack == "root":
        weight3d[0, 6] = 0
    elif lack == "picture":
        weight2d[0, 2:] = 0
    elif lack == "truth":
        weight3d[:] = 0
    elif lack == "extent":
        joints3d[..., :2] = 0
    else:
        joints2d = -joints2d  # no camera shows it so
    depth, known = depth_targets(joints2d, weight2d, joints3d, weight3d, root=(6,))
    assert not numpy(known).any()
    assert np.isfinite(numpy(depth)).all()


def test_smooth_l1_turns_at_one():
    predicted, target = np.float32([[0.5, -3, 9, 2]]), np.float32([[0, 0, np.nan, 2]])
    loss = depth_smooth_l1(predicted, target, ops.convert_to_tensor([[True, True, False, True]]))
    assert float(loss.total) == pytest.approx(0.125 + 2.5)
    assert float(loss.count) == 3


def test_the_geometry_loss_is_the_published_sum():
    joints2d, depth, visible = people()
    assert float(geometry(joints2d, depth, visible).value) == pytest.approx(
        by_hand(joints2d, depth, visible), rel=1e-4
    )
    # Quadratic in scale, and nothing where nothing is seen.
    doubled = float(geometry(2 * joints2d, 2 * depth, visible).value)
    assert doubled == pytest.approx(4 * by_hand(joints2d, depth, visible), rel=1e-4)
    assert float(geometry(joints2d, depth, np.zeros_like(visible)).value) == 0


def test_a_body_in_proportion_costs_nothing():
    joints2d, depth = np.zeros((1, JOINTS, 2), np.float32), np.zeros((1, JOINTS), np.float32)
    names = skeletons.MPII16
    for side, sign in (("left", 1), ("right", -1)):
        for name, x, y in (
            ("hip", 0.1, 0),
            ("knee", 0.1, 0.3),
            ("ankle", 0.1, 0.3 + 0.3 / THIGH_BY_SHIN),
            ("shoulder", 0.15, -0.4),
            ("elbow", 0.15 + 0.2, -0.4),
            ("wrist", 0.15 + 0.2 + 0.2 / UPPER_ARM_BY_FOREARM, -0.4),
        ):
            joints2d[0, names.index(f"{side}_{name}")] = sign * x, y
    joints2d[0, names.index("neck")] = 0, -0.4
    everything = np.ones((1, JOINTS), bool)
    assert float(geometry(joints2d, depth, everything).value) < 1e-12
    depth[0, names.index("left_wrist")] = 0.2
    assert float(geometry(joints2d, depth, everything).value) > 1e-5


def test_the_gradient_reaches_depth_alone_and_is_exact():
    joints2d, depth, visible = people(2)
    gradient = numpy(input_gradient(lambda z: geometry(joints2d, z, visible).value, depth))
    for n, j in np.ndindex(*depth.shape):
        step = np.zeros_like(depth, np.float64)
        step[n, j] = 1e-4
        slope = (by_hand(joints2d, depth + step, visible) - by_hand(joints2d, depth - step, visible)) / 2e-4
        assert gradient[n, j] == pytest.approx(slope, abs=1e-5)
    flat = numpy(input_gradient(lambda p: geometry(p, ops.convert_to_tensor(depth), visible).value, joints2d))
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_array_equal(flat, 0)


def test_joints_in_one_place_have_a_finite_gradient():
    joints2d, depth = np.zeros((1, JOINTS, 2), np.float32), np.zeros((1, JOINTS), np.float32)
    everything = np.ones((1, JOINTS), bool)
    np.testing.assert_array_equal(
        numpy(input_gradient(lambda z: geometry(joints2d, z, everything).value, depth)), 0
    )
    joints2d[0, 0] = 0.2, 0  # a shin, and all others coincide
    gradient = numpy(input_gradient(lambda z: geometry(joints2d, z, everything).value, depth))
    assert np.isfinite(gradient).all()

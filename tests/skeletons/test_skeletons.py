"""Skeletons: the permutations and tables that follow from the names are those of the literature."""

import numpy as np
import pytest

from hpe import skeletons
from hpe.skeletons import COCO17, COCOPLUS19, H36M16, H36M17, LSP14, MPII16, SMPL24


# Index tables as HMR, SPIN and HRNet print them.
@pytest.mark.parametrize(
    ("skeleton", "flip"),
    [
        (LSP14, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]),
        (COCOPLUS19, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 16, 15, 18, 17]),
        (SMPL24, [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]),
        (COCO17, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
        (H36M17, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]),
    ],
)
def test_flip_follows_from_the_names(skeleton, flip):
    assert list(skeleton.flip) == flip


def test_parents_of_the_kinematic_chain_space_and_of_smpl():
    assert LSP14.parents == (1, 2, 8, 9, 3, 4, 7, 8, 12, 12, 9, 10, 13, -1)
    assert SMPL24.parents[:15] == (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9)
    assert SMPL24.parents[15:] == (12, 13, 14, 16, 17, 18, 19, 20, 21)


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_flipping_twice_changes_nothing_and_keeps_the_tree(skeleton):
    flip = np.array(skeleton.flip)
    assert (flip[flip] == np.arange(len(skeleton))).all()
    for child, parent in skeleton.bones:
        mirrored = skeleton.parents[flip[child]]
        assert mirrored == flip[parent]


def test_mpii_to_lsp_is_the_table_of_hmr():
    table = skeletons.convert(MPII16, LSP14)
    assert table.sources[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 8, 9]
    assert (table.sources == table.sources[:, :1]).all()
    assert (table.weights == 1).all()


def test_lsp_to_mpii_takes_midpoints():
    table = skeletons.convert(LSP14, MPII16)
    joints = np.random.default_rng(0).normal(size=(14, 2))
    converted = table.coordinates(joints)
    np.testing.assert_allclose(converted[6], (joints[2] + joints[3]) / 2)
    np.testing.assert_allclose(converted[7], (joints[8] + joints[9]) / 2)
    np.testing.assert_allclose(converted[[8, 9]], joints[[12, 13]])


def test_coco_to_cocoplus_lacks_neck_and_head_top():
    table = skeletons.convert(COCO17, COCOPLUS19)
    assert np.flatnonzero(table.weights == 0).tolist() == [12, 13]
    assert table.sources[:12, 0].tolist() == [16, 14, 12, 11, 13, 15, 10, 8, 6, 5, 7, 9]
    assert (table.coordinates(np.ones((17, 2)))[12:14] == 0).all()


def test_human36m_without_the_nose_is_what_martinez_lifts():
    table = skeletons.convert(H36M17, H36M16)
    assert table.sources[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16]
    assert H36M16.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14)


def test_human36m_to_lsp_is_the_table_of_hmr():
    table = skeletons.convert(H36M17, LSP14)
    assert table.sources[:, 0].tolist() == [3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10]
    assert (table.weights == 1).all()


def test_the_spine_of_lsp_is_midway_between_two_midpoints():
    table = skeletons.convert(LSP14, H36M16)
    joints = np.random.default_rng(0).normal(size=(14, 2))
    assert (table.weights == 1).all()
    np.testing.assert_allclose(table.coordinates(joints)[7], joints[[2, 3, 8, 9]].mean(axis=0))
    visibility = np.ones(14)
    visibility[9] = 0
    np.testing.assert_array_equal(np.flatnonzero(table.confidences(visibility) == 0), [7, 8, 10])


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_conversion_to_itself_keeps_every_bit(skeleton):
    joints = np.random.default_rng(0).normal(size=(5, len(skeleton), 3)).astype(np.float32)
    np.testing.assert_array_equal(skeletons.convert(skeleton, skeleton).coordinates(joints), joints)


def test_a_midpoint_is_as_visible_as_its_weaker_end():
    visibility = np.ones(14)
    visibility[LSP14.index("left_hip")] = 0
    assert skeletons.convert(LSP14, MPII16).confidences(visibility)[6] == 0


def test_unknown_names_say_what_is_known():
    with pytest.raises(ValueError, match="lsp14"):
        skeletons.get("lsp")
    with pytest.raises(ValueError, match="right_ankle"):
        LSP14.index("tail")

"""Skeletons: the permutations and tables that follow from the names are those of the literature."""

import pathlib

import numpy as np
import pytest

from hpe import skeletons
from hpe.skeletons import COCO17, COCOPLUS19, H36M16, H36M17, LSP14, MPII16, SMPL24, document, parts

_OPENPOSE_FLIP = [
    *(0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17),
    *(22, 23, 24, 19, 20, 21),
]
_SPIN_FLIP = [*(5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18, 19), *(21, 20, 23, 22)]


# Index tables as HMR, SPIN and HRNet print them.
@pytest.mark.parametrize(
    ("skeleton", "flip"),
    [
        (LSP14, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13]),
        (COCOPLUS19, [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 16, 15, 18, 17]),
        (SMPL24, [0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22]),
        (COCO17, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]),
        (H36M17, [0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13]),
        (skeletons.OPENPOSE25, _OPENPOSE_FLIP),
        (skeletons.SPIN24, _SPIN_FLIP),
        (skeletons.SPIN49, [*_OPENPOSE_FLIP, *(25 + joint for joint in _SPIN_FLIP)]),
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
    table = skeletons.convert(COCO17, COCOPLUS19, missing=True)
    assert table.missing == ("neck", "head_top")
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


def test_the_spine_of_lsp_is_midway_between_the_hips_and_the_neck():
    """Human3.6M's thorax is where the neck begins: LSP's neck is 0.03 m from it, the shoulders' middle 0.06 m."""
    table = skeletons.convert(LSP14, H36M16)
    joints = np.random.default_rng(0).normal(size=(14, 2))
    assert (table.weights == 1).all()
    hips = joints[[2, 3]].mean(axis=0)
    np.testing.assert_allclose(table.coordinates(joints)[7], (hips + joints[12]) / 2)
    np.testing.assert_array_equal(table.coordinates(joints)[8], joints[12])
    visibility = np.ones(14)
    visibility[12] = 0
    np.testing.assert_array_equal(np.flatnonzero(table.confidences(visibility) == 0), [7, 8])


def test_human36m_to_mpii_puts_thorax_and_neck_on_two_points():
    """MPII's thorax lies between the shoulders, and its neck where Human3.6M's thorax is."""
    table = skeletons.convert(H36M17, MPII16)
    joints = np.random.default_rng(0).normal(size=(17, 3))
    converted = table.coordinates(joints)
    np.testing.assert_allclose(
        converted[MPII16.index("thorax")],
        joints[[H36M17.index(f"{side}_shoulder") for side in ("left", "right")]].mean(axis=0),
    )
    np.testing.assert_array_equal(converted[MPII16.index("neck")], joints[H36M17.index("thorax")])
    assert {match.target: match.bias for match in table.stand_ins} == {
        "thorax": 0.02,
        "neck": 0.03,
        "head_top": 0.11,
    }


# The tables of pose-hg-3d (src/lib/datasets/h36m.py) and SPIN (datasets/preprocess).
def test_tables_of_pose_hg_3d():
    table = skeletons.convert(H36M17, MPII16, table="pose_hg_3d")
    assert table.sources[:, 0].tolist() == [3, 2, 1, 4, 5, 6, 0, 7, 8, 10, 16, 15, 14, 11, 12, 13]
    back = skeletons.convert(MPII16, H36M17)
    joints = np.random.default_rng(0).normal(size=(16, 2))
    expected = joints[[6, 2, 1, 0, 3, 4, 5, 7, 8, 9, 9, 13, 14, 15, 12, 11, 10]]
    expected[7], expected[9] = (expected[0] + expected[8]) / 2, (expected[8] + expected[10]) / 2
    np.testing.assert_allclose(back.coordinates(joints), expected)


@pytest.mark.parametrize(
    ("source", "taken", "scattered"),
    [
        ("coco17", range(17), [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]),
        (
            "mpi_inf_3dhp28",
            [4, 18, 19, 20, 23, 24, 25, 3, 5, 6, 7, 9, 10, 11, 14, 15, 16],
            [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6],
        ),
        # Of the 32 joints SPIN takes 24 for the neck, which is the same point as 13, the thorax.
        ("h36m17_left", range(17), [14, 3, 4, 5, 2, 1, 0, 16, 12, 17, 18, 9, 10, 11, 8, 7, 6]),
        ("lsp14", range(14), range(14)),
    ],
)
def test_tables_of_spin(source, taken, scattered):
    table = skeletons.convert(skeletons.get(source), skeletons.SPIN24, table="spin", missing=True)
    expected = dict(zip(scattered, taken, strict=True))
    found = {place: int(table.sources[place, 0]) for place in np.flatnonzero(table.weights)}
    assert found == expected
    assert (table.sources == table.sources[:, :1]).all()


def test_3dhp_to_lsp_is_the_table_of_hmr():
    table = skeletons.convert(skeletons.MPI_INF_3DHP28, LSP14)
    assert table.sources[:, 0].tolist() == [25, 24, 23, 18, 19, 20, 16, 15, 14, 9, 10, 11, 5, 7]


def test_left_first_human36m_is_the_table_of_hmr():
    to_lsp = skeletons.convert(skeletons.H36M17_LEFT, LSP14)
    assert to_lsp.sources[:, 0].tolist() == [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
    assert not skeletons.convert(skeletons.H36M17_LEFT, H36M17).stand_ins


def test_the_middle_of_the_shoulders_is_exact_and_the_thorax_is_not():
    table = skeletons.convert(H36M17, skeletons.H36M18, stand_ins=False)
    joints = np.random.default_rng(0).normal(size=(17, 3))
    np.testing.assert_allclose(table.coordinates(joints)[17], joints[[11, 14]].mean(axis=0))


def test_49_joints_of_spin_keep_found_and_marked_joints_apart():
    spin = skeletons.SPIN49
    assert [spin.index("op_left_hip"), spin.index("left_hip")] == [12, 28]
    # What people marked serves the last 24, what OpenPose finds the first 25.
    marked = skeletons.convert(skeletons.SPIN24, spin, missing=True)
    assert np.flatnonzero(marked.weights).tolist() == list(range(25, 49))
    found = skeletons.convert(skeletons.OPENPOSE25, spin, missing=True, stand_ins=False)
    assert np.flatnonzero(found.weights).tolist() == list(range(25))
    back = skeletons.convert(spin, skeletons.SPIN24)
    assert back.sources[:, 0].tolist() == list(range(25, 49))


def test_sides_are_words_of_a_name():
    assert skeletons.mirror_name("op_left_hip") == "op_right_hip"
    assert skeletons.mirror_name("left_hip@smpl") == "right_hip@smpl"
    assert skeletons.mirror_name("cleft_palate") == "cleft_palate"
    two = skeletons.Skeleton("two", ("op_left_hip", "op_right_hip"), (-1, 0))
    assert two.flip == (1, 0)
    with pytest.raises(ValueError, match=r"left_hip .left_hip. has no mirror image right_hip"):
        skeletons.Skeleton("one", ("left_hip",), (-1,))
    with pytest.raises(ValueError, match="has no mirror image"):
        skeletons.Skeleton("mixed", ("left_hip", "right_hip"), (-1, 0), ("left_hip@smpl", "right_hip"))


def test_missing_joints_are_an_error_unless_asked_for():
    with pytest.raises(ValueError, match="neck, head_top of lsp14 cannot be told from coco17"):
        skeletons.convert(COCO17, LSP14)
    strict = skeletons.convert(H36M17, LSP14, stand_ins=False, missing=True)
    assert strict.missing == ("neck", "head_top")
    with pytest.raises(ValueError, match=r"no table 'spin' from h36m17 to lsp14.*pose_hg_3d"):
        skeletons.convert(H36M17, LSP14, table="spin")


def test_the_nose_of_human36m_is_not_that_of_the_face():
    assert "nose" in skeletons.convert(H36M17, COCO17, missing=True).missing
    assert H36M17.point("nose") == "nose@h36m" == skeletons.SPIN24.point("jaw")


def test_aliases_and_registering():
    assert MPII16.index("upper_neck") == MPII16.index("neck")
    with pytest.raises(ValueError, match="already"):
        skeletons.register(skeletons.Skeleton("lsp14", ("nose",), (-1,)))


def test_the_page_of_joint_sets_is_that_of_the_code():
    path = pathlib.Path(__file__).parents[2] / "docs" / "skeletons.md"
    assert path.read_text() == document.to_markdown(), (
        "run: python -m hpe.skeletons.document > docs/skeletons.md"
    )


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


def test_the_parts_of_hemlets_mirror():
    assert sorted(parts.PART_FLIP) == list(range(len(parts.PARTS)))
    assert [parts.PART_FLIP[other] for other in parts.PART_FLIP] == list(range(len(parts.PARTS)))
    assert parts.PART_NAMES[parts.PART_FLIP[2]] == ("left_knee", "left_ankle")
    assert parts.PART_FLIP[6] == 6

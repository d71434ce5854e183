"""Drawn joints lie where they are said to, with the right colours."""

import numpy as np
import pytest

from hpe.skeletons import COCOPLUS19, LSP14, SKELETONS
from hpe.visualization.skeletons import dot_radius, draw_skeleton, draw_skeleton3d, joint_color


def changed_centre(picture, color):
    """The mean pixel (x, y) of what has exactly this colour."""
    rows, columns = np.nonzero((picture == color).all(axis=-1))
    return np.array([columns.mean(), rows.mean()])


def joints_far_apart():
    x, y = np.meshgrid(np.linspace(40, 360, 5), np.linspace(40, 360, 4))
    return np.stack([x.ravel(), y.ravel()], axis=1)[: len(COCOPLUS19)]


def only(joint):
    visibility = np.zeros(len(COCOPLUS19))
    visibility[COCOPLUS19.index(joint)] = 1
    return visibility


@pytest.mark.parametrize("point", [(200.0, 150.0), (200.25, 149.5), (37.75, 380.25)])
def test_joint_is_centred_to_the_sub_pixel(point):
    joints = np.zeros((19, 2))
    joints[COCOPLUS19.index("left_knee")] = point
    image = np.full((400, 400, 3), 255, np.uint8)
    picture = draw_skeleton(image, joints, COCOPLUS19, visibility=only("left_knee"))
    ink = 255.0 - picture.astype(float).mean(axis=-1)
    rows, columns = np.mgrid[:400, :400]
    centre = (ink * columns).sum() / ink.sum(), (ink * rows).sum() / ink.sum()
    np.testing.assert_allclose(centre, point, atol=0.06)


def test_only_joints_change_pixels_and_the_image_is_left_alone():
    image = np.random.default_rng(0).integers(0, 255, (300, 200, 3), dtype=np.uint8)
    before = image.copy()
    joints = np.full((19, 2), 100.0)
    picture = draw_skeleton(image, joints, COCOPLUS19, visibility=only("nose"))
    np.testing.assert_array_equal(image, before)
    changed = np.argwhere((picture != image).any(axis=-1))
    assert len(changed) > 0
    assert np.abs(changed - 100).max() <= np.ceil(dot_radius(300)) + 1


def test_invisible_joints_and_their_limbs_are_left_out_or_shown_as_rings():
    image = np.full((400, 400, 3), 255, np.uint8)
    joints = joints_far_apart()
    hidden = np.zeros(19)
    np.testing.assert_array_equal(draw_skeleton(image, joints, COCOPLUS19, visibility=hidden), image)
    rings = draw_skeleton(image, joints, COCOPLUS19, visibility=hidden, hidden=True)
    x, y = joints[3].astype(int)
    assert (rings[y, x] == 255).all()
    assert (rings[y - 6 : y + 7, x - 6 : x + 7] != 255).any()
    unlabelled = np.zeros((19, 2))
    blank = draw_skeleton(image, unlabelled, COCOPLUS19, visibility=hidden, hidden=True)
    np.testing.assert_array_equal(blank, image)


def test_limb_joins_child_and_parent():
    image = np.full((400, 400, 3), 255, np.uint8)
    joints = joints_far_apart()
    visibility = only("left_knee") + only("left_ankle")
    picture = draw_skeleton(image, joints, COCOPLUS19, visibility=visibility)
    x, y = (joints[COCOPLUS19.index("left_knee")] + joints[COCOPLUS19.index("left_ankle")]).astype(int) // 2
    np.testing.assert_array_equal(picture[y, x], joint_color("left_ankle"))


def test_left_is_darker_than_right():
    for skeleton in SKELETONS.values():
        for joint in skeleton.joints:
            if joint.startswith("left_"):
                right = joint.replace("left_", "right_")
                assert sum(joint_color(joint)) + 150 < sum(joint_color(right)), joint


def test_joints_that_are_not_numbers_or_far_away_do_not_crash():
    image = np.full((100, 100, 3), 255, np.uint8)
    joints = joints_far_apart()
    joints[0] = np.nan
    joints[1] = 1e12
    joints[2] = -np.inf
    picture = draw_skeleton(image, joints, COCOPLUS19, names=True, hidden=True)
    assert picture.shape == image.shape
    assert (draw_skeleton3d(np.full((19, 3), np.nan), COCOPLUS19, 64) == 250).all()


def test_names_are_written_beside_the_joint():
    image = np.full((400, 400, 3), 128, np.uint8)
    joints = np.full((19, 2), 200.0)
    plain = draw_skeleton(image, joints, COCOPLUS19, visibility=only("nose"))
    named = draw_skeleton(image, joints, COCOPLUS19, visibility=only("nose"), names=True)
    changed = np.argwhere((plain != named).any(axis=-1))
    assert len(changed) > 50
    assert (changed[:, 1] > 200).all()


def test_radius_follows_the_size():
    assert dot_radius(2000) == 20
    assert dot_radius(400) == 4
    assert dot_radius(100) == 1


def test_skeleton_in_space_turns_about_the_vertical():
    """A point far to the side moves to the middle, and keeps its height, in a view from the side."""
    joints = np.zeros((14, 3))
    joints[:, 1] = np.linspace(0.8, -0.8, 14)
    wrist = LSP14.index("left_wrist")
    joints[wrist, :2] = 0.7, 0.1
    visibility = np.zeros(14)
    visibility[[wrist, LSP14.index("right_ankle"), LSP14.index("head_top")]] = 1

    def seen(azimuth):
        view = draw_skeleton3d(joints, LSP14, 301, azimuth=azimuth, elevation=0, visibility=visibility)
        return changed_centre(view, joint_color("left_wrist")), changed_centre(view, joint_color("head_top"))

    (front, head), (side, _) = seen(0), seen(90)
    assert head[1] < 60
    assert front[0] > head[0] + 80
    assert abs(side[0] - 150) < 60
    assert abs(side[1] - front[1]) < 2

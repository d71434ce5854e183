"""Fields move with their crops as their kind says: points, cameras, bodies and lengths fit each other then."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe import fields, skeletons
from hpe.fields import Field, Kind, Needs
from hpe.geometry.crops import box_crop
from hpe.pipeline import moving

COCO = skeletons.COCOPLUS19
NEEDS = Needs((), COCO.name)
SIZE = np.array([[200, 300]])


def place(center=(50.0, 60.0), side=0.0, *, size=224, share=0.8, **jitter):
    jitter = {name: np.array([value]) for name, value in jitter.items()}
    return moving.place(np.array([center]), np.array([side]), size=size, box_share=share, **jitter)


def move(key, values, weight, placement, image_size=SIZE):
    field = key if isinstance(key, Field) else fields.get(key)
    values = np.asarray(values, np.float32)[None]
    weight = None if weight is None else np.asarray(weight, np.float32)[None]
    moved, weight = moving.move(field, values, weight, placement, image_size=image_size, needs=NEEDS)
    return moved[0], None if weight is None else weight[0]


def test_a_person_without_a_box_has_224_pixels_around_them():
    placed = place(center=(50.5, 60.5))
    np.testing.assert_allclose(placed.matrix[0] @ [50.5, 60.5, 1], [111.5, 111.5])
    assert placed.scale[0] == pytest.approx(1)
    assert place(size=64).scale[0] == pytest.approx(64 / 224)


@pytest.mark.parametrize("share", [0.5, 0.8])
@pytest.mark.parametrize("size", [64, 224])
def test_a_box_takes_its_share_of_the_crop_as_in_a_preview(size, share):
    placed = place((500.0, 500.0), 400.0, size=size, share=share)
    np.testing.assert_allclose(placed.matrix[0][:, 0], [share * size / 400, 0])
    crop = box_crop((300.5, 300.5, 400, 400), size, box_share=share)
    np.testing.assert_allclose(placed.matrix[0], crop.image_to_crop, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_every_crop_size_shows_the_same_content(angle):
    point = [10.0, 20.0, 1.0]
    shown = [
        (place(shift=(7.0, -3.0), zoom=1.1, angle=angle, size=size).matrix[0] @ point + 0.5) / size
        for size in (96, 224, 256)
    ]
    # Upright crops lie on whole pixels where they do not enlarge; here one pixel is 1 / 204 of them.
    atol = 0 if angle else 0.5 / 204
    np.testing.assert_allclose(shown[0], shown[1], atol=atol)
    np.testing.assert_allclose(shown[2], shown[1], atol=atol)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([64, 224]),
    side=st.sampled_from([0.0, 37.5, 900.0]),
    zoom=st.floats(0.8, 1.23),
    mirror=st.booleans(),
    angle=st.sampled_from([0.0, 0.7, -2.9]),
)
def test_cameras_of_the_crop_project_its_joints_onto_its_keypoints(seed, size, side, zoom, mirror, angle):
    rng = np.random.default_rng(seed)
    shape = rng.integers(60, 1200, (1, 2))
    placed = place(
        rng.uniform(0, shape[0, ::-1]),
        side,
        size=size,
        zoom=zoom,
        mirror=mirror,
        angle=angle,
        shift=(5.0, -8.0),
    )
    joints3d = rng.normal(size=(19, 3)).astype(np.float32)
    turned, _ = move("joints3d", joints3d, np.ones(19), placed)

    camera = np.array([rng.uniform(0.3, 1.5), *rng.uniform(-0.5, 0.5, 2)], np.float32)
    pixels = (camera[0] * (joints3d[:, :2] + camera[1:]) + 1) * shape.max() / 2
    keypoints, _ = move("joints2d", pixels, np.ones(19), placed)
    own, weight = move("camera", camera, 1.0, placed, shape)
    projected = own[0] * (turned[:, :2] + own[1:])
    tolerance = 1e-3 * 2 / size * max(1, np.abs(projected).max())
    np.testing.assert_allclose(keypoints, projected, atol=tolerance)
    assert weight == 1

    # The same of a pinhole camera whose pixels are not square.
    matrix = np.array([[900, 0, 320], [0, 950, 260], [0, 0, 1]], np.float32)
    away = np.array([0, 0, 6])
    points, there = joints3d + away, turned + away
    image = points @ matrix.T
    keypoints, _ = move("joints2d", image[:, :2] / image[:, 2:], np.ones(19), placed)
    intrinsics, _ = move("intrinsics", matrix, 1.0, placed)
    projected = there @ intrinsics.T
    projected = 2 * projected[:, :2] / projected[:, 2:] / size - 1
    np.testing.assert_allclose(keypoints, projected, atol=2e-3 * 2 / size * max(1, np.abs(projected).max()))


def test_an_unknown_camera_stays_unknown():
    for camera, weight in (([0, 0, 0], 1.0), ([0.9, 0.1, 0], 0.0)):
        moved, weight = move("camera", camera, weight, place())
        assert not moved.any()
        assert weight == 0


def test_mirrored_keypoints_change_place_and_side():
    joints2d = np.random.default_rng(0).uniform(0, 100, (19, 2))
    confidence = np.array([1.0] * 18 + [0.0])  # the right ear is hidden
    plain, _ = move("joints2d", joints2d, confidence, place())
    mirrored, weight = move("joints2d", joints2d, confidence, place(mirror=True))
    left, right = COCO.index("left_wrist"), COCO.index("right_wrist")
    assert mirrored[left, 0] == pytest.approx(-plain[right, 0] - 2 / 224, abs=1e-6)
    assert mirrored[left, 1] == pytest.approx(plain[right, 1])
    ear = COCO.index("left_ear")
    assert (*mirrored[ear], weight[ear]) == (0, 0, 0)
    assert plain[COCO.index("right_ear")].tolist() == [0, 0]


def test_joints_outside_the_crop_stay_and_garbage_of_hidden_ones_vanishes():
    joints2d = np.full((19, 2), 5000.0)
    joints2d[1] = np.nan
    weight = np.where(np.arange(19) == 1, 0.0, 0.3)
    keypoints, weight = move("joints2d", joints2d, weight, place())
    assert keypoints[0, 0] > 1
    assert weight[0] == np.float32(0.3)
    assert (*keypoints[1], weight[1]) == (0, 0, 0)


def test_mirrored_keypoints_of_a_mirrored_image_are_those_of_the_image():
    """Mirroring the picture first and the crop afterwards gives the crop back."""
    width = 101
    joints2d = np.random.default_rng(0).uniform(0, 100, (19, 2))
    flipped = joints2d[list(COCO.flip)]
    flipped[:, 0] = width - 1 - flipped[:, 0]
    one, _ = move("joints2d", joints2d, np.ones(19), place((40.0, 50.0), 60.0))
    other, _ = move("joints2d", flipped, np.ones(19), place((60.0, 50.0), 60.0, mirror=True))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_mirroring_twice_is_the_identity():
    pose = np.random.default_rng(0).normal(size=(2, 72))
    once = moving.mirror_pose(pose)
    assert not np.allclose(once, pose)
    np.testing.assert_array_equal(moving.mirror_pose(once), pose)


def test_a_mirrored_pose_is_the_reflection_of_every_rotation():
    pose = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    mirrored, _ = move("pose", pose.reshape(72), 1.0, place(mirror=True))
    reflection = np.diag([-1.0, 1.0, 1.0])
    expected = reflection @ Rotation.from_rotvec(pose).as_matrix() @ reflection
    expected = expected[list(skeletons.SMPL24.flip)]
    actual = Rotation.from_rotvec(mirrored.reshape(24, 3)).as_matrix()
    np.testing.assert_allclose(actual, expected, atol=1e-6)


@pytest.mark.parametrize("root", [(0, 0, 0), (np.pi, 0, 0), (0, 0, 3.1), (1e-9, 0, 0), (0.3, -2.0, 0.7)])
@pytest.mark.parametrize("angle", [0.0, 0.4, -1.5, np.pi])
def test_turned_roots_are_those_of_scipy(root, angle):
    pose = np.concatenate([root, np.arange(69)])
    turned = moving.turn_root(pose[None], np.array([angle]))[0]
    expected = Rotation.from_rotvec([0, 0, angle]) * Rotation.from_rotvec(root)
    actual = Rotation.from_rotvec(turned[:3])
    np.testing.assert_allclose(actual.as_matrix(), expected.as_matrix(), atol=1e-5)
    np.testing.assert_array_equal(turned[3:], pose[3:])


def test_a_body_that_is_not_known_stays_zero():
    moved, _ = move("pose", np.zeros(72), 0.0, place(angle=0.5))
    assert not moved.any()


def test_lengths_are_pixels_of_the_crop_and_constants_are_nobody_s():
    moved, _ = move("head_size", 20.0, None, place((9.0, 9.0), 400.0, size=250, mirror=True))
    assert moved == pytest.approx(10)


def test_points_of_a_field_of_its_own_change_sides_by_its_own_flip():
    field = Field(
        key="ears",
        shape=(2, 2),
        dtype="float32",
        kind=Kind.POINTS2D,
        weight="ears_weight",
        flip=(1, 0),
        doc="two ears",
    )
    points = np.array([[10.0, 20.0], [30.0, 40.0]])
    plain, _ = move(field, points, [1.0, 0.5], place())
    mirrored, weight = move(field, points, [1.0, 0.5], place(mirror=True))
    np.testing.assert_allclose(mirrored[::-1] * [-1, 1] - [2 / 224, 0], plain, atol=1e-6)
    assert weight.tolist() == [0.5, 1.0]


def test_lists_change_sides_and_nothing_else():
    states = np.arange(14) % 4
    for mirror in (False, True):
        moved, weight = move("part_order", states, None, place(mirror=mirror, angle=0.3))
        expected = states[list(fields.get("part_order").flip)] if mirror else states
        np.testing.assert_array_equal(moved, expected)
        assert weight is None

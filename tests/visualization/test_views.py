"""Views: what is drawn over a frame lies, to the sub-pixel, where the frame's camera sees it."""

import dataclasses

import cv2
import numpy as np
import pytest

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.geometry.cameras import frame_camera, translation_onto_pixels
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.people.person import BodyParameters, Person
from hpe.skeletons import SMPL24
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.visualization.view import View
from hpe.visualization.views import close_up, draw_people, person_panel

# With a long lens the weak-perspective pictures of synthetic people are those of the pinhole camera.
LONG, NORMAL = 1e5, None
# The views that people of any system have.
OF_ALL = [view for view in View if view is not View.ATTENTION]


def seen_by(focal, sample, vertices, data):
    """The person of a synthetic sample as a camera of this focal length sees it."""
    camera = frame_camera((256, 256), focal=focal)
    translation = translation_onto_pixels(sample.joints3d, sample.joints2d, camera)
    return Person(
        box=(0.0, 0.0, 256.0, 256.0),
        score=1.0,
        track_id=None,
        joints2d=np.float32(sample.joints2d),
        confidence=np.ones(19, np.float32),
        skeleton="cocoplus19",
        joints3d=np.float32(sample.joints3d + translation),
        joints3d_skeleton="cocoplus19",
        vertices=np.float32(vertices + translation),
        faces=data.faces,
        camera=camera,
        translation=np.float32(translation),
        body=BodyParameters(data.name, np.zeros((24, 3, 3)), np.zeros(10)),
    )


@pytest.fixture(scope="module")
def scene():
    """A synthetic person's sample, frame, mask, and its Persons by focal length."""
    data = load_body_model()
    sample = generate(5, SyntheticConfig(image_size=256, seed=3), data)
    frame = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    mask = cv2.imdecode(np.frombuffer(sample.mask, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
    rotmats = axis_angle_to_rotmat(sample.pose.reshape(1, 24, 3))
    vertices = np.asarray(BodyModel(data)(rotmats, sample.shape[None])["vertices"])[0]
    people = {focal: seen_by(focal, sample, vertices, data) for focal in (LONG, NORMAL)}
    return np.ascontiguousarray(frame), mask, people


def drawn(picture, frame):
    return np.abs(picture.astype(int) - frame).max(axis=-1)


def markers(centers, radius):
    """Small octahedra (V, 3), (F, 3) around points (N, 3)."""
    corners = radius * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = np.array([[a, b, c] for a in (0, 1) for b in (2, 3) for c in (4, 5)])
    vertices = (np.asarray(centers)[:, None] + corners).reshape(-1, 3)
    return vertices, np.concatenate([faces + 6 * n for n in range(len(centers))]).astype(np.int32)


def coverage(people, size=(256, 256)):
    """How much of each pixel a drawing covers, (H, W) in [0, 1]."""
    over_black, over_white = (
        draw_people(np.full((*size, 3), ground, np.uint8), people)[..., 0].astype(float)
        for ground in (0, 255)
    )
    return 1 - (over_white - over_black) / 255


def middle(covered):
    rows, columns = np.mgrid[: covered.shape[0], : covered.shape[1]]
    return np.array([(columns * covered).sum(), (rows * covered).sum()]) / covered.sum()


def test_the_mesh_lies_on_the_person(scene):
    _, mask, people = scene
    overlay = coverage([people[LONG]]) > 0.5
    assert (overlay & mask).sum() / (overlay | mask).sum() > 0.96


@pytest.mark.parametrize("focal", [LONG, NORMAL])
def test_the_mesh_lies_where_another_renderer_puts_it_that_knows_the_camera_alone(scene, focal):
    """OpenCV projects and fills, eight times finer: the silhouettes have one middle, to a tenth of a pixel."""
    person, fine = scene[2][focal], 8
    pixels, _ = cv2.projectPoints(
        person.vertices.astype(np.float64), np.zeros(3), np.zeros(3), person.camera.matrix, None
    )
    corners = np.round(fine * pixels[:, 0] + (fine - 1) / 2).astype(np.int32)
    other = np.zeros((256 * fine, 256 * fine), np.uint8)
    for face in person.faces:
        cv2.fillConvexPoly(other, corners[face], 255)
    other = other.reshape(256, fine, 256, fine).mean(axis=(1, 3)) / 255
    own = coverage([person])
    assert np.abs(middle(own) - middle(other)).max() < 0.1
    assert np.abs(own - other).mean() < 0.03 * own.mean()


def test_the_nearest_person_is_in_front(scene):
    frame, _, people = scene
    near = people[NORMAL]
    far = dataclasses.replace(near, vertices=near.vertices + np.float32([0, 0, 1]), body=None)
    alone, covered = draw_people(frame, [near]), coverage([near]) == 1
    for order in ([near, far], [far, near]):
        np.testing.assert_array_equal(draw_people(frame, order)[covered], alone[covered])


def test_the_skeleton_is_drawn_at_the_joints_that_were_found(scene):
    frame, _, people = scene
    person = people[NORMAL]
    changed = drawn(draw_people(frame, [person], view="skeleton"), frame) > 20
    for x, y in np.round(person.joints2d).astype(int):
        if 2 < x < 253 and 2 < y < 253:
            assert changed[y - 2 : y + 3, x - 2 : x + 3].any()
    assert changed.mean() < 0.2
    # A joint that was not found lies in a corner, and nothing leads there.
    lost = dataclasses.replace(person, joints2d=person.joints2d.copy(), confidence=person.confidence.copy())
    lost.joints2d[0], lost.confidence[0] = 0, 0
    changed = drawn(draw_people(np.zeros_like(frame), [lost], view="skeleton"), np.zeros_like(frame)) > 20
    assert not changed[:8, :8].any()


def test_the_views_and_their_sizes(scene):
    people = scene[2]
    wide = np.zeros((120, 301, 3), np.uint8)
    mesh, turned, both = (
        draw_people(wide, [people[NORMAL]], view=view) for view in (View.MESH, View.ROTATED, View.BOTH)
    )
    assert mesh.shape == turned.shape == wide.shape
    np.testing.assert_array_equal(both, np.concatenate([mesh, turned], axis=1))
    assert (drawn(turned, turned[:1, :1]) > 20).mean() > 0.02
    with pytest.raises(ValueError, match="sideways"):
        draw_people(wide, [], view="sideways")
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8 RGB. Received: shape=\(120, 301\)"):
        draw_people(wide[..., 0], [])


def test_from_the_side_and_from_above_people_stand_at_their_depths(scene):
    """Who is farther away stands on the right from the side, and higher up from above."""
    near = scene[2][NORMAL]
    far = dataclasses.replace(near, vertices=near.vertices + np.float32([0, 0, 3]))
    for view, axis in ((View.SIDE, 1), (View.TOP, 0)):
        places = []
        for colored in (near, far):
            others = [dataclasses.replace(p, body=None) for p in (near, far) if p is not colored]
            picture = draw_people(np.zeros((200, 200, 3), np.uint8), [*others, colored], view=view).astype(
                int
            )
            # Without the free body's name a body is light blue; the clothes are anything else.
            clothes = (picture[..., 2] <= picture[..., 0]) & (drawn(picture, picture[:1, :1]) > 10)
            places.append(np.argwhere(clothes).mean(axis=0)[axis])
        assert (places[1] - places[0]) * (1 if view is View.SIDE else -1) > 60


def test_left_limbs_are_bluer_than_right_ones():
    from hpe.visualization.views import free_body

    body, colors = load_body_model(), free_body()[1].astype(float)
    shade = {}
    for side in ("left", "right"):
        limb = body.weights[:, [SMPL24.index(f"{side}_{joint}") for joint in ("knee", "elbow")]].sum(axis=1)
        red, _, blue = colors[limb > 0.9].mean(axis=0)
        shade[side] = red - blue
    assert shade["right"] - shade["left"] > 60


@pytest.mark.parametrize("view", OF_ALL)
@pytest.mark.parametrize("shape", [(1, 1), (2, 90)])
def test_tiny_frames_and_empty_ones(scene, view, shape):
    frame = np.zeros((*shape, 3), np.uint8)
    for people in ([scene[2][NORMAL]], []):
        picture = draw_people(frame, people, view=view)
        assert picture.shape == (shape[0], shape[1] * (2 if view is View.BOTH else 1), 3)


def bare(person):
    return dataclasses.replace(person, vertices=None, faces=None, body=None)


@pytest.mark.parametrize("view", OF_ALL)
def test_people_without_a_mesh_show_skeletons(scene, view):
    frame, _, people = scene
    person = bare(people[NORMAL])
    picture = draw_people(frame, [person, person], view=view)
    assert picture.shape[0] == 256
    assert picture.std() > 5
    if view is View.MESH:
        np.testing.assert_array_equal(picture, draw_people(frame, [person, person], view="skeleton"))


def test_a_3d_skeleton_turns(scene):
    frame, _, people = scene
    person = bare(people[NORMAL])
    first, second = (draw_people(frame, [person], view=View.BOTH, azimuth=degrees) for degrees in (0, 90))
    width = frame.shape[1]
    np.testing.assert_array_equal(first[:, :width], second[:, :width])
    assert (first[:, width:] != second[:, width:]).any()


@pytest.mark.parametrize("view", OF_ALL)
def test_people_of_2d_joints_alone_show_them_in_every_view(scene, view):
    frame, _, people = scene
    flat = dataclasses.replace(bare(people[NORMAL]), joints3d=None, joints3d_skeleton=None)
    np.testing.assert_array_equal(
        draw_people(frame, [flat], view=view), draw_people(frame, [flat], view="skeleton")
    )


def test_a_panel_shows_nothing_of_what_is_outside_the_frame(scene):
    """A border that is repeated outwards makes stripes that look like part of the photograph."""
    frame, _, people = scene
    person = dataclasses.replace(people[NORMAL], box=(100.0, 20.0, 60.0, 400.0))
    panel = person_panel(frame, person, size=200)
    assert panel.shape == (200, 800, 3)
    cut, moved = close_up(frame, person, size=200)
    scale = 200 * 0.8 / 400
    outside = np.arange(200) > (255.5 - 219.5) * scale + 99.5 + 1
    assert outside.any()
    assert (cut[outside] == 250).all()
    assert (cut[~outside][:, 99] != 250).any()
    # What is projected moves with the picture.
    expected = (person.camera.project(person.vertices) - (129.5, 219.5)) * scale + 99.5
    np.testing.assert_allclose(moved.camera.project(moved.vertices), expected, atol=1e-3)
    np.testing.assert_allclose(moved.joints2d, (person.joints2d - (129.5, 219.5)) * scale + 99.5, atol=1e-3)

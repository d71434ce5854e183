"""Views: what is drawn over a frame lies, to the sub-pixel, where the joints are projected."""

import dataclasses

import cv2
import numpy as np
import pytest

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.geometry.crops import Crop
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.systems.prediction import Prediction
from hpe.visualization.views import View, draw_view

# Odd on purpose: no whole pixels anywhere.
CROP = Crop(0.8137, (-17.31, 9.77), 192)


@pytest.fixture(scope="module")
def person():
    """A synthetic person, its frame, and the prediction that is true of it, in the coordinates of CROP."""
    data = load_body_model()
    sample = generate(5, SyntheticConfig(image_size=256, seed=3), data)
    frame = cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    mask = cv2.imdecode(np.frombuffer(sample.mask, np.uint8), cv2.IMREAD_GRAYSCALE) > 0
    rotmats = axis_angle_to_rotmat(sample.pose.reshape(1, 24, 3))
    vertices = np.asarray(BodyModel(data)(rotmats, sample.shape[None])["vertices"])
    # The frame's camera maps x to (s (x + t) + 1) 128; the crop's maps it to `scale` times that plus `offset`.
    s, *t = sample.camera
    pixels_per_metre = CROP.scale * s * 128
    origin = CROP.scale * 128 * (s * np.array(t) + 1) + CROP.offset
    crop_s = 2 * pixels_per_metre / CROP.size
    camera = np.array([[crop_s, *((2 * origin / CROP.size - 1) / crop_s)]], np.float32)
    prediction = Prediction(
        skeleton="cocoplus19",
        joints2d=camera[:, None, :1] * (sample.joints3d[None, :, :2] + camera[:, None, 1:]),
        joints3d=sample.joints3d[None],
        camera=camera,
        vertices=vertices,
        faces=data.faces,
        vertex_colors=data.vertex_colors,
    )
    return sample, np.ascontiguousarray(frame), mask, prediction


def drawn(picture, frame):
    return np.abs(picture.astype(int) - frame).max(axis=-1)


def markers(centers, radius):
    """Small octahedra (V, 3), (F, 3) around points (N, 3)."""
    corners = radius * np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = np.array([[a, b, c] for a in (0, 1) for b in (2, 3) for c in (4, 5)])
    vertices = (np.asarray(centers)[:, None] + corners).reshape(-1, 3)
    return vertices, np.concatenate([faces + 6 * n for n in range(len(centers))]).astype(np.int32)


def test_projected_joints_land_on_those_of_the_frame(person):
    sample, _, _, prediction = person
    np.testing.assert_allclose(CROP.to_frame(prediction.joints2d[0]), sample.joints2d, atol=0.01)


def test_the_mesh_lies_on_the_person(person):
    _, frame, mask, prediction = person
    grey = np.zeros_like(frame)
    white = dataclasses.replace(prediction, vertex_colors=np.full_like(prediction.vertex_colors, 255))
    overlay = drawn(draw_view(View.MESH, grey, CROP, white), grey) > 60
    assert (overlay & mask).sum() / (overlay | mask).sum() > 0.97


def test_the_mesh_is_aligned_to_the_sub_pixel_with_the_joints(person):
    _, frame, _, prediction = person
    errors = []
    for joint in range(19):
        center = prediction.joints3d[0, joint]
        vertices, faces = markers(center[None], 0.08)
        marker = dataclasses.replace(
            prediction,
            vertices=vertices[None].astype(np.float32),
            faces=faces,
            vertex_colors=np.full((len(vertices), 3), 255, np.uint8),
        )
        over_black, over_white = (
            draw_view(View.MESH, np.full_like(frame, ground), CROP, marker)[..., 0].astype(float)
            for ground in (0, 255)
        )
        covered = 1 - (over_white - over_black) / 255
        rows, columns = np.mgrid[: covered.shape[0], : covered.shape[1]]
        found = np.array([(columns * covered).sum(), (rows * covered).sum()]) / covered.sum()
        expected = CROP.to_frame(prediction.joints2d[0, joint])
        errors.append(found - expected)
    # Two by two samples in a pixel round each centroid a little, in no direction in particular.
    assert np.abs(errors).max() < 0.3
    assert np.abs(np.mean(errors, axis=0)).max() < 0.05


def test_the_skeleton_is_drawn_at_the_joints(person):
    _, frame, _, prediction = person
    changed = drawn(draw_view(View.SKELETON, frame, CROP, prediction), frame) > 20
    for x, y in np.round(CROP.to_frame(prediction.joints2d[0])).astype(int):
        if 2 < x < 253 and 2 < y < 253:
            assert changed[y - 2 : y + 3, x - 2 : x + 3].any()
    assert changed.mean() < 0.2


def test_the_views_and_their_sizes(person):
    _, frame, _, prediction = person
    wide = np.zeros((120, 301, 3), np.uint8)
    mesh, turned, both = (
        draw_view(view, wide, CROP, prediction) for view in (View.MESH, View.ROTATED, View.BOTH)
    )
    assert mesh.shape == turned.shape == wide.shape
    np.testing.assert_array_equal(both, np.concatenate([mesh, turned], axis=1))
    assert (drawn(turned, turned[:1, :1]) > 20).mean() > 0.02
    assert {view.value[0] for view in View} == set("smbr")
    assert (draw_view(View.MESH, frame, CROP, prediction) != frame).any()


@pytest.mark.parametrize("view", list(View))
@pytest.mark.parametrize("shape", [(1, 1), (2, 90)])
def test_tiny_frames(person, view, shape):
    frame = np.zeros((*shape, 3), np.uint8)
    picture = draw_view(view, frame, CROP, person[3])
    assert picture.shape == (shape[0], shape[1] * (2 if view is View.BOTH else 1), 3)


@pytest.mark.parametrize("view", list(View))
def test_systems_without_a_mesh_show_skeletons(person, view):
    _, frame, _, prediction = person
    bare = dataclasses.replace(prediction, vertices=None, faces=None, vertex_colors=None, camera=None)
    picture = draw_view(view, frame, CROP, bare)
    assert picture.shape[0] == 256
    assert picture.std() > 5
    skeleton = draw_view(View.SKELETON, frame, CROP, bare)
    if view is View.MESH:
        np.testing.assert_array_equal(picture, skeleton)


def test_a_3d_skeleton_turns(person):
    _, frame, _, prediction = person
    bare = dataclasses.replace(prediction, vertices=None, faces=None, vertex_colors=None, camera=None)
    first, second = (draw_view(View.BOTH, frame, CROP, bare, azimuth=degrees) for degrees in (0, 90))
    width = frame.shape[1]
    np.testing.assert_array_equal(first[:, :width], second[:, :width])
    assert (first[:, width:] != second[:, width:]).any()


@pytest.mark.parametrize("view", list(View))
def test_systems_of_2d_joints_alone_show_them_in_every_view(person, view):
    _, frame, _, prediction = person
    flat = Prediction(prediction.skeleton, prediction.joints2d)
    np.testing.assert_array_equal(
        draw_view(view, frame, CROP, flat), draw_view(View.SKELETON, frame, CROP, prediction)
    )

"""Meshes over images agree to the sub-pixel with projected joints, and panels have their columns."""

import numpy as np
import pytest

from hpe.geometry.crops import box_crop
from hpe.skeletons import LSP14
from hpe.systems.prediction import Prediction
from hpe.visualization.meshes import composite, fitting_camera, rotated_mesh
from hpe.visualization.panels import pose_panel, prediction_panel, sample_panel
from hpe.visualization.rasterizer import Camera, weak_perspective_camera
from hpe.visualization.skeletons import draw_skeleton

OCTAHEDRON = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], np.float32)
FACES = np.array(
    [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]], np.int32
)
CAMERA = np.array([0.8, 0.131, -0.217], np.float32)
POINT = np.array([0.234, -0.345, 0.1], np.float32)


def mesh_overlay(image, vertices, faces, camera, **options):
    """A mesh over an image, seen by a weak-perspective camera whose [-1, 1] spans the longer side."""
    view = weak_perspective_camera(camera, max(image.shape[:2]))
    return composite(image, vertices, faces, view, **options)


def centre(weight):
    """The mean pixel (x, y) of a picture of weights."""
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()


def coverage(draw, size):
    """How far `draw` hides the image in every pixel: what a black and a white image have in common."""
    black, white = (draw(np.full((size, size, 3), value, np.uint8)).astype(float) for value in (0, 255))
    return 1 - (white - black).mean(axis=-1) / 255


@pytest.mark.parametrize("size", [64, 224, 301])
def test_overlay_lies_on_the_projected_joint(size):
    """A ball around a joint is drawn where p = s (X_xy + t) puts it, at any size, to the sub-pixel."""
    # Turned, as edges at 45 degrees would meet the finite grid of samples all at the same phase.
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    ball = POINT + OCTAHEDRON @ turn.T * 0.15
    drawn = coverage(lambda image: mesh_overlay(image, ball, FACES, CAMERA), size)
    expected = (CAMERA[0] * (POINT[:2] + CAMERA[1:]) + 1) * size / 2
    np.testing.assert_allclose(centre(drawn), expected, atol=0.05)


def test_panel_draws_joint_and_mesh_at_the_same_place_when_enlarged():
    ball = POINT + OCTAHEDRON * 0.1
    joints = np.zeros((1, 14, 2), np.float32) + np.nan
    joints[0, 0] = CAMERA[0] * (POINT[:2] + CAMERA[1:])
    prediction = Prediction(
        "lsp14", joints, np.zeros((1, 14, 3)), camera=CAMERA[None], vertices=ball[None], faces=FACES
    )

    def column(number):
        return lambda crop: np.split(prediction_panel(crop, prediction, 0, min_size=240), 4, axis=1)[number]

    black, white = (np.full((60, 60, 3), value, np.uint8) for value in (0, 255))
    assert prediction_panel(black, prediction, 0, min_size=240).shape == (240, 960, 3)
    expected = (joints[0, 0] + 1) * 60 / 2 * 4 + 1.5
    for number in (1, 2):
        drawn = 1 - (column(number)(white).astype(float) - column(number)(black)).mean(axis=-1) / 255
        np.testing.assert_allclose(centre(drawn), expected, atol=0.1)


def test_panel_columns():
    image = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    joints = np.linspace(-0.8, 0.8, 2 * 14 * 2).reshape(2, 14, 2)
    prediction = Prediction(
        "lsp14",
        joints,
        np.zeros((2, 14, 3)),
        camera=np.stack([CAMERA, CAMERA]),
        vertices=np.stack([OCTAHEDRON, OCTAHEDRON * 0.5]),
        faces=FACES,
        vertex_colors=np.full((6, 3), (200, 20, 20), np.uint8),
    )
    panel = prediction_panel(image, prediction, 1)
    first, second, third, fourth = np.split(panel, 4, axis=1)
    np.testing.assert_array_equal(first, image)
    np.testing.assert_array_equal(second, draw_skeleton(image, (joints[1] + 1) * 112, LSP14))
    expected = mesh_overlay(image, OCTAHEDRON * 0.5, FACES, CAMERA, vertex_colors=prediction.vertex_colors)
    np.testing.assert_array_equal(third, expected)
    assert (fourth[0, 0] == 250).all()
    assert (np.ptp(fourth.astype(int), axis=-1) > 50).any()


def test_panel_without_a_mesh_shows_the_3d_skeleton_from_two_sides():
    joints3d = np.random.default_rng(0).normal(size=(1, 17, 3))
    prediction = Prediction("lsp14", np.zeros((1, 14, 2)), joints3d, skeleton3d="h36m17")
    panel = prediction_panel(np.zeros((300, 300, 3), np.uint8), prediction, 0)
    assert panel.shape == (300, 1200, 3)
    front, turned = panel[:, 600:900], panel[:, 900:]
    assert (front != turned).any()


def test_panel_of_2d_joints_alone_has_two_columns():
    panel = prediction_panel(np.zeros((300, 300, 3), np.uint8), Prediction("lsp14", np.zeros((1, 14, 2))), 0)
    assert panel.shape == (300, 600, 3)


def test_a_lifted_pose_is_shown_beside_its_truth():
    joints3d = np.random.default_rng(0).normal(size=(2, 17, 3)).astype(np.float32)
    joints2d = np.random.default_rng(1).uniform(-0.8, 0.8, (2, 16, 2))
    prediction = Prediction("mpii16", joints2d, joints3d, skeleton3d="h36m17")
    panel = pose_panel(prediction, 1, truth=joints3d[1])
    assert panel.shape == (224, 896, 3)
    # The prediction is the truth here.
    np.testing.assert_array_equal(panel[:, 448:672], panel[:, 672:])
    assert pose_panel(prediction, 1).shape == (224, 672, 3)


def test_panel_of_a_mesh_without_camera_fits_it():
    prediction = Prediction(
        "lsp14", np.zeros((1, 14, 2)), np.zeros((1, 14, 3)), vertices=OCTAHEDRON[None] + 7, faces=FACES
    )
    panel = prediction_panel(np.zeros((224, 224, 3), np.uint8), prediction, 0)
    assert (panel[:, 672:] != 250).any()


def test_panel_refuses_a_crop_that_is_not_square():
    prediction = Prediction("lsp14", np.zeros((1, 14, 2)), np.zeros((1, 14, 3)))
    with pytest.raises(ValueError, match=r"square RGB crop. Received: shape=\(20, 30, 3\)"):
        prediction_panel(np.zeros((20, 30, 3), np.uint8), prediction, 0)


def test_overlay_leaves_the_rest_of_the_image_alone():
    image = np.random.default_rng(1).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    before = image.copy()
    picture = mesh_overlay(image, OCTAHEDRON * 0.2, FACES, (1.0, 0.0, -0.2))
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(picture[:, :40], image[:, :40])
    # The camera spans the longer side: the centre is at (60, 0.8 * 60).
    assert (picture[46:51, 58:63] != image[46:51, 58:63]).all(axis=-1).all()


@pytest.mark.parametrize("offset", [(0, 0), (-40, -25), (35, 60), (500, 0)])
def test_mesh_beyond_the_edge_is_clipped(offset):
    """The picture of a part of the image is the part of the picture."""
    image = np.random.default_rng(3).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    view = Camera(47.1, 47.1, 150.3 + offset[0], 149.2 + offset[1], perspective=False)
    whole = composite(image, OCTAHEDRON, FACES, view)
    part = composite(image[110:200, 100:190], OCTAHEDRON, FACES, view.shifted(100, 110))
    np.testing.assert_array_equal(part, whole[110:200, 100:190])


def test_vertices_without_a_place_on_the_image_do_not_crash():
    vertices = OCTAHEDRON.copy()
    vertices[0] = np.nan
    image = np.zeros((50, 50, 3), np.uint8)
    assert mesh_overlay(image, vertices, FACES, (0.5, 0, 0)).any()
    assert not mesh_overlay(image, np.full((6, 3), np.nan), FACES, (0.5, 0, 0)).any()


def test_rotation_is_about_the_vertical_through_the_mean():
    """A quarter turn makes a wide flat mesh narrow; a whole one changes nothing."""
    plate = OCTAHEDRON * np.array([1, 0.5, 0.05]) + 3

    def extent(degrees):
        camera = (0.8, -3.0, -3.0)
        rows, columns = np.nonzero(
            (rotated_mesh(plate, FACES, 200, degrees=degrees, camera=camera) != 250).any(-1)
        )
        return np.ptp(columns), np.ptp(rows), columns.mean()

    width, height, centre = extent(0)
    assert extent(360) == (width, height, centre)
    assert extent(90)[0] < 0.1 * width
    assert extent(90)[1] == pytest.approx(height, abs=8)  # Thin tips fall between pixels.
    assert extent(60)[0] == pytest.approx(width / 2, rel=0.1)
    assert extent(60)[2] == pytest.approx(centre, abs=1)


def test_fitting_camera_shows_every_vertex():
    vertices = np.random.default_rng(2).normal(size=(50, 3)) * 3 + 10
    pixels = fitting_camera(vertices, 100).project(vertices)[:, :2]
    assert pixels.min() > 0
    assert pixels.max() < 99
    assert np.ptp(pixels, axis=0).max() == pytest.approx(88)


def test_what_a_crop_shows_of_no_picture_is_plain():
    """The network sees the border repeated; stripes beside a person look like a part of the photograph."""
    picture = np.full((90, 40, 3), 77, np.uint8)
    crop = box_crop((0.0, 0.0, 40.0, 90.0), 224)
    batch = {
        "image": crop.take(picture)[None],
        "image_to_crop": crop.image_to_crop[None],
        "image_size": np.array([[90, 40]]),
    }
    prediction = Prediction("lsp14", np.full((1, 14, 2), 2.0, np.float32))
    panel = sample_panel(prediction, 0, batch)
    shown = (panel[:, :224] == 77).all(axis=-1)
    scale = 224 * 0.8 / 90
    assert shown.sum() == pytest.approx(90 * 40 * scale**2, rel=0.03)
    assert (panel[:, :224][~shown] == 250).all()
    # Of a batch that does not say where its crops lie, all is shown.
    assert (sample_panel(prediction, 0, {"image": batch["image"]})[:, :224] == 77).all()

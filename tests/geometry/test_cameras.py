import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from hpe.geometry import cameras


def test_weak_perspective_puts_the_translation_inside_the_scale():
    points = np.array([[[1.0, 2.0, 3.0], [0.0, -1.0, 9.0]]])
    projected = cameras.weak_perspective_project(points, np.array([[0.5, 0.25, -1.0]]))
    np.testing.assert_allclose(projected, [[[0.625, 0.5], [0.125, -1.0]]])


def test_doubling_the_scale_doubles_every_coordinate():
    generator = np.random.default_rng(0)
    points, camera = generator.normal(size=(3, 7, 3)), generator.normal(size=(3, 3))
    once = cameras.weak_perspective_project(points, camera)
    twice = cameras.weak_perspective_project(points, camera * [2.0, 1.0, 1.0])
    np.testing.assert_allclose(twice, 2.0 * once)


def test_a_batch_equals_its_single_items():
    generator = np.random.default_rng(1)
    points, camera = generator.normal(size=(4, 5, 3)), generator.normal(size=(4, 3))
    singles = [cameras.weak_perspective_project(points[i : i + 1], camera[i : i + 1])[0] for i in range(4)]
    np.testing.assert_allclose(cameras.weak_perspective_project(points, camera), singles)


def test_normalised_coordinates_follow_two_px_over_size_minus_one():
    np.testing.assert_allclose(
        cameras.pixels_to_normalized(np.array([0.0, 112.0, 224.0]), 224), [-1.0, 0.0, 1.0]
    )


@given(st.floats(-1e3, 1e3), st.integers(1, 4096))
def test_pixels_and_normalised_coordinates_are_inverse(pixel, size):
    back = cameras.normalized_to_pixels(cameras.pixels_to_normalized(pixel, size), size)
    np.testing.assert_allclose(back, pixel, atol=1e-9 * size + 1e-9)


def scalar_pixel(point, rotation, translation, f, c, k, p):
    """One world point, written out number by number as in the model's definition."""
    offset = [point[i] - translation[i] for i in range(3)]
    x, y, z = (sum(rotation[i][j] * offset[j] for j in range(3)) for i in range(3))
    x, y = x / z, y / z
    r2 = x * x + y * y
    radial = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3
    tilt = p[0] * y + p[1] * x
    return (
        f[0] * (x * (radial + tilt) + p[1] * r2) + c[0],
        f[1] * (y * (radial + tilt) + p[0] * r2) + c[1],
    )


# A camera like those of Human3.6M, 5 m from the origin of the world and looking at it.
_F, _C = np.array([1145.05, 1143.78]), np.array([512.54, 515.45])
_K, _P = np.array([-0.2071, 0.2478, -0.0031]), np.array([-0.0014, -0.0010])


def looking_at_the_origin(translation):
    forward = -translation / np.linalg.norm(translation)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward])


def test_perspective_projection_equals_the_scalar_formula():
    rng = np.random.default_rng(0)
    translation = np.array([2.0, 4.9, 1.5])
    rotation = looking_at_the_origin(translation)
    points = rng.uniform(-1, 1, (6, 17, 3))
    camera_points = cameras.world_to_camera(points, rotation, translation)
    assert (camera_points[..., 2] > 3).all()
    projected = cameras.perspective_project(camera_points, _F, _C, _K, _P)
    for frame, joint in np.ndindex(6, 17):
        expected = scalar_pixel(points[frame, joint], rotation, translation, _F, _C, _K, _P)
        np.testing.assert_allclose(projected[frame, joint], expected, rtol=1e-12)


def test_the_tangential_term_counts_once():
    # With x = 0.2, y = 0 and p = (0, p2) alone: x' = x + p2 x^2 + p2 r^2; OpenCV's model has 3 p2 x^2.
    point = np.array([[0.4, 0.0, 2.0]])
    projected = cameras.perspective_project(point, np.ones(2), np.zeros(2), np.zeros(3), np.array([0.0, 0.1]))
    np.testing.assert_allclose(projected, [[0.2 + 2 * 0.1 * 0.04, 0.0]])


def test_without_distortion_it_is_a_pinhole_camera():
    point = np.array([[0.5, -0.25, 2.0], [0.0, 0.0, 9.0]])
    projected = cameras.perspective_project(point, np.array([100.0, 200.0]), np.array([10.0, 20.0]))
    np.testing.assert_allclose(projected, [[35.0, -5.0], [10.0, 20.0]])


def test_every_camera_of_a_batch_has_its_own_parameters():
    rng = np.random.default_rng(1)
    points = rng.uniform(-1, 1, (3, 5, 3))
    translations = rng.normal(size=(3, 3)) + 5
    rotations = np.stack([looking_at_the_origin(translation) for translation in translations])
    f, k, p = rng.uniform(900, 1100, (3, 2)), rng.normal(0, 0.1, (3, 3)), rng.normal(0, 0.01, (3, 2))
    together = cameras.perspective_project(
        cameras.world_to_camera(points, rotations, translations), f, f / 2, k, p
    )
    for i in range(3):
        alone = cameras.world_to_camera(points[i], rotations[i], translations[i])
        alone = cameras.perspective_project(alone, f[i], f[i] / 2, k[i], p[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-12)


@pytest.mark.parametrize("angle", [math.pi / 2, math.pi, 0.7])
def test_turning_about_the_optical_axis_turns_the_picture(angle):
    # Radial distortion alone keeps this symmetry; the tangential terms break it.
    points = np.random.default_rng(2).uniform(-1, 1, (9, 3)) + np.array([0, 0, 4])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = np.concatenate([points[:, :2] @ turn.T, points[:, 2:]], axis=1)
    f, c = np.array([1000.0, 1000.0]), np.zeros(2)
    before, after = (cameras.perspective_project(x, f, c, _K, np.zeros(2)) for x in (points, turned))
    np.testing.assert_allclose(after, before @ turn.T, atol=1e-9)


def test_tensors_give_what_arrays_give():
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (2, 4, 3)).astype(np.float32)
    translation = np.array([2.0, 4.9, 1.5], np.float32)
    rotation = looking_at_the_origin(translation).astype(np.float32)
    arguments = [value.astype(np.float32) for value in (_F, _C, _K, _P)]
    expected = cameras.perspective_project(cameras.world_to_camera(points, rotation, translation), *arguments)
    tensors = [ops.convert_to_tensor(value) for value in (points, rotation, translation, *arguments)]
    found = cameras.perspective_project(cameras.world_to_camera(*tensors[:3]), *tensors[3:])
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-5)


def test_undistortion_undoes_the_projection_over_a_whole_image():
    f, c = np.array([1145.0, 1144.0]), np.zeros(2)
    k, p = np.array([-0.207, 0.248, -0.003]), np.array([-0.0014, -0.001])
    plane = np.stack(np.meshgrid(np.linspace(-0.45, 0.45, 9), np.linspace(-0.45, 0.45, 9)), axis=-1)
    points = np.concatenate([plane, np.ones((9, 9, 1))], axis=-1).reshape(-1, 3) * 4.0
    pixels = cameras.perspective_project(points, f, c, k, p)
    assert np.abs(pixels / f - plane.reshape(-1, 2)).max() > 0.005
    np.testing.assert_allclose(cameras.undistort(pixels, f, k, p), plane.reshape(-1, 2), atol=1e-7)


BODY = np.random.default_rng(3).normal(scale=(0.3, 0.6, 0.15), size=(19, 3))


@pytest.mark.parametrize("focal", [None, 300.0, 1e5])
@pytest.mark.parametrize("place", [(0.4, -0.2, 3.0), (-1.0, 0.5, 6.0)])
def test_the_translation_is_found_that_a_camera_has_seen(focal, place):
    camera = cameras.frame_camera((480, 640), focal=focal)
    place = np.array(place) * (1, 1, camera.focal[0] / 800)
    found = cameras.translation_onto_pixels(BODY, camera.project(BODY + place), camera)
    np.testing.assert_allclose(found, place, rtol=1e-6)


def test_the_translation_has_the_least_squares():
    """Of pixels that no translation fits; the reference is scipy's minimum of the same residuals."""
    from scipy.optimize import least_squares

    camera = cameras.frame_camera((480, 640), focal=700)
    rng = np.random.default_rng(0)
    pixels = camera.project(BODY + np.array([0.1, 0.2, 4.0])) + rng.normal(scale=5, size=(19, 2))
    weights = rng.uniform(0, 1, 19)
    weights[:3] = 0
    slopes = (pixels - camera.center) / camera.focal

    def residuals(translation):
        moved = BODY + translation
        return ((moved[:, :2] - slopes * moved[:, 2:]) * np.sqrt(weights)[:, None]).ravel()

    expected = least_squares(residuals, (0, 0, 3)).x
    np.testing.assert_allclose(
        cameras.translation_onto_pixels(BODY, pixels, camera, weights=weights), expected, atol=1e-5
    )


def test_nobody_is_put_behind_the_camera():
    camera = cameras.frame_camera((480, 640), focal=700)
    # Seen mirrored, as no camera could: the fit wants a negative depth.
    pixels = camera.center - (camera.project(BODY + np.array([0, 0, 4.0])) - camera.center)
    moved = BODY + cameras.translation_onto_pixels(BODY, pixels, camera)
    assert moved[:, 2].min() == pytest.approx(0.05)
    for weights in (np.zeros(19), np.eye(19)[0]):
        with pytest.raises(ValueError, match="two points that are seen at different pixels"):
            cameras.translation_onto_pixels(BODY, pixels, camera, weights=weights)
    with pytest.raises(ValueError, match="two points"):
        cameras.translation_onto_pixels(BODY, np.zeros((19, 2)), camera)


def test_the_camera_of_an_unknown_frame_has_its_diagonal_for_focal_length():
    camera = cameras.frame_camera((300, 400))
    assert camera.size == (400, 300)
    np.testing.assert_array_equal(camera.focal, (500, 500))
    np.testing.assert_array_equal(camera.center, (199.5, 149.5))

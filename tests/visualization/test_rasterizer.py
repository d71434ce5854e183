"""The rasteriser against ray casting in NumPy, its fill rule, its cameras and its speed."""

import time

import numpy as np
import pytest

from hpe.visualization.rasterizer import (
    LIGHT_BLUE,
    NEAR_PLANE,
    Camera,
    Light,
    render,
    render_mask,
    weak_perspective_camera,
)

SQUARE = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def cast_rays(vertices, faces, camera, size, labels):
    """Meets every pixel's ray with every triangle by solving for the barycentric weights and the depth."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    x = (columns.ravel() - camera.cx) / camera.fx
    y = (rows.ravel() - camera.cy) / camera.fy
    flat = np.zeros_like(x)
    origin = np.stack([flat, flat, flat] if camera.perspective else [x, y, flat], axis=-1)
    direction = np.stack([x, y, flat + 1] if camera.perspective else [flat, flat, flat + 1], axis=-1)
    depth = np.full(len(x), np.inf)
    label = np.full(len(x), -1)
    for face in faces:
        corners = vertices[face].astype(np.float64)
        system = np.zeros((len(x), 4, 4))
        system[:, :3, :3] = corners.T
        system[:, :3, 3] = -direction
        system[:, 3, :3] = 1
        goal = np.concatenate([origin, np.ones((len(x), 1))], axis=1)
        solution = np.linalg.solve(system, goal[..., None])[..., 0]
        weights, t = solution[:, :3], solution[:, 3]
        hit = (weights > 0).all(axis=1) & (t < depth)
        if camera.perspective:
            hit &= t >= NEAR_PLANE
        depth[hit] = t[hit]
        label[hit] = labels[face[weights[hit].argmax(axis=1)]]
    return depth.reshape(size), label.reshape(size)


CAMERAS = {
    "orthographic": Camera(20.0, 17.0, 23.3, 18.1, perspective=False),
    "perspective": Camera(40.0, 44.0, 25.2, 17.4, perspective=True),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
@pytest.mark.parametrize("seed", range(4))
def test_random_meshes_equal_ray_casting(camera, seed):
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(20, 1, 3)) + 0.5 * rng.normal(size=(20, 3, 3))
    # Some corners lie behind the camera, so that faces are cut at the near plane.
    vertices = vertices.reshape(60, 3).astype(np.float32) + np.float32([0, 0, 1])
    faces = np.arange(60, dtype=np.int32).reshape(-1, 3)
    labels = rng.integers(0, 1000, 60)
    size = (40, 52)

    got = render(vertices, faces, camera, size, vertex_labels=labels)
    depth, label = cast_rays(vertices, faces, camera, size, labels)

    assert 200 < got.mask.sum() < got.mask.size
    np.testing.assert_array_equal(got.mask, np.isfinite(depth))
    np.testing.assert_array_equal(got.labels, label)
    np.testing.assert_allclose(got.depth, depth, rtol=1e-5, atol=1e-6)


def test_triangles_sharing_edges_cover_every_pixel_once():
    """A jittered grid, many of whose corners and edges fall on pixel centres, is drawn one face at a time."""
    rng = np.random.default_rng(0)
    n = 9
    rows, columns = np.mgrid[:n, :n]
    grid = np.stack([columns, rows], axis=-1).astype(np.float64) * 5
    grid[1:-1, 1:-1] += rng.integers(-4, 5, (n - 2, n - 2, 2)) / 2
    vertices = np.concatenate([grid.reshape(-1, 2), np.ones((n * n, 1))], axis=1)
    first = (rows[:-1, :-1] * n + columns[:-1, :-1]).ravel()
    faces = np.concatenate(
        [
            np.stack([first, first + 1, first + n], axis=1),
            np.stack([first + n, first + 1, first + n + 1], axis=1),  # Orientation differs on purpose:
        ]
    )
    faces[::3] = faces[::3, ::-1]  # the rule may not depend on it.
    camera = Camera(1, 1, 0, 0, perspective=False)
    count = sum(render(vertices, face[None], camera, (48, 48)).mask.astype(int) for face in faces)

    # By the top-left rule the square from 0 to 40 owns its centres at 0 but not those at 40.
    expected = np.zeros((48, 48), int)
    expected[:40, :40] = 1
    np.testing.assert_array_equal(count, expected)


@pytest.mark.parametrize("offset", [(-0.45, -0.45), (0.0, 0.0), (0.45, 0.45)])
def test_marker_around_projected_point_covers_its_pixel(offset):
    """A half-pixel marker centred at a pixel centre, or off it by less than its size, covers that one."""
    camera = weak_perspective_camera((0.8, 0.1, -0.2), 64)
    column, row = 40, 13
    x, y = column + 0.5 * offset[0], row + 0.5 * offset[1]
    corners = np.array([[-0.3, -0.3], [0.3, -0.3], [0.3, 0.3], [-0.3, 0.3]]) + np.array([x, y])
    vertices = np.c_[(corners - (camera.cx, camera.cy)) / (camera.fx, camera.fy), np.zeros(4)]
    mask = render(vertices, SQUARE, camera, (64, 64)).mask
    assert np.argwhere(mask).tolist() == [[row, column]]
    np.testing.assert_allclose(camera.project(vertices)[:, :2].mean(axis=0), (x, y), atol=1e-9)


def test_nearer_surface_wins_in_any_order():
    near = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)
    vertices = np.concatenate([near, near + np.array([0, 0, 1])])
    camera = Camera(10, 10, 15, 15, perspective=False)
    labels = np.repeat([7, 8], 4)
    for faces in (np.concatenate([SQUARE, SQUARE + 4]), np.concatenate([SQUARE + 4, SQUARE])):
        got = render(vertices, faces, camera, (31, 31), vertex_labels=labels)
        assert (got.labels[got.mask] == 7).all()
        np.testing.assert_allclose(got.depth[got.mask], 1.0)


def test_perspective_depth_of_a_slanted_plane():
    vertices = np.array([[-1, -1, 1], [1, -1, 5], [1, 1, 5], [-1, 1, 1]], float)
    camera = Camera(30, 30, 30, 30)
    got = render(vertices, SQUARE, camera, (61, 61))
    x = (np.mgrid[:61, :61][1] - 30) / 30
    x[~got.mask] = 0
    exact = 3 / (1 - 2 * x)  # The plane z = 3 + 2 x met by the ray x = slope z.
    np.testing.assert_allclose(got.depth[got.mask], exact[got.mask], rtol=1e-6)


def test_weak_perspective_agrees_with_the_losses():
    from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project

    rng = np.random.default_rng(1)
    points = rng.normal(size=(1, 50, 3)).astype(np.float32)
    camera = np.array([[0.73, 0.21, -0.34]], np.float32)
    expected = np.asarray(normalized_to_pixels(weak_perspective_project(points, camera), 224))[0]
    got = weak_perspective_camera(camera[0], 224).project(points[0])
    np.testing.assert_allclose(got[:, :2] / 224, expected / 224, atol=1e-5)
    np.testing.assert_array_equal(got[:, 2], points[0, :, 2].astype(np.float64))


def test_scaled_camera_keeps_pixel_areas():
    """Rendering at twice the size and averaging blocks of four gives the coverage of the single size."""
    camera = Camera(9.3, 8.7, 15.2, 14.6, perspective=False)
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], float)
    exact = render(vertices, SQUARE, camera, (31, 31)).mask.sum()
    factor = 8
    fine = render(vertices, SQUARE, camera.scaled(factor), (31 * factor, 31 * factor)).mask
    coverage = fine.reshape(31, factor, 31, factor).mean(axis=(1, 3))
    x, y = np.meshgrid(np.arange(31), np.arange(31))
    centre = (coverage * x).sum() / coverage.sum(), (coverage * y).sum() / coverage.sum()
    np.testing.assert_allclose(centre, (15.2, 14.6), atol=0.1)
    assert abs(coverage.sum() - exact) < 40


def test_shifted_camera_shows_a_window_and_the_mask_alone_is_the_same():
    vertices, faces = ellipsoid(12, 16, radii=(1, 0.7, 0.5))
    camera = Camera(17.3, 18.1, 24.2, 26.7, perspective=False)
    whole = render(vertices, faces, camera, (52, 50)).mask
    window = render_mask(vertices, faces, camera.shifted(7, 11), (20, 30))
    np.testing.assert_array_equal(window, whole[11:31, 7:37])
    np.testing.assert_array_equal(render_mask(vertices, faces, camera, (52, 50)), whole)


def test_hostile_input_does_not_crash():
    rng = np.random.default_rng(2)
    vertices = rng.normal(size=(300, 3)).astype(np.float32)
    vertices[::5] = np.nan
    vertices[1::5] *= np.float32(1e30)
    vertices[2::5, 2] = 0
    vertices[3::5] = np.inf
    faces = rng.integers(0, 300, (500, 3)).astype(np.int32)  # Degenerate ones among them.
    for camera in CAMERAS.values():
        got = render(vertices, faces, camera, (33, 20))
        assert np.isfinite(got.depth[got.mask]).all()
    assert not render(vertices[::5], np.array([[0, 1, 2]]), CAMERAS["perspective"], (9, 9)).mask.any()
    assert not render(np.empty((0, 3)), np.empty((0, 3), int), CAMERAS["perspective"], (9, 9)).mask.any()


def test_one_bad_vertex_hides_only_its_faces():
    vertices = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [np.nan, 1, 1]], float)
    mask = render(vertices, SQUARE, Camera(10, 10, 15, 15), (31, 31)).mask
    assert mask[10, 20]
    assert not mask[20, 10]


def test_faces_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"index the 4 vertices. Received: indices 0\.\.4"):
        render(np.zeros((4, 3)), [[0, 1, 4]], CAMERAS["perspective"], (8, 8))
    with pytest.raises(ValueError, match=r"background must be shaped \(8, 8, 3\)"):
        render(np.zeros((4, 3)), SQUARE, CAMERAS["perspective"], (8, 8), background=np.zeros((8, 9, 3)))


def test_colours_and_light():
    """Lambert's law on a plane, and colours mixed between corners."""
    vertices = np.array([[-2, -2, 1], [2, -2, 1], [2, 2, 1], [-2, 2, 1]], float)
    camera = Camera(10, 10, 15, 15, perspective=False)
    light = Light((0, 1, 1), ambient=0.2, diffuse=0.5)
    brightness = 0.2 + 0.5 * np.sqrt(0.5)
    for smooth in (True, False):
        for faces in (SQUARE, SQUARE[:, ::-1]):  # Seen from behind it is lit all the same.
            got = render(vertices, faces, camera, (31, 31), light=light, smooth=smooth)
            np.testing.assert_allclose(got.color[15, 15], np.array(LIGHT_BLUE) * brightness, atol=1)

    colors = np.array([[0, 0, 0], [200, 0, 0], [200, 0, 100], [0, 0, 100]], np.uint8)
    got = render(vertices, SQUARE, camera, (31, 31), light=Light((0, 0, 1), 0.0, 1.0), vertex_colors=colors)
    np.testing.assert_allclose(got.color[5, 25], (150, 0, 25), atol=1)


def test_smooth_shading_follows_a_sphere():
    vertices, faces = ellipsoid(40, 60, radii=(1, 1, 1))
    camera = Camera(40, 40, 50, 50, perspective=False)
    light = Light((0.3, 0.5, 1.0), ambient=0.1, diffuse=0.8)
    got = render(vertices, faces, camera, (101, 101), light=light, vertex_colors=np.full((2400, 3), 250))
    x, y = np.meshgrid((np.arange(101) - 50) / 40, (np.arange(101) - 50) / 40)
    inner = x**2 + y**2 < 0.9
    normal = np.stack([x, y, -np.sqrt(np.maximum(0, 1 - x**2 - y**2))], axis=-1)
    cosine = -normal @ (np.array(light.direction) / np.linalg.norm(light.direction))
    exact = 250 * (0.1 + 0.8 * np.maximum(0, cosine))
    assert np.abs(got.color[..., 0] - exact)[inner].max() < 6


def test_culling_drops_faces_that_look_away():
    """A sphere's far half is drawn only when the near half, cut away here, does not hide it."""
    vertices, faces = ellipsoid(20, 30, radii=(1, 1, 1))
    camera = Camera(20, 20, 25, 25, perspective=False)
    far = faces[vertices[faces][:, :, 2].min(axis=1) > 0]
    assert render(vertices, far, camera, (51, 51)).mask.sum() > 900
    assert render(vertices, far, camera, (51, 51), cull=True).mask.sum() == 0
    whole = render(vertices, faces, camera, (51, 51))
    culled = render(vertices, faces, camera, (51, 51), cull=True)
    np.testing.assert_array_equal(whole.depth, culled.depth)


def test_background_shows_and_is_left_alone():
    background = np.random.default_rng(3).integers(0, 255, (31, 31, 3), dtype=np.uint8)
    before = background.copy()
    vertices = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)
    got = render(vertices, SQUARE, Camera(5, 5, 15, 15), (31, 31), background=background)
    np.testing.assert_array_equal(background, before)
    np.testing.assert_array_equal(got.color[~got.mask], background[~got.mask])
    assert (got.color[got.mask] != background[got.mask]).any()
    assert (got.labels == -1).all()


# What shared machines of continuous integration may take over the machine that the target was set on.
CI_ALLOWANCE = 2


def test_27000_triangles_in_milliseconds():
    """The target is 5 ms on one core; the fastest of many runs is the one that nothing else disturbed."""
    vertices, faces = ellipsoid(117, 116, radii=(0.5, 0.95, 0.3))
    faces = np.random.default_rng(0).permutation(faces)
    assert len(faces) > 26_900
    camera = weak_perspective_camera((0.8, 0, 0), 224)
    render(vertices, faces, camera, (224, 224))
    times = []
    for _ in range(60):
        start = time.perf_counter()
        render(vertices, faces, camera, (224, 224))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.005 * CI_ALLOWANCE


def ellipsoid(rings, segments, *, radii):
    """Returns vertices (rings * segments, 3) and outward faces of an ellipsoid around the origin."""
    u, v = np.meshgrid(
        np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, segments, endpoint=False), indexing="ij"
    )
    unit = np.stack([np.sin(u) * np.cos(v), -np.cos(u), np.sin(u) * np.sin(v)], axis=-1).reshape(-1, 3)
    ring, segment = np.meshgrid(np.arange(rings - 1), np.arange(segments), indexing="ij")
    a, b = ring * segments + segment, ring * segments + (segment + 1) % segments
    c, d = a + segments, b + segments
    faces = np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)]).reshape(-1, 3)
    return unit * radii, faces.astype(np.int32)

"""Meshes over images, and meshes seen from the side."""

from __future__ import annotations

import numpy as np

from hpe.visualization.rasterizer import Camera, blend, render, weak_perspective_camera
from hpe.visualization.resampling import average_pixels, repeat_pixels

ROTATED_DEGREES = 60  # HMR's second view
_SUPERSAMPLING = 2
_LARGE = 4_000_000  # pixels
PAPER = (250, 250, 250)


def rotated_mesh(
    vertices,
    faces,
    size: int,
    *,
    degrees: float = ROTATED_DEGREES,
    elevation: float = 0.0,
    camera=None,
    vertex_colors=None,
) -> np.ndarray:
    """Draws a mesh turned about the vertical through its mean, on white.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) triangles.
        size: side in pixels of the square picture.
        degrees: the angle.
        elevation: degrees by which the viewer stands above the mesh; 90 looks down on it.
        camera: (3,) weak-perspective camera to keep; None fits the mesh into the picture.
        vertex_colors: (V, 3) uint8 RGB; None gives the default body colour.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    vertices = np.asarray(vertices, np.float64)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    rise = np.radians(elevation)
    tilt = np.array([[1, 0, 0], [0, np.cos(rise), -np.sin(rise)], [0, np.sin(rise), np.cos(rise)]])
    mean = vertices.mean(axis=0)
    turned = (vertices - mean) @ (tilt @ turn).T + mean
    view = fitting_camera(turned, size) if camera is None else weak_perspective_camera(camera, size)
    paper = np.full((size, size, 3), PAPER, np.uint8)
    draw_mesh(paper, turned, faces, view, vertex_colors=vertex_colors)
    return paper


def fitting_camera(vertices, size: int, *, margin: float = 0.06) -> Camera:
    """Returns an orthographic camera that shows all vertices (V, 3) centred in a square of `size` pixels."""
    points = np.asarray(vertices, np.float64)[:, :2]
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return Camera(1, 1, 0, 0, perspective=False)
    lowest, highest = points.min(axis=0), points.max(axis=0)
    scale = size * (1 - 2 * margin) / max((highest - lowest).max(), 1e-6)
    cx, cy = (size - 1) / 2 - scale * (lowest + highest) / 2
    return Camera(scale, scale, cx, cy, perspective=False)


def composite(
    image: np.ndarray, vertices, faces, view: Camera, *, vertex_colors=None, light=None
) -> np.ndarray:
    """Renders a mesh over a copy of an image with smooth edges: at twice the size, then reduced.

    Args:
        image: (H, W, 3) uint8 RGB.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) triangles.
        view: camera of the image.
        vertex_colors: (V, 3) uint8 RGB; None gives the default body colour.
        light: see `rasterizer.render`.
    """
    picture = np.array(image, np.uint8)
    left, top, right, bottom = _window(view.project(vertices), picture.shape[:2])
    if right <= left or bottom <= top:
        return picture
    background = repeat_pixels(picture[top:bottom, left:right], _SUPERSAMPLING)
    rendering = render(
        vertices,
        faces,
        view.shifted(left, top).scaled(_SUPERSAMPLING),
        background.shape[:2],
        vertex_colors=vertex_colors,
        background=background,
        light=light,
    )
    picture[top:bottom, left:right] = average_pixels(rendering.color, _SUPERSAMPLING)
    return picture


def draw_mesh(picture: np.ndarray, vertices, faces, view: Camera, *, vertex_colors=None) -> None:
    """Draws a closed mesh into a picture with smooth edges, fast enough for films; see `rasterizer.blend`.

    Args:
        picture: (H, W, 3) uint8 RGB, contiguous, which is changed.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) triangles.
        view: camera of the picture.
        vertex_colors: (V, 3) uint8 RGB; None gives the default body colour.
    """
    left, top, right, bottom = _window(view.project(vertices), picture.shape[:2])
    if right <= left or bottom <= top:
        return
    # Of very large bodies nobody sees the steps.
    samples = _SUPERSAMPLING if (right - left) * (bottom - top) < _LARGE else 1
    window = np.ascontiguousarray(picture[top:bottom, left:right])
    blend(window, vertices, faces, view.shifted(left, top), samples=samples, vertex_colors=vertex_colors)
    picture[top:bottom, left:right] = window


def _window(projected, size) -> tuple[int, int, int, int]:
    """Returns left, top, right, bottom of the pixels that projected points (V, 3) can touch.

    A point that has no place on the image, as it lies behind the camera, opens the window to all of it.
    """
    height, width = size
    points = projected[:, :2]
    if not len(points) or not np.isfinite(points).all():
        return 0, 0, width, height
    left, top = np.clip(np.floor(points.min(axis=0)) - 1, 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(points.max(axis=0)) + 2, 0, (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)

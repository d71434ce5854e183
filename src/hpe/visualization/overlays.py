"""Meshes over images, meshes seen from the side, and the panel that shows a whole prediction."""

from __future__ import annotations

import numpy as np

from hpe import skeletons
from hpe.geometry.cameras import normalized_to_pixels
from hpe.prediction import Prediction
from hpe.visualization.rasterizer import Camera, render, weak_perspective_camera
from hpe.visualization.resampling import average_pixels, enlarge_points, enlarge_to, repeat_pixels
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d

ROTATED_DEGREES = 60  # HMR's second view
_SUPERSAMPLING = 2
_PAPER = (250, 250, 250)


def mesh_overlay(image: np.ndarray, vertices, faces, camera, *, vertex_colors=None) -> np.ndarray:
    """Draws a mesh over a copy of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) triangles.
        camera: (3,) weak-perspective (s, tx, ty), whose [-1, 1] spans the longer side of the image.
        vertex_colors: (V, 3) uint8 RGB; None gives the default body colour.
    """
    view = weak_perspective_camera(camera, max(image.shape[:2]))
    return composite(image, vertices, faces, view, vertex_colors=vertex_colors)


def rotated_mesh(
    vertices, faces, size: int, *, degrees: float = ROTATED_DEGREES, camera=None, vertex_colors=None
) -> np.ndarray:
    """Draws a mesh turned about the vertical through its mean, on white.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) triangles.
        size: side in pixels of the square picture.
        degrees: the angle.
        camera: (3,) weak-perspective camera to keep; None fits the mesh into the picture.
        vertex_colors: (V, 3) uint8 RGB; None gives the default body colour.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    vertices = np.asarray(vertices, np.float64)
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    mean = vertices.mean(axis=0)
    turned = (vertices - mean) @ turn.T + mean
    view = fitting_camera(turned, size) if camera is None else weak_perspective_camera(camera, size)
    paper = np.full((size, size, 3), _PAPER, np.uint8)
    return composite(paper, turned, faces, view, vertex_colors=vertex_colors)


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


def prediction_panel(
    image: np.ndarray, prediction: Prediction, index: int, *, min_size: int = 224
) -> np.ndarray:
    """Shows one person of a prediction: input | skeleton | mesh over the image | mesh turned by 60 degrees.

    Without a mesh the last two columns are the 3D skeleton as the camera sees it and turned by 60 degrees, if there
    is one.

    Args:
        image: (S, S, 3) uint8 RGB, the crop that the prediction is of.
        prediction: of a batch.
        index: which of the batch.
        min_size: smaller crops are enlarged to this many pixels first, so that drawings are readable.

    Returns:
        (H, 4 H, 3) uint8 RGB, or (H, 2 H, 3) where the prediction is of 2D joints alone.

    Raises:
        ValueError: the image is not square.
    """
    if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3:
        raise ValueError(f"image must be a square RGB crop. Received: shape={image.shape}")
    own_size = image.shape[0]
    image, factor = enlarge_to(np.asarray(image, np.uint8), min_size)
    size = image.shape[0]
    pixels = enlarge_points(normalized_to_pixels(np.asarray(prediction.joints2d[index]), own_size), factor)
    columns = [image, draw_skeleton(image, pixels, skeletons.get(prediction.skeleton))]
    if prediction.vertices is not None:
        vertices = np.asarray(prediction.vertices[index])
        mesh = {"faces": prediction.faces, "vertex_colors": prediction.vertex_colors}
        if prediction.camera is None:
            columns += [image, rotated_mesh(vertices, size=size, **mesh)]
        else:
            camera = np.asarray(prediction.camera[index])
            # The crop's own camera, carried over to the enlarged picture.
            view = weak_perspective_camera(camera, own_size).scaled(factor)
            columns.append(composite(image, vertices, view=view, **mesh))
            columns.append(rotated_mesh(vertices, size=size, camera=camera, **mesh))
    elif prediction.joints3d is not None:
        joints3d, skeleton = prediction.joints3d[index], skeletons.get(prediction.joints3d_skeleton)
        for azimuth in (0, ROTATED_DEGREES):
            columns.append(draw_skeleton3d(joints3d, skeleton, size, azimuth=azimuth))
    return np.concatenate(columns, axis=1)


def pose_panel(
    prediction: Prediction, index: int, *, truth: np.ndarray | None = None, size: int = 224
) -> np.ndarray:
    """Shows one lifted pose: 2D joints | 3D joints as the camera sees them | turned by 60 degrees | the truth so.

    Args:
        prediction: of a batch, with 3D joints; its 2D joints lie in [-1, 1].
        index: which of the batch.
        truth: (J, 3) metres, joints of the same set as the predicted ones; None leaves the last column out.
        size: side of every column in pixels.

    Returns:
        (size, 4 size, 3) uint8 RGB, or (size, 3 size, 3) without truth.
    """
    paper = np.full((size, size, 3), _PAPER, np.uint8)
    pixels = normalized_to_pixels(np.asarray(prediction.joints2d[index]), size)
    columns = [draw_skeleton(paper, pixels, skeletons.get(prediction.skeleton))]
    joints3d, skeleton = prediction.joints3d[index], skeletons.get(prediction.joints3d_skeleton)
    views = [(joints3d, 0), (joints3d, ROTATED_DEGREES)]
    if truth is not None:
        views.append((truth, ROTATED_DEGREES))
    columns += [draw_skeleton3d(joints, skeleton, size, azimuth=azimuth) for joints, azimuth in views]
    return np.concatenate(columns, axis=1)


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

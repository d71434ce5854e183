"""Meshes over images, meshes seen from the side, and the panel that shows a whole prediction."""

from __future__ import annotations

import numpy as np

from hpe import skeletons
from hpe.prediction import Prediction
from hpe.visualization.rasterizer import Camera, render, weak_perspective_camera
from hpe.visualization.resampling import average_pixels, enlarge_points, enlarge_to, repeat_pixels
from hpe.visualization.skeletons import draw_skeleton

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
    return _draw(image, vertices, faces, weak_perspective_camera(camera, max(image.shape[:2])), vertex_colors)


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
    return _draw(np.full((size, size, 3), _PAPER, np.uint8), turned, faces, view, vertex_colors)


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

    Args:
        image: (S, S, 3) uint8 RGB, the crop that the prediction is of.
        prediction: of a batch.
        index: which of the batch.
        min_size: smaller crops are enlarged to this many pixels first, so that drawings are readable.

    Returns:
        (H, 4 H, 3) uint8 RGB, or (H, 2 H, 3) where the prediction has no vertices.

    Raises:
        ValueError: the image is not square.
    """
    if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3:
        raise ValueError(f"image must be a square RGB crop. Received: shape={image.shape}")
    own_size = image.shape[0]
    image, factor = enlarge_to(np.asarray(image, np.uint8), min_size)
    size = image.shape[0]
    pixels = enlarge_points((np.asarray(prediction.joints2d[index]) + 1) * own_size / 2, factor)
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
            columns.append(_draw(image, vertices, view=view, **mesh))
            columns.append(rotated_mesh(vertices, size=size, camera=camera, **mesh))
    return np.concatenate(columns, axis=1)


def _draw(image, vertices, faces, view: Camera, vertex_colors) -> np.ndarray:
    """Renders over an image at twice its size and reduces the result, which smooths the edges."""
    background = repeat_pixels(np.asarray(image, np.uint8), _SUPERSAMPLING)
    rendering = render(
        vertices,
        faces,
        view.scaled(_SUPERSAMPLING),
        background.shape[:2],
        vertex_colors=vertex_colors,
        background=background,
    )
    return average_pixels(rendering.color, _SUPERSAMPLING)

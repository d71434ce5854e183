"""What preview shows of a frame: skeleton, mesh, mesh beside its turned self, or the turned mesh alone."""

from __future__ import annotations

import enum

import numpy as np

from hpe import skeletons
from hpe.geometry.crops import Crop
from hpe.systems.prediction import Prediction
from hpe.visualization.meshes import ROTATED_DEGREES, composite, rotated_mesh
from hpe.visualization.rasterizer import Camera
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d


class View(enum.Enum):
    """The views and their names on the command line; preview's keys are the first letters."""

    SKELETON = "skeleton"
    MESH = "mesh"
    BOTH = "both"
    ROTATED = "rotated"


def draw_view(
    view: View,
    frame: np.ndarray,
    crop: Crop,
    prediction: Prediction,
    index: int = 0,
    *,
    azimuth: float = ROTATED_DEGREES,
) -> np.ndarray:
    """Draws one person over a frame.

    Args:
        view: what to draw.
        frame: (H, W, 3) uint8 RGB.
        crop: the crop that `prediction` was made from.
        prediction: predictions of crops; `index` is drawn.
        azimuth: degrees by which the turned body is turned about the vertical.

    Returns:
        (H, W', 3) uint8 RGB; twice as wide for `View.BOTH`. Systems without a mesh show the 3D skeleton instead,
        and the 2D skeleton alone if they have no 3D joints either.
    """
    if view is View.SKELETON or (prediction.vertices is None and prediction.joints3d is None):
        return draw_skeleton(
            frame, crop.to_frame(prediction.joints2d[index]), skeletons.get(prediction.skeleton)
        )
    if view is View.MESH:
        return _mesh_over(frame, crop, prediction, index)
    turned = _turned(frame.shape[:2], prediction, index, azimuth)
    if view is View.ROTATED:
        return turned
    return np.concatenate([_mesh_over(frame, crop, prediction, index), turned], axis=1)


def _mesh_over(frame, crop, prediction, index):
    if prediction.vertices is None or prediction.camera is None:
        return draw_view(View.SKELETON, frame, crop, prediction, index)
    pixels_per_metre, cx, cy = crop.frame_camera(prediction.camera[index])
    camera = Camera(pixels_per_metre, pixels_per_metre, cx, cy, perspective=False)
    return composite(
        frame,
        prediction.vertices[index],
        prediction.faces,
        camera,
        vertex_colors=prediction.vertex_colors,
    )


def _turned(size, prediction, index, azimuth):
    """Returns the turned body on a plain picture of (height, width)."""
    side = min(size)
    if prediction.vertices is None:
        skeleton = skeletons.get(prediction.joints3d_skeleton)
        square = draw_skeleton3d(prediction.joints3d[index], skeleton, side, azimuth=azimuth)
    else:
        square = rotated_mesh(
            prediction.vertices[index],
            prediction.faces,
            side,
            degrees=azimuth,
            vertex_colors=prediction.vertex_colors,
        )
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = square[0, 0]
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    picture[top : top + side, left : left + side] = square
    return picture

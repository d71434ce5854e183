"""Panels that show a whole prediction, by what it holds: of a crop, or of a pose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpe import skeletons
from hpe.geometry.cameras import normalized_to_pixels
from hpe.systems.prediction import Prediction
from hpe.visualization.grids import grid
from hpe.visualization.meshes import PAPER, ROTATED_DEGREES, composite, rotated_mesh
from hpe.visualization.rasterizer import weak_perspective_camera
from hpe.visualization.resampling import enlarge_points, enlarge_to
from hpe.visualization.skeletons import draw_skeleton, draw_skeleton3d


def sample_panel(prediction: Prediction, index: int, batch: Mapping[str, Any]) -> np.ndarray:
    """Shows one sample of a batch: over its crop if it has one, else beside the true pose.

    Where the batch tells what of a crop lies outside of its picture, that is plain: the network sees the border
    repeated there, which looks like a part of the picture.

    Args:
        prediction: of the batch.
        index: which of the batch.
        batch: of the fields of docs/fields.md; `image`, or the 3D joints that belong to 2D joints.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    if "image" in batch:
        image = np.asarray(batch["image"][index])
        if "image_to_crop" in batch and "image_size" in batch:
            outside = _outside(batch["image_to_crop"][index], batch["image_size"][index], len(image))
            image = np.where(outside[..., None], np.uint8(PAPER), image)
        return prediction_panel(image, prediction, index)
    truth = np.asarray(batch["joints3d"][index]) if "joints3d" in batch else None
    return pose_panel(prediction, index, truth=truth)


def _outside(image_to_crop, image_size, size: int) -> np.ndarray:
    """Returns which pixels (size, size) of a crop show nothing of its picture of (height, width)."""
    matrix = np.asarray(image_to_crop, np.float64)
    rows, columns = np.mgrid[:size, :size]
    places = np.stack([columns, rows], axis=-1) - matrix[:, 2]
    x, y = np.moveaxis(places @ np.linalg.inv(matrix[:, :2]).T, -1, 0)
    height, width = (float(side) for side in image_size)
    # Centres of pixels lie at integers, so that the picture begins half a pixel before 0.
    return (x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)


def batch_picture(prediction: Prediction, batch: Mapping[str, Any]) -> np.ndarray:
    """Shows the samples of a batch below each other, (H, W, 3) uint8 RGB; see `sample_panel`."""
    return grid([sample_panel(prediction, index, batch) for index in range(len(prediction))], columns=1)


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
    paper = np.full((size, size, 3), PAPER, np.uint8)
    pixels = normalized_to_pixels(np.asarray(prediction.joints2d[index]), size)
    columns = [draw_skeleton(paper, pixels, skeletons.get(prediction.skeleton))]
    joints3d, skeleton = prediction.joints3d[index], skeletons.get(prediction.joints3d_skeleton)
    views = [(joints3d, 0), (joints3d, ROTATED_DEGREES)]
    if truth is not None:
        views.append((truth, ROTATED_DEGREES))
    columns += [draw_skeleton3d(joints, skeleton, size, azimuth=azimuth) for joints, azimuth in views]
    return np.concatenate(columns, axis=1)

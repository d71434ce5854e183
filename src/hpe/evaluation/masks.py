"""Predicted and true silhouettes of the same pixels: of the crops, and of the whole pictures they were cut from."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hpe.evaluation.judged import Judged
from hpe.visualization.rasterizer import Camera, render_mask, weak_perspective_camera

# Masks of records are 255 where the person is, JPEG's noise aside.
_PERSON = 128


def masks_of_crops(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """Returns predicted and true masks (n, S, S) bool; rows without a true mask are empty in both."""
    target = (judged.batch["silhouette"] > 0) & (judged.batch["silhouette_weight"] > 0)[:, None, None]
    predicted = np.zeros_like(target)
    for row in np.flatnonzero(target.any(axis=(1, 2))):
        predicted[row] = _rendered(judged, row, _view(judged, row), target[row].shape)
    return predicted, target


def overlaps(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Counts pixels of masks (H, W).

    Returns:
        (4,) float64: person in both, predicted alone, true alone, in neither. NaN where the true mask is empty:
        whoever made it has not found the person.
    """
    if not target.any():
        return np.full(4, np.nan)
    both = np.count_nonzero(predicted & target)
    alone, missed = np.count_nonzero(predicted) - both, np.count_nonzero(target) - both
    return np.array([both, alone, missed, target.size - both - alone - missed], np.float64)


def overlaps_of_pictures(judged: Judged) -> np.ndarray:
    """Returns `overlaps` (n, 4) of the whole pictures as they are stored, whatever lies outside the crop."""
    found = np.full((len(judged), 4), np.nan)
    for row, content in enumerate(judged.batch["silhouette_file"]):
        if not len(content) or not judged.batch["silhouette_weight"][row]:
            continue
        target = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) >= _PERSON
        if target.any():
            view = _in_picture(_view(judged, row), judged.batch["image_to_crop"][row])
            found[row] = overlaps(_rendered(judged, row, view, target.shape), target)
    return found


def _view(judged: Judged, row: int) -> Camera:
    return weak_perspective_camera(judged.prediction.camera[row], judged.size)


def _rendered(judged: Judged, row: int, view: Camera, shape) -> np.ndarray:
    return render_mask(judged.prediction.vertices[row], judged.prediction.faces, view, shape)


def _in_picture(view: Camera, image_to_crop: np.ndarray) -> Camera:
    """Returns the camera of the picture whose crop `view` shows; crops of an evaluation are not turned."""
    (a, _, x), (_, d, y) = np.asarray(image_to_crop, np.float64)
    return dataclasses.replace(
        view, fx=view.fx / a, fy=view.fy / d, cx=(view.cx - x) / a, cy=(view.cy - y) / d
    )

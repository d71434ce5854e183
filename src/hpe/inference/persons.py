"""What a system says about a crop becomes a Person in the pixels and the camera of the frame."""

from __future__ import annotations

import numpy as np

from hpe import skeletons
from hpe.geometry.camera_space import restore_camera_space
from hpe.geometry.cameras import PinholeCamera, translation_onto_pixels, weak_perspective_project
from hpe.geometry.crops import Crop
from hpe.people.person import BodyParameters, CropMaps, Person
from hpe.skeletons.parts import BoneLengths
from hpe.systems.prediction import Prediction, is_found


def person_of(
    prediction: Prediction,
    index: int,
    *,
    crop: Crop,
    camera: PinholeCamera,
    box: tuple[float, float, float, float],
    score: float = 1.0,
    body_model: str | None = None,
) -> Person:
    """Places one person of a prediction in its frame.

    The system's weak-perspective camera says at which pixels the 3D joints are seen; without one the 2D
    joints say it of those joints that both skeletons have. The translation is the one with which the frame's
    camera sees them there. Of a system that finds pixels and depths, x and y follow from the frame's camera,
    too, and the distance from the lengths of bones.

    Args:
        prediction: of a batch of crops.
        index: which of the batch.
        crop: where in the frame the crop lies.
        camera: of the frame.
        box: (x, y, width, height) in pixels of the frame that the crop was made for.
        score: how sure the detector of the box is.
        body_model: name of the body that pose and shape are of.
    """
    joints2d = crop.to_frame(prediction.joints2d[index])
    confidence = prediction.confidence
    confidence = np.ones(len(joints2d), np.float32) if confidence is None else confidence[index]
    body = None
    if prediction.pose is not None and prediction.shape is not None and body_model is not None:
        body = BodyParameters(body_model, prediction.pose[index], prediction.shape[index])
    person = {
        "box": tuple(float(number) for number in box),
        "score": float(score),
        "track_id": None,
        "joints2d": joints2d.astype(np.float32),
        "confidence": np.asarray(confidence, np.float32),
        "skeleton": prediction.skeleton,
        "camera": camera,
        "body": body,
        "maps": {
            name: CropMaps(layers[index], _cells_to_frame(crop, layers.shape[1:3]))
            for name, layers in prediction.maps.items()
        },
    }
    if prediction.joints3d is None:
        return Person(**person)
    joints3d = np.asarray(prediction.joints3d[index], np.float64)
    vertices = None if prediction.vertices is None else np.asarray(prediction.vertices[index], np.float64)
    shared3d, shared2d = shared_joints(prediction.joints3d_skeleton, prediction.skeleton)
    seen = np.asarray(is_found(confidence), np.float64)[shared2d]
    by_bones = prediction.bones is not None and np.count_nonzero(seen) > 1
    if by_bones:
        joints3d = _by_bones(joints3d, joints2d, is_found(confidence), prediction.bones, camera)
    if by_bones or prediction.camera is None:
        points, pixels, weights = joints3d[shared3d], joints2d[shared2d], seen
    else:
        points, weights = joints3d, np.ones(len(joints3d))
        projected = weak_perspective_project(joints3d[None], np.float64(prediction.camera[index])[None])[0]
        pixels = crop.to_frame(projected)
    try:
        translation = translation_onto_pixels(points, pixels, camera, weights=weights, keep=vertices)
    except ValueError:
        translation = _into_box(joints3d if vertices is None else vertices, box, camera)
    placed = joints3d + translation
    off = np.linalg.norm(camera.project(placed[shared3d]) - joints2d[shared2d], axis=1)
    return Person(
        **person,
        joints3d=placed.astype(np.float32),
        joints3d_skeleton=prediction.joints3d_skeleton,
        vertices=None if vertices is None else (vertices + translation).astype(np.float32),
        faces=prediction.faces,
        translation=translation.astype(np.float32),
        reprojection_error=float(off[seen > 0].mean()) if seen.any() else None,
    )


def shared_joints(first: str, second: str) -> tuple[list[int], list[int]]:
    """Returns the places of the points of the body that two skeletons share, in the first and in the second.

    Args:
        first, second: names of skeletons.
    """
    one, other = skeletons.get(first).points, skeletons.get(second).points
    shared = [point for point in dict.fromkeys(one) if point in other]
    return [one.index(point) for point in shared], [other.index(point) for point in shared]


def _cells_to_frame(crop: Crop, cells: tuple[int, int]) -> np.ndarray:
    """Returns the affine map (2, 3) from (rows, columns) of cells that divide a crop to pixels of the frame."""
    matrix = crop.image_to_crop
    inverse = np.linalg.inv(matrix[:, :2])
    sides = crop.size / np.array(cells[::-1], np.float64)
    # The first cell's centre lies in the middle of its pixels.
    offset = (sides - 1) / 2 - matrix[:, 2]
    return np.column_stack([inverse * sides, inverse @ offset])


def _by_bones(joints3d, joints2d, found, bones: BoneLengths, camera: PinholeCamera) -> np.ndarray:
    """Returns joints from the root, x and y by the camera of the frame; they stay where no bone was found."""
    try:
        restored = restore_camera_space(
            joints2d, joints3d[:, 2], camera, bones=bones.bones, lengths=bones.metres, found=found
        )
    except ValueError:
        return joints3d
    root = np.abs(joints3d).sum(axis=1).argmin()
    return restored - restored[root]


def _into_box(points: np.ndarray, box: tuple[float, ...], camera: PinholeCamera) -> np.ndarray:
    """Returns the translation that puts points into the middle of a box, about as large as it.

    For people of whom too little was found to say more.
    """
    x, y, width, height = box
    low, high = points.min(axis=0), points.max(axis=0)
    focal = float(camera.focal.mean())
    depth = focal * max(float((high - low)[:2].max()), 1e-3) / max(width, height)
    middle = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    across = (middle - camera.center) / camera.focal * depth
    return np.array([*across, max(depth, high[2] - low[2])]) - (low + high) / 2

"""2D joints of any detector, as a lifter wants them, and its 3D joints as Persons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpe import skeletons
from hpe.errors import UserError
from hpe.geometry.cameras import PinholeCamera, pixels_to_normalized, translation_onto_pixels
from hpe.geometry.crops import box_crop
from hpe.inference.persons import person_of, shared_joints
from hpe.people.person import Person
from hpe.systems.prediction import is_found
from hpe.systems.settings.lifter import InputFrame

if TYPE_CHECKING:
    from hpe.systems.refinement import Refinement

# The crop in which people's joints are given to a system that knows crops; any would do.
_CROP_SIZE = 256


def lift(
    predictor, joints2d, skeleton: skeletons.Skeleton, *, confidence=None, camera: PinholeCamera | None = None
) -> list[Person]:
    """Lifts people of one picture; see `hpe.inference.model.Model.predict_joints2d`."""
    system = predictor.system
    joints2d, confidence = _checked(joints2d, confidence, skeleton)
    if not len(joints2d):
        return []
    found = is_found(confidence)
    target = skeletons.get(system.input_skeleton)
    conversion = skeletons.convert(skeleton, target, missing=True)
    if conversion.missing:
        raise UserError(
            f"{system.name}: lifts {target.name}, but {', '.join(conversion.missing)} of it cannot be told from "
            f"{skeleton.name}."
        )
    shown = conversion.coordinates(np.where(found[..., None], joints2d, 0.0))
    shown[conversion.confidences(found.astype(np.float32)) == 0] = np.nan
    joints3d = np.asarray(predictor(_in_frame(shown, system, camera).astype(np.float32)).joints3d, np.float64)
    return [
        _person(joints2d[n], confidence[n], skeleton, joints3d[n], system.skeleton, camera)
        for n in range(len(joints2d))
    ]


def bodies(
    system,
    joints2d,
    skeleton: skeletons.Skeleton,
    *,
    confidence=None,
    camera: PinholeCamera | None = None,
    refinement: Refinement | None = None,
) -> list[Person]:
    """Finds the bodies of people of one picture; see `hpe.inference.model.Model.predict_joints2d`."""
    if camera is None:
        raise UserError(
            f"{system.name} places bodies in the picture's camera: say the size of the picture, "
            "size=(height, width)."
        )
    joints2d, confidence = _checked(joints2d, confidence, skeleton)
    conversion = skeletons.convert(skeleton, skeletons.get(system.detected_skeleton), missing=True)
    found = is_found(confidence)
    points = conversion.coordinates(np.where(found[..., None], joints2d, 0.0))
    scores = conversion.confidences(np.where(found, confidence, 0.0))
    if not scores.any(axis=1).all():
        person = int(np.flatnonzero(~scores.any(axis=1))[0])
        raise UserError(f"{system.name}: of person {person} no joint was found that {skeleton.name} shares.")
    people = []
    for person, (place, score) in enumerate(zip(points, scores, strict=True)):
        box = _box(joints2d[person], found[person])
        crop = box_crop(box, _CROP_SIZE)
        seen = pixels_to_normalized(crop.scale * place + np.asarray(crop.offset), crop.size)
        detections = np.concatenate([seen, score[:, None]], axis=-1)[None].astype(np.float32)
        inferred = system.infer_joints2d(detections)
        prediction = system.to_prediction(refinement(inferred) if refinement else inferred)
        (body_model,) = system.body_models
        people.append(person_of(prediction, 0, crop=crop, camera=camera, box=box, body_model=body_model))
    return people


def _box(joints2d, found) -> tuple[float, float, float, float]:
    """Returns the box (x, y, width, height) around the joints that were found."""
    seen = joints2d[found] if found.any() else np.zeros((1, 2))
    low, high = seen.min(axis=0), seen.max(axis=0)
    return tuple(float(number) for number in (*low, *np.maximum(high - low + 1, 1)))


def _checked(joints2d, confidence, skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Returns joints (N, J, 2) and confidences (N, J), 0 where a joint is not finite."""
    joints2d = np.asarray(joints2d, np.float64)
    single = joints2d.ndim == 2
    joints2d = joints2d[None] if single else joints2d
    if joints2d.size == 0:
        return np.zeros((0, len(skeleton), 2)), np.zeros((0, len(skeleton)))
    if joints2d.ndim != 3 or joints2d.shape[1:] != (len(skeleton), 2):
        raise ValueError(
            f"joints2d of {skeleton.name} are (N, {len(skeleton)}, 2). Received: shape={joints2d.shape[single:]}"
        )
    if confidence is None:
        confidence = np.ones(joints2d.shape[:2])
    confidence = np.asarray(confidence, np.float64)
    confidence = confidence[None] if single and confidence.ndim == 1 else confidence
    if confidence.shape != joints2d.shape[:2]:
        raise ValueError(
            f"confidence has one number per joint. Received: shape={confidence.shape} for {joints2d.shape[:2]}"
        )
    return joints2d, np.where(np.isfinite(joints2d).all(axis=-1), confidence, 0.0)


def _in_frame(joints2d: np.ndarray, system, camera: PinholeCamera | None) -> np.ndarray:
    """Returns pixels in the coordinates that a lifter was trained on."""
    frame = system.config.input_frame
    if frame is InputFrame.CROP:
        return joints2d
    if camera is None:
        raise UserError(
            f"this run of {system.name} looks at joints in the frame of their camera "
            f"(`input_frame={frame.value}`): say the size of the picture, size=(height, width)."
        )
    centred = joints2d - camera.center
    return centred / camera.focal if frame is InputFrame.RAY else centred


def _person(joints2d, confidence, skeleton, joints3d, skeleton3d: str, camera) -> Person:
    found = is_found(confidence)
    person = {
        "box": _box(joints2d, found),
        "score": 1.0,
        "track_id": None,
        "joints2d": joints2d.astype(np.float32),
        "confidence": confidence.astype(np.float32),
        "skeleton": skeleton.name,
        "joints3d_skeleton": skeleton3d,
    }
    if camera is None:
        return Person(**person, joints3d=joints3d.astype(np.float32))
    shared3d, shared2d = shared_joints(skeleton3d, skeleton.name)
    weights = found[shared2d].astype(np.float64)
    pixels = np.where(found[:, None], joints2d, 0.0)[shared2d]
    try:
        translation = translation_onto_pixels(
            joints3d[shared3d], pixels, camera, weights=weights, keep=joints3d
        )
    except ValueError:
        return Person(**person, joints3d=joints3d.astype(np.float32))
    placed = joints3d + translation
    off = np.linalg.norm(camera.project(placed[shared3d]) - pixels, axis=1)
    return Person(
        **person,
        joints3d=placed.astype(np.float32),
        camera=camera,
        translation=translation.astype(np.float32),
        reprojection_error=float(off[weights > 0].mean()),
    )

"""3DPW as it is released: `sequenceFiles/{train,validation,test}/*.pkl` and `imageFiles/NAME/image_00000.jpg`.

A file holds a recording of one or two people by a moving camera, for each frame F and person: `poses` (F, 72) and
`betas` of SMPL's body of their `genders`; `jointPositions` (F, 72), the 24 joints in the world, metres; `poses2d`
(F, 3, 18), OpenPose's joints with scores, zeros where nobody was found; and for each frame `cam_poses` (F, 4, 4),
world to camera, `campose_valid`, and one `cam_intrinsics` (3, 3). Poses and joints are moved into the camera frame.
Frames without a valid camera, and people of whom too few joints were detected, are left out, as by SPIN. Boxes come
from the detected joints. Pictures come at half the rate of the 60 Hz of the sensors, as `img_frame_ids` says.

That the joints are seen where people were detected, is checked for every file: one in another convention is
left out and named with the convention that fits. Source: von Marcard et al., ECCV 2018, and its readme.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import cv2
import numpy as np

from hpe import skeletons
from hpe.datasets import space
from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.pickles import load_pickle
from hpe.geometry.cameras import PinholeCamera

SPLITS = {"train": "train", "validation": "val", "test": "test"}
_RATE = 60.0
_JOINTS, _DETECTED = 24, 18
# Fewer detected joints say little of where a person is.
_LEAST_DETECTED = 6
_GENDERS = {"m": "male", "f": "female"}
# Joints that mean the same in both sets, but for a few centimetres.
_SHARED = [
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
# How far projections may lie from detections, in shares of a person's size in the picture.
_NEAR = 0.15


class _Unusable(Exception):
    """A file that cannot be used; the message is the reason."""


def pw3d(directory: str | os.PathLike, *, every: int = 1) -> list[Source]:
    """Returns the people of 3DPW.

    Args:
        directory: with `sequenceFiles/` and `imageFiles/`.
        every: takes each frame of this number.

    Returns:
        The Sources `pw3d_train`, `pw3d_val` and `pw3d_test`, as there are folders. Files that cannot be used are
        left out and named with them.

    Raises:
        UserError: if there is no such folder, or nothing in it can be used.
    """
    directory = pathlib.Path(directory)
    sources, reasons = [], []
    for folder, split in SPLITS.items():
        files = sorted(
            path
            for path in (directory / "sequenceFiles" / folder).glob("*.pkl")
            if not path.name.startswith(".")
        )
        items: list[LabelledPerson | Skipped] = []
        for path in files:
            try:
                items += _people(path, directory / "imageFiles", every)
            except (_Unusable, UserError) as error:
                reason = str(error).removeprefix(f"{path}: ").removesuffix(".")
                items.append(Skipped(path.name, reason))
                reasons.append(f"{path}: {reason}.")
        if any(isinstance(item, LabelledPerson) and item.image for item in items):
            options = {"directory": str(directory), "every": every}
            sources.append(Source(f"pw3d_{split}", "openpose18", items, load_item, options))
        elif any(isinstance(item, LabelledPerson) for item in items):
            reasons.append(f"{directory / 'imageFiles'}: holds none of the pictures of {folder}.")
    if not sources:
        raise UserError(
            reasons[0]
            if reasons
            else f"{directory}: has no sequenceFiles/{{train,validation,test}}/*.pkl of 3DPW."
        )
    return sources


def _people(path: pathlib.Path, image_dir: pathlib.Path, every: int) -> list[LabelledPerson | Skipped]:
    """Returns the people of a recording, frame by frame."""
    content = load_pickle(path)
    if not isinstance(content, dict):
        raise _Unusable("holds no recording of 3DPW")
    name = content.get("sequence")
    name = (
        name if isinstance(name, str) and name and "/" not in name and not name.startswith(".") else path.stem
    )
    cameras = _array(content, "cam_poses", (None, 4, 4))
    frames = len(cameras)
    valid = _array(content, "campose_valid", None)
    poses2d, poses, betas = (_people_of(content, key) for key in ("poses2d", "poses", "betas"))
    joints = _people_of(content, "jointPositions")
    genders = content.get("genders", content.get("gender"))
    genders = genders if isinstance(genders, list | tuple) else [genders] * len(poses)
    if not len(poses) == len(betas) == len(poses2d) == len(joints) == len(genders):
        raise _Unusable("lists of people differ in length")
    pictures = frozenset(os.listdir(image_dir / name)) if (image_dir / name).is_dir() else frozenset()
    rate = _rate(content)
    camera = _intrinsics(_array(content, "cam_intrinsics", (3, 3)))
    people = []
    for person in range(len(poses)):
        pose = _matching(poses[person], (frames, 72), "poses")
        world = _matching(joints[person], (frames, 3 * _JOINTS), "jointPositions").reshape(frames, _JOINTS, 3)
        detected = np.asarray(poses2d[person], np.float64)
        # Some copies are transposed.
        if detected.shape == (frames, _DETECTED, 3):
            detected = detected.transpose(0, 2, 1)
        detected = _matching(detected, (frames, 3, _DETECTED), "poses2d")
        if not space.are_radians(pose[np.isfinite(pose).all(axis=1)]):
            raise _Unusable(space.NO_RADIANS)
        shape = np.asarray(betas[person], np.float64).ravel()[:10]
        if shape.shape != (10,) or not np.isfinite(shape).all():
            raise _Unusable("betas are fewer than 10 numbers")
        people.append((pose, world, detected.transpose(0, 2, 1), shape, genders[person]))
    # One row for all people, or one for each.
    if not people or valid.size not in (frames, frames * len(people)):
        raise _Unusable("campose_valid has another number of frames")
    valid = np.broadcast_to(valid.reshape(-1, frames) > 0, (len(people), frames))
    _check(people, valid, cameras, camera)
    found: list[LabelledPerson | Skipped] = []
    for frame in range(0, frames, every):
        file = f"image_{frame:05d}.jpg"
        for person, parts in enumerate(people):
            title = f"{name}/{file}#{person}"
            if not valid[person, frame]:
                found.append(Skipped(title, "camera of the frame is not valid"))
                continue
            facts = {
                "sequence": name,
                "frame": frame,
                "frames_per_second": rate,
                "body_model": "smpl",
                "gender": _GENDERS.get(str(parts[4]).strip().lower()[:1], ""),
                "subject": str(person),
            }
            image = str(image_dir / name / file) if file in pictures else None
            found.append(_person(title, image, frame, parts, cameras[frame], camera, facts))
    return found


def _person(
    title, image, frame: int, parts, extrinsics, camera: PinholeCamera, facts
) -> LabelledPerson | Skipped:
    pose, world, detected, shape, _ = parts
    joints2d, scores = detected[frame, :, :2], detected[frame, :, 2]
    known = (scores > 0) & np.isfinite(detected[frame]).all(axis=1)
    if known.sum() < _LEAST_DETECTED:
        return Skipped(title, f"fewer than {_LEAST_DETECTED} joints were detected")
    rotation, offset = extrinsics[:3, :3], extrinsics[:3, 3]
    joints3d = world[frame] @ rotation.T + offset
    body = pose[frame].copy()
    body[:3] = cv2.Rodrigues(rotation @ cv2.Rodrigues(body[:3])[0])[0].ravel()
    if not np.isfinite(joints3d).all() or not np.isfinite(body).all():
        return Skipped(title, "pose or joints are not finite")
    low, high = joints2d[known].min(axis=0), joints2d[known].max(axis=0)
    return LabelledPerson(
        name=title,
        image=image,
        mask=None,
        skeleton="openpose18",
        joints2d=np.where(known[:, None], joints2d, 0).astype(np.float32),
        visibility=np.where(known, np.minimum(scores, 1), 0).astype(np.float32),
        scale=BOX_MARGIN * float((high - low).max()),
        center=(low + high) / 2,
        facts={
            **facts,
            "skeleton3d": "smpl24",
            "joints3d": joints3d.astype(np.float32),
            "confidence3d": np.ones(_JOINTS, np.float32),
            "pose": body.astype(np.float32),
            "shape": shape.astype(np.float32),
            "pinhole": PinholeCamera(
                camera.focal, camera.center, rotation=rotation, translation=-rotation.T @ offset
            ),
        },
    )


def _check(people, valid: np.ndarray, cameras: np.ndarray, camera: PinholeCamera) -> None:
    """Raises _Unusable if joints are not seen where people were detected."""
    worlds = np.concatenate([parts[1][valid[person]] for person, parts in enumerate(people)])
    if not len(worlds):
        return
    try:
        space.check_height(worlds, "jointPositions", unit="metres")
    except UserError as error:
        raise _Unusable(str(error).removesuffix(".")) from None
    ours = [skeletons.SMPL24.index(name) for name in _SHARED]
    theirs = [skeletons.OPENPOSE18.index(name) for name in _SHARED]

    def distance(read) -> float:
        found = []
        for person, (_, world, detected, _, _) in enumerate(people):
            frames = np.flatnonzero(
                valid[person] & ((detected[:, theirs, 2] > 0).sum(axis=1) >= _LEAST_DETECTED)
            )
            for frame in frames[:: max(1, len(frames) // 32)]:
                rotation, offset = read(cameras[frame])
                points = world[frame][ours] @ rotation.T + offset
                seen = detected[frame][theirs]
                known = seen[:, 2] > 0
                size = max(float(np.ptp(seen[known, :2], axis=0).max()), 1.0)
                points[points[:, 2] <= 0] = np.nan
                off = np.linalg.norm(camera.project(points)[known] - seen[known, :2], axis=1) / size
                found.append(np.median(np.nan_to_num(off, nan=10.0, posinf=10.0)))
        return float(np.median(found)) if found else 0.0

    usual = distance(lambda matrix: (matrix[:3, :3], matrix[:3, 3]))
    if usual <= _NEAR:
        return
    others = {
        "cam_poses lead from the camera to the world": lambda matrix: (
            matrix[:3, :3].T,
            -matrix[:3, :3].T @ matrix[:3, 3],
        ),
        "the rotations of cam_poses are transposed": lambda matrix: (matrix[:3, :3].T, matrix[:3, 3]),
        "cam_poses hold the camera's centre": lambda matrix: (
            matrix[:3, :3],
            -matrix[:3, :3] @ matrix[:3, 3],
        ),
        "the camera looks along -z": lambda matrix: (
            np.diag([1.0, -1, -1]) @ matrix[:3, :3],
            np.diag([1.0, -1, -1]) @ matrix[:3, 3],
        ),
    }
    fits = {words: distance(read) for words, read in others.items()}
    best = min(fits, key=fits.get)
    hint = f"; they fit if {best}" if fits[best] <= _NEAR else ""
    raise _Unusable(f"joints lie {min(usual, 10):.0%} of a person from where people were detected{hint}")


def _array(content: dict, key: str, shape: tuple[int | None, ...] | None) -> np.ndarray:
    """Returns an array of finite numbers of a shape, in which None stands for any number but 0."""
    try:
        values = np.asarray(content.get(key), np.float64)
    except (TypeError, ValueError):
        raise _Unusable(f"{key} holds no numbers") from None
    if shape is not None and (
        values.ndim != len(shape)
        or 0 in values.shape
        or any(side not in (None, found) for side, found in zip(shape, values.shape, strict=True))
    ):
        raise _Unusable(f"{key} has the shape {values.shape}")
    if not np.isfinite(values).all():
        raise _Unusable(f"{key} holds numbers that are not finite")
    return values


def _people_of(content: dict, key: str) -> list[Any]:
    value = content.get(key)
    if isinstance(value, np.ndarray) and value.ndim >= 1:
        value = list(value)
    if not isinstance(value, list | tuple):
        raise _Unusable(f"holds no {key} of people")
    return list(value)


def _matching(values: Any, shape: tuple[int, ...], key: str) -> np.ndarray:
    """Returns an array of a shape; of one that is longer by frames without picture the first."""
    try:
        values = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise _Unusable(f"{key} holds no numbers") from None
    if values.ndim != len(shape) or values.shape[1:] != shape[1:] or len(values) < shape[0]:
        raise _Unusable(f"{key} has the shape {values.shape}, where {shape} is wanted")
    return values[: shape[0]]


def _intrinsics(matrix: np.ndarray) -> PinholeCamera:
    try:
        return PinholeCamera(np.array([matrix[0, 0], matrix[1, 1]]), matrix[:2, 2])
    except ValueError:
        raise _Unusable("cam_intrinsics are no camera") from None


def _rate(content: dict) -> float:
    """Returns the frames per second of the pictures; 0 where it is unknown."""
    try:
        steps = np.diff(np.asarray(content.get("img_frame_ids"), np.float64).ravel())
    except (TypeError, ValueError):
        return 0.0
    step = float(np.median(steps)) if len(steps) else 0.0
    return _RATE / step if 0 < step < _RATE else 0.0

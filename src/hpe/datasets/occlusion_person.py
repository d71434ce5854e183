"""Occlusion-Person: people between the furniture of rendered rooms, `unrealcv_{train,validation}.pkl`.

The pickles are lists of dicts, in the folder or in `annot/`: `image` (below `images/`), `joints_2d` (15, 2) pixels,
`joints_3d` (15, 3) millimetres in the frame of the camera, `joints_vis` (15, 1 or 3): in the picture,
`joints_vis_2d`: not hidden, `center` (2,), `scale` in units of 200 px (one number or two), `subject`, `action`,
`image_id`, `video_id`, `camera_id` and `camera` with `R`, `T` (X_camera = R (X_world - T)), `fx`, `fy`, `cx`,
`cy`. Hidden joints count as labelled unless that is not wanted. Source: Zhang et al., AdaFuse (IJCV 2020).
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from hpe.datasets import space
from hpe.datasets.image_folders import ImageFolders
from hpe.datasets.mpii_json import SCALE_UNIT
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.pickles import load_pickle
from hpe.geometry.cameras import PinholeCamera
from hpe.skeletons import OCCLUSION_PERSON15 as SKELETON

_SPLITS = {"train": "train", "validation": "val"}
# AdaFuse's names of the numbers in `action`.
_ACTIONS = ("basketball", "dance", "dance2", "martial", "soccer", "boxing", "exercise")
_JOINTS = len(SKELETON)
# How far the projected joints may lie from the 2D joints, pixels in the median.
_NEAR = 5.0
_PEOPLE = 200
_LARGEST = 1e6


class _Unusable(Exception):
    """An entry that cannot be used; the message is the reason."""


def occlusion_person(directory: str | os.PathLike, *, every: int = 1, hidden: bool = True) -> list[Source]:
    """Returns the people of a folder.

    Args:
        directory: with the pickles, or with `annot/` that holds them, and `images/`.
        every: takes each entry of this number.
        hidden: takes joints behind furniture for labelled, too.

    Returns:
        The Sources `occlusion_person_train` and `occlusion_person_val`, as there are files.

    Raises:
        UserError: if there is no such file, one is damaged or in another convention, or none of its pictures is
        there.
    """
    directory = pathlib.Path(directory)
    finder = ImageFolders([directory / "images", directory])
    sources = []
    for split, name in _SPLITS.items():
        path = next(
            (
                folder / f"unrealcv_{split}.pkl"
                for folder in (directory, directory / "annot")
                if (folder / f"unrealcv_{split}.pkl").is_file()
            ),
            None,
        )
        if path is None:
            continue
        entries = load_pickle(path)
        if not isinstance(entries, list) or not entries:
            raise UserError(f"{path}: is no list of people of Occlusion-Person.")
        items: list[LabelledPerson | Skipped] = []
        for number in range(0, len(entries), every):
            try:
                items.append(_person(entries[number], finder, hidden))
            except _Unusable as error:
                items.append(Skipped(f"{path.name} entry {number}", str(error)))
        _check(items, path)
        options = {"annotations": str(path), "every": every, "hidden": hidden}
        sources.append(Source(f"occlusion_person_{name}", SKELETON.name, items, load_item, options))
    if not sources:
        raise UserError(f"{directory}: has neither unrealcv_train.pkl nor unrealcv_validation.pkl.")
    return sources


def _person(entry: Any, finder: ImageFolders, hidden: bool) -> LabelledPerson:
    if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
        raise _Unusable("entry has no name of a picture")
    joints2d = _numbers(entry, "joints_2d", (_JOINTS, 2))
    joints3d = _numbers(entry, "joints_3d", (_JOINTS, 3)) / space.MM_PER_M
    known = (
        _flags(entry, "joints_vis")
        & np.isfinite(joints2d).all(axis=1)
        & (np.abs(joints2d) < _LARGEST).all(axis=1)
    )
    if not hidden:
        known &= _flags(entry, "joints_vis_2d")
    scale = np.max(_numbers(entry, "scale", None))
    center = _numbers(entry, "center", (2,))
    if (
        not np.isfinite(joints3d).all()
        or not np.isfinite(center).all()
        or not 0 < scale * SCALE_UNIT < _LARGEST
    ):
        raise _Unusable("numbers are not finite, or the box is empty")
    action, frame = entry.get("action"), entry.get("image_id")
    return LabelledPerson(
        name=entry["image"],
        image=finder.find(entry["image"]),
        mask=None,
        skeleton=SKELETON.name,
        joints2d=np.where(known[:, None], joints2d, 0).astype(np.float32),
        visibility=known.astype(np.float32),
        scale=float(SCALE_UNIT * scale),
        center=center,
        facts={
            "skeleton3d": SKELETON.name,
            "joints3d": joints3d.astype(np.float32),
            "confidence3d": np.ones(_JOINTS, np.float32),
            "pinhole": _camera(entry.get("camera")),
            "camera_name": str(_whole(entry.get("camera_id"), "")),
            "subject": str(_whole(entry.get("subject"), "")),
            "action": _ACTIONS[action] if type(action) is int and 0 <= action < len(_ACTIONS) else "",
            "sequence": entry["video_id"] if isinstance(entry.get("video_id"), str) else "",
            "frame": _whole(frame, None),
        },
    )


def _numbers(entry: dict, key: str, shape: tuple[int, ...] | None) -> np.ndarray:
    try:
        values = np.asarray(entry.get(key), np.float64)
    except (TypeError, ValueError):
        values = np.array(np.nan)
    if shape is None:
        if not values.size or not np.isfinite(values).all():
            raise _Unusable(f"{key} is no number")
        return values
    if values.size != np.prod(shape):
        raise _Unusable(f"{key} is not {'x'.join(map(str, shape))} numbers")
    return values.reshape(shape)


def _flags(entry: dict, key: str) -> np.ndarray:
    """Returns a flag for each joint; some files say it three times, once for each coordinate."""
    values = _numbers(entry, key, None)
    if values.shape[:1] != (_JOINTS,):
        raise _Unusable(f"{key} is no flag of {_JOINTS} joints")
    return (values.reshape(_JOINTS, -1) > 0).all(axis=1)


def _whole(value: Any, otherwise):
    """Returns a whole number that is not negative, out of NumPy's or Python's."""
    value = value.item() if isinstance(value, np.generic | np.ndarray) and np.size(value) == 1 else value
    return value if type(value) is int and 0 <= value < 1 << 31 else otherwise


def _camera(camera: Any) -> PinholeCamera:
    if not isinstance(camera, dict):
        raise _Unusable("entry has no camera")
    (fx,), (fy,), (cx,), (cy,) = (_numbers(camera, key, (1,)) for key in ("fx", "fy", "cx", "cy"))
    rotation = _numbers(camera, "R", (3, 3)) if "R" in camera else None
    place = _numbers(camera, "T", (3,)) / space.MM_PER_M if "T" in camera else None
    try:
        return PinholeCamera(np.array([fx, fy]), np.array([cx, cy]), rotation=rotation, translation=place)
    except ValueError as error:
        raise _Unusable("camera is none") from error


def _check(items: list[LabelledPerson | Skipped], path: pathlib.Path) -> None:
    """Raises UserError if nobody can be used, or 3D joints are not seen where the 2D joints are."""
    persons = [item for item in items if isinstance(item, LabelledPerson)]
    if not persons:
        raise UserError(f"{path}: holds nobody who can be used ({items[0].reason}).")
    if not any(person.image for person in persons):
        raise UserError(f"{path}: none of its pictures is there, such as {persons[0].name}.")
    chosen = persons[:: max(1, len(persons) // _PEOPLE)]
    joints3d = np.stack([person.facts["joints3d"] for person in chosen])
    space.check_height(joints3d, f"{path}: joints_3d", unit="metres")
    off = []
    for person in chosen:
        points = np.where(joints3d[len(off)][:, 2:] > 0, joints3d[len(off)], np.nan)
        distance = np.linalg.norm(person.facts["pinhole"].project(points) - person.joints2d, axis=1)
        off.append(
            np.median(np.nan_to_num(distance[person.visibility > 0], nan=1e4))
            if person.visibility.any()
            else 0
        )
    if np.median(off) <= _NEAR:
        return
    joints2d, known = (
        np.stack([getattr(person, key) for person in chosen]) for key in ("joints2d", "visibility")
    )
    space.check_axes(joints3d, joints2d, known > 0, f"{path}: `joints_3d`")
    raise UserError(
        f"{path}: joints_3d lie {np.median(off):.0f} px from joints_2d when seen by the camera; wanted are "
        "millimetres in the frame of the camera."
    )

"""FLIC and FLIC-full: frames of films with the upper bodies of people, `examples.mat` and `images/`.

`examples` is an array of structures: `coords` (2 x 29), of which the first 17 are the joints of COCO in another
order and most of the rest are middles; NaN where a joint is not labelled, as most below the shoulders are.
`filepath` is the name of the picture, `moviename` and `currframe` say where it is from, `istrain` and `istest`
which part it belongs to. MATLAB counts pixels from 1. Boxes come from the joints.

Whether left is the person's is told by those who look at the camera, whose left eye lies to the right of the other.
Source: Sapp and Taskar, MODEC (CVPR 2013).
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from hpe.datasets.image_folders import ImageFolders
from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.mpii_json import MATLAB_ORIGIN
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.matlab import load_matlab, number, structures
from hpe.skeletons import COCO17

# What the columns of `coords` are, from the first.
_COLUMNS = (
    *("left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist"),
    *("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"),
    *("left_eye", "right_eye", "left_ear", "right_ear", "nose"),
)
_ORDER = [_COLUMNS.index(joint) for joint in COCO17.joints]
_POINTS = 29
# Of the people whose eyes are labelled, so many must agree before left and right are exchanged.
_MOST = 0.8
_LEAST_PEOPLE = 20
_FARTHEST = 1e5


def flic(directory: str | os.PathLike) -> list[Source]:
    """Returns the people of a folder.

    Args:
        directory: with `examples.mat` and `images/`.

    Returns:
        The Sources `flic_train` and `flic_test`, as there are people; those of FLIC-full that belong to neither
        part are left out.

    Raises:
        UserError: if examples.mat is not FLIC's, or none of its pictures is there.
    """
    directory = pathlib.Path(directory)
    path = directory / "examples.mat"
    examples = structures(load_matlab(path, ("examples",)).get("examples"))
    if not examples:
        raise UserError(f"{path}: holds no `examples`, an array of structures.")
    joints = [_joints(example) for example in examples]
    exchanged = _sides_are_the_pictures([place for place in joints if place is not None])
    if exchanged:
        flip = list(COCO17.flip)
        joints = [None if place is None else place[flip] for place in joints]
    finder = ImageFolders([directory / "images", directory])
    sources = []
    for part in ("train", "test"):
        items = [
            _person(example, index, place, finder)
            for index, (example, place) in enumerate(zip(examples, joints, strict=True))
            if number(example.get(f"is{part}"))
        ]
        if any(isinstance(item, LabelledPerson) and item.image for item in items):
            options = {"annotations": str(path), "left_is": "the picture's" if exchanged else "the person's"}
            sources.append(Source(f"flic_{part}", COCO17.name, items, load_item, options))
    if not sources:
        raise UserError(
            f"{directory}: holds none of the pictures of examples.mat, or nobody with labelled joints."
        )
    return sources


def _joints(example: dict) -> np.ndarray | None:
    """Returns the joints (17, 2) of `coco17` in pixels, NaN where they are not labelled."""
    coords = example.get("coords")
    if not isinstance(coords, np.ndarray) or coords.shape != (2, _POINTS) or coords.dtype.kind not in "fiu":
        return None
    joints = coords.T[: len(_COLUMNS)][_ORDER].astype(np.float64) - MATLAB_ORIGIN
    known = np.isfinite(joints).all(axis=1) & (np.abs(joints) < _FARTHEST).all(axis=1)
    return np.where(known[:, None], joints, np.nan)


def _sides_are_the_pictures(joints: list[np.ndarray]) -> bool:
    """Whether left is what lies left in the picture of people who look at the camera."""
    left, right, nose = (COCO17.index(joint) for joint in ("left_eye", "right_eye", "nose"))
    facing = [place for place in joints if np.isfinite(place[[left, right, nose]]).all()]
    if len(facing) < _LEAST_PEOPLE:
        return False
    return float(np.mean([place[left, 0] < place[right, 0] for place in facing])) > _MOST


def _person(
    example: dict, index: int, joints: np.ndarray | None, finder: ImageFolders
) -> LabelledPerson | Skipped:
    name = example.get("filepath")
    if not isinstance(name, str) or not name:
        return Skipped(f"example {index + 1}", "example has no name of a picture")
    title = f"{name}#{index + 1}"
    if joints is None:
        return Skipped(title, f"coords are not 2x{_POINTS} numbers")
    known = np.isfinite(joints).all(axis=1)
    if known.sum() < 2:
        return Skipped(title, "fewer than 2 labelled joints")
    low, high = joints[known].min(axis=0), joints[known].max(axis=0)
    movie, frame = example.get("moviename"), number(example.get("currframe"))
    return LabelledPerson(
        name=title,
        image=finder.find(name),
        mask=None,
        skeleton=COCO17.name,
        joints2d=np.where(known[:, None], joints, 0),
        visibility=known.astype(np.float32),
        scale=BOX_MARGIN * max(float((high - low).max()), 1.0),
        center=(low + high) / 2,
        facts={
            "sequence": movie if isinstance(movie, str) else "",
            "frame": int(frame) if frame is not None and 0 <= frame < 1 << 31 else None,
        },
    )

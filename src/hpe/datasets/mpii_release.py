"""MPII Human Pose as it is released: `mpii_human_pose_v1_u12_1.mat` and `images/`.

`RELEASE.annolist` lists pictures with the people in them: points with `id` (the order of `mpii16`), x and y, which
MATLAB counts from 1; `scale` and `objpos` as in `hpe.datasets.mpii_json`; and the box of the head, x1, y1 to
x2, y2. Only pictures with `img_train` have points. All labelled joints are taken for visible, as HRNet trains.
"""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np

from hpe.datasets.image_folders import ImageFolders
from hpe.datasets.mpii import BOX_MARGIN, person_size
from hpe.datasets.mpii_json import CENTER_SHIFT, HEAD_SHARE, MATLAB_ORIGIN, SCALE_UNIT
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.matlab import load_matlab, number, structures

_PATTERN = "mpii_human_pose*.mat"
_JOINTS = 16
# No picture reaches so far.
_FARTHEST = 1e5


def mpii_release(path: str | os.PathLike) -> Source:
    """Returns MPII's people with labels.

    Args:
        path: the file, or the folder that it lies in; pictures lie in `images/` beside it or one folder up.

    Returns:
        The Source `mpii_release`.

    Raises:
        UserError: if there is no such file, it holds something else, or none of its pictures is there.
    """
    file = _annotations(pathlib.Path(path))
    release = load_matlab(file, ("RELEASE",)).get("RELEASE")
    pictures = structures(release.get("annolist")) if isinstance(release, dict) else []
    if not pictures:
        raise UserError(f"{file}: holds no `RELEASE` with `annolist`, the annotations of MPII Human Pose.")
    training = np.asarray(release.get("img_train", ())).ravel()
    actions = structures(release.get("act"))
    videos = release.get("video_list")
    finder = ImageFolders(
        folder
        for parent in (file.parent, file.parent.parent)
        for folder in (parent / "images", parent / "mpii_human_pose_v1" / "images", parent)
    )
    people: list[LabelledPerson | Skipped] = []
    for place, entry in enumerate(pictures):
        # Pictures of the test set have no points.
        if len(training) == len(pictures) and not training[place]:
            continue
        facts = {
            "action": _action(actions[place]) if len(actions) == len(pictures) else "",
            "sequence": _video(videos, entry.get("vididx")),
        }
        people += _people(entry, place, finder, facts)
    persons = [item for item in people if isinstance(item, LabelledPerson)]
    if not persons:
        raise UserError(f"{file}: holds nobody with labelled joints.")
    if not any(person.image for person in persons):
        folders = ", ".join(map(str, finder.folders))
        raise UserError(
            f"{file}: none of its pictures is there, such as {persons[0].name}; looked in {folders}."
        )
    return Source(
        "mpii_release",
        "mpii16",
        people,
        load_item,
        {"annotations": str(file), "images": ", ".join(map(str, finder.folders[:1]))},
    )


def _annotations(path: pathlib.Path) -> pathlib.Path:
    if path.is_file():
        return path
    for folder in (path, *sorted(child for child in path.iterdir() if child.is_dir())):
        if found := sorted(file for file in folder.glob(_PATTERN) if not file.name.startswith(".")):
            return found[0]
    raise UserError(f"{path}: has no {_PATTERN}.")


def _people(entry: dict, place: int, finder: ImageFolders, facts: dict) -> list[LabelledPerson | Skipped]:
    image = entry.get("image")
    name = image.get("name") if isinstance(image, dict) else None
    if not isinstance(name, str) or not name:
        return [Skipped(f"picture {place + 1}", "entry has no name of a picture")]
    path = finder.find(name)
    return [
        _person(rect, f"{name}#{index + 1}", path, facts)
        for index, rect in enumerate(structures(entry.get("annorect")))
    ]


def _person(rect: dict, name: str, path: str | None, facts: dict) -> LabelledPerson | Skipped:
    annotated = rect.get("annopoints")
    points = structures(annotated.get("point")) if isinstance(annotated, dict) else []
    if not points:
        return Skipped(name, "person without labelled joints")
    joints, labelled = np.zeros((_JOINTS, 2)), np.zeros(_JOINTS, bool)
    for point in points:
        joint, x, y = (number(point.get(key)) for key in ("id", "x", "y"))
        if joint is None or x is None or y is None or not 0 <= joint < _JOINTS or joint % 1:
            return Skipped(name, "a joint has no number from 0 to 15 or no place")
        if max(abs(x), abs(y)) > _FARTHEST:
            return Skipped(name, "a joint lies far outside of any picture")
        joints[int(joint)], labelled[int(joint)] = (x - MATLAB_ORIGIN, y - MATLAB_ORIGIN), True
    scale, center = number(rect.get("scale")), _point(rect.get("objpos"))
    if scale is not None and 0 < scale < _FARTHEST and center is not None:
        box = center + np.array([0, CENTER_SHIFT * scale]) - MATLAB_ORIGIN
        side = SCALE_UNIT * scale
    else:
        box, size = None, person_size(joints, labelled)
        side = size and BOX_MARGIN * size
    corners = [number(rect.get(key)) for key in ("x1", "y1", "x2", "y2")]
    head = None
    if None not in corners:
        head = HEAD_SHARE * float(np.hypot(corners[2] - corners[0], corners[3] - corners[1]))
    return LabelledPerson(
        name=name,
        image=path,
        mask=None,
        skeleton="mpii16",
        joints2d=joints,
        visibility=labelled.astype(np.float32),
        scale=side,
        center=box,
        head_size=head if head and head < _FARTHEST else None,
        facts=facts,
    )


def _point(value: Any) -> np.ndarray | None:
    if not isinstance(value, dict):
        return None
    x, y = number(value.get("x")), number(value.get("y"))
    return None if x is None or y is None or max(abs(x), abs(y)) > _FARTHEST else np.array([x, y])


def _action(entry: dict) -> str:
    """Returns what is done, such as `bicycling, mountain`; empty where it is not said."""
    name = entry.get("act_name")
    return name if isinstance(name, str) else ""


def _video(videos: Any, index: Any) -> str:
    index = number(index)
    if not isinstance(videos, list) or index is None or not 1 <= index <= len(videos):
        return ""
    name = videos[int(index) - 1]
    return name if isinstance(name, str) else ""

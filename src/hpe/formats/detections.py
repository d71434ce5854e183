"""2D joints that other programs have found: JSON of OpenPose, AlphaPose (and COCO's results), and MediaPipe.

Which joints they are is told by the program's own fields and their number, as each program documents it.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import re
import warnings
from typing import Any

import numpy as np

from hpe import skeletons
from hpe.errors import UserError, first_line
from hpe.formats.json_files import read_any_json

_WANTED = "detections of OpenPose, AlphaPose or MediaPipe"
# By the number of joints, as the programs document them.
_OPENPOSE = {25: "openpose25", 18: "openpose18"}
_ALPHAPOSE = {17: "coco17", 26: "halpe26", 136: "halpe26"}
_MEDIAPIPE = "blazepose33"
_MOST_PEOPLE = 10_000


@dataclasses.dataclass(frozen=True)
class DetectedFrame:
    """The people that a program has found in one picture.

    Attributes:
        name: of the picture or frame, as the file calls it.
        skeleton: name of the joint set, see `hpe.skeletons`.
        joints2d: (N, J, 2) float32 pixels, NaN where a joint was not found.
        confidence: (N, J) float32 in [0, 1], 0 where a joint was not found.
    """

    name: str
    skeleton: str
    joints2d: np.ndarray
    confidence: np.ndarray


def read_detections(path: str | os.PathLike, *, size: tuple[int, int] | None = None) -> list[DetectedFrame]:
    """Reads what a program has found.

    Args:
        path: a JSON file, or a folder with one `*_keypoints.json` of OpenPose for each frame.
        size: (height, width) of the pictures, for MediaPipe, which writes shares of them; where the file has
            `height` and `width` beside the landmarks these are taken.

    Returns:
        One DetectedFrame per picture in order, those without people included where the program writes them. Single
        files and people among others that cannot be read are left out; a UserWarning counts and names them.

    Raises:
        UserError: naming the file that is none of these, if nothing can be read.
    """
    path = pathlib.Path(path)
    files = sorted(path.glob("*.json"), key=_natural) if path.is_dir() else [path]
    files = [file for file in files if not file.name.startswith(".")]
    if not files:
        raise UserError(f"{path}: holds no *.json; it should hold {_WANTED}.")
    frames: list[DetectedFrame] = []
    odd: list[str] = []
    problems: list[UserError] = []
    for file in files:
        try:
            frames += _frames(file, read_any_json(file, _WANTED), size, odd)
        except UserError as error:
            problems.append(error)
        except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
            problems.append(UserError(f"{file}: holds no {_WANTED} ({first_line(error)})."))
    if problems and not frames:
        raise problems[0]
    odd += [str(error) for error in problems]
    if odd:
        shown = " ".join(odd[:3]) + (" ..." if len(odd) > 3 else "")
        warnings.warn(f"{path}: {len(odd)} x left out: {shown}", UserWarning, stacklevel=2)
    return frames


def _natural(path: pathlib.Path) -> list:
    """Sorts frame 9 before frame 10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _frames(
    file: pathlib.Path, content: Any, size: tuple[int, int] | None, odd: list[str]
) -> list[DetectedFrame]:
    """Returns the frames of a file; people that cannot be read are added to `odd`."""
    if isinstance(content, dict) and "people" in content:
        return [_openpose(file, content["people"])]
    if isinstance(content, list) and (
        not content or any(isinstance(entry, dict) and "keypoints" in entry for entry in content)
    ):
        return _alphapose(file, content, odd)
    entries = content.get("frames", [content]) if isinstance(content, dict) else content
    if isinstance(entries, list) and entries and all(_landmarks(entry) is not None for entry in entries):
        return [_mediapipe(file, place, entry, size) for place, entry in enumerate(entries)]
    raise ValueError("no field `people`, `keypoints` or `landmarks`")


def _openpose(file: pathlib.Path, people: list) -> DetectedFrame:
    values = [_triples(person["pose_keypoints_2d"]) for person in _limited(people)]
    counts = {len(person) for person in values} or {25}
    if len(counts) > 1 or not counts <= _OPENPOSE.keys():
        raise ValueError(f"people have {', '.join(map(str, sorted(counts)))} joints; known are 25 and 18")
    name = file.name.removesuffix(".json").removesuffix("_keypoints")
    return _frame(name, _OPENPOSE[counts.pop()], values)


def _alphapose(file: pathlib.Path, entries: list, odd: list[str]) -> list[DetectedFrame]:
    found: list[tuple[str, np.ndarray]] = []
    unread = []
    for number, entry in enumerate(entries):
        try:
            found.append((str(entry.get("image_id", "")), _triples(entry["keypoints"])))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            unread.append(f"{file.name} entry {number} has no joints of three numbers each.")
    counts = collections.Counter(len(person) for _, person in found)
    known = [count for count, _ in counts.most_common() if count in _ALPHAPOSE]
    if entries and not known:
        raise ValueError(
            f"people have {', '.join(map(str, sorted(counts))) or 'no'} joints; known are 17, 26 and 136"
        )
    unread += [
        f"{file.name} has {times} people of {count} joints beside {known[0]}."
        for count, times in counts.items()
        if count != known[0]
    ]
    odd += unread
    by_picture: dict[str, list[np.ndarray]] = {}
    for name, person in found:
        people = by_picture.setdefault(name, [])
        if len(person) == known[0]:
            people.append(person)
    skeleton = _ALPHAPOSE[known[0]] if known else _ALPHAPOSE[17]
    # Of the 136 joints the first 26 are the body's.
    count = len(skeletons.get(skeleton))
    return [
        _frame(name, skeleton, [person[:count] for person in people]) for name, people in by_picture.items()
    ]


def _landmarks(entry: Any) -> list | None:
    """Returns the people of a frame of MediaPipe, None if it is none."""
    if isinstance(entry, list):
        found = entry
    elif isinstance(entry, dict):
        found = entry.get("pose_landmarks", entry.get("poseLandmarks", entry.get("landmarks")))
    else:
        return None
    if not isinstance(found, list):
        return None
    people = found if not found or isinstance(found[0], list) else [found]
    points = [point for person in people for point in person]
    return people if all(isinstance(point, dict) and {"x", "y"} <= point.keys() for point in points) else None


def _mediapipe(file: pathlib.Path, place: int, entry: Any, size: tuple[int, int] | None) -> DetectedFrame:
    fields = entry if isinstance(entry, dict) else {}
    if "height" in fields and "width" in fields:
        size = int(fields["height"]), int(fields["width"])
    if size is None:
        raise ValueError("landmarks are shares of a picture whose size is not known; give `size`")
    count = len(skeletons.get(_MEDIAPIPE))
    people = []
    for person in _limited(_landmarks(entry)):
        if len(person) != count:
            raise ValueError(f"people have {len(person)} landmarks; known are {count}")
        rows = [[point["x"], point["y"], point.get("visibility", 1.0)] for point in person]
        # The middle of the first pixel is at half a pixel of its side.
        people.append(np.array(rows, np.float64) * [size[1], size[0], 1] - [0.5, 0.5, 0])
    name = str(fields.get("image", fields.get("file_name", fields.get("frame", f"{file.stem}#{place}"))))
    return _frame(name, _MEDIAPIPE, people)


def _limited(people: Any) -> list:
    if not isinstance(people, list) or len(people) > _MOST_PEOPLE:
        raise ValueError("people are no list")
    return people


def _triples(values: Any) -> np.ndarray:
    """Returns x, y and confidence (J, 3)."""
    array = np.array(values, np.float64)
    if array.ndim not in (1, 2) or array.size % 3:
        raise ValueError("joints are not three numbers each")
    return array.reshape(-1, 3)


def _frame(name: str, skeleton: str, people: list[np.ndarray]) -> DetectedFrame:
    values = np.array(people, np.float64).reshape(len(people), len(skeletons.get(skeleton)), 3)
    confidence = np.where(np.isfinite(values).all(axis=-1), values[..., 2], 0).clip(0, 1)
    found = confidence > 0
    joints2d = np.where(found[..., None], values[..., :2], np.nan)
    return DetectedFrame(name, skeleton, joints2d.astype(np.float32), confidence.astype(np.float32))

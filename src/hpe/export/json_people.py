"""People over frames as JSON: the layout of docs/person.schema.json, and that of HEMlets' results.

Both are written frame by frame, so that a video of any length needs no memory, and one that is interrupted is
closed with the frames so far.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hpe import skeletons
from hpe.export.growing import GrowingFile, PackedText
from hpe.export.motion import rig_of

if TYPE_CHECKING:
    from hpe.people.person import Person

# Of the layout that docs/person.schema.json describes; it rises when a reader of the old one would err.
SCHEMA_VERSION = 2

# Digits after the point of pixels, metres and times: a thousandth of a pixel, a hundredth of a millimetre.
_PIXEL_DIGITS = 3
_METRE_DIGITS = 5
_TIME_DIGITS = 6

# HEMlets' crop: a square of the box's longer side and a tenth of its height on either side, of 256 pixels; its
# depth spans 2 metres, of which one is 128 units by the students' code.
_HEMLETS_SIDE = 256
_HEMLETS_MARGIN = 0.1
_HEMLETS_DEPTH = 64.0  # units per metre


class Layout(Protocol):
    """How people of frames are written as JSON."""

    def start(self) -> str:
        """Returns what goes before the frames."""
        ...

    def frame(self, number: int, time: float | None, people: Sequence[Person]) -> str:
        """Returns one frame."""
        ...

    def end(self) -> str:
        """Returns what goes after them."""
        ...


class JsonFile:
    """A JSON file that is written frame by frame and gets its name when it is complete.

    Args:
        target: the file, whose folder is made, or a text in its place.
        layout: how it is written.

    Raises:
        UserError: it cannot be written, here or later.
    """

    def __init__(self, target: str | os.PathLike | PackedText, layout: Layout):
        self._stream = target if isinstance(target, PackedText) else GrowingFile(target)
        self._layout = layout
        self._frames = 0
        self._stream.write(layout.start())

    def add(self, number: int, time: float | None, people: Sequence[Person]) -> None:
        """Adds the people of a frame, its number from 0 and its time in seconds; nobody is an empty list."""
        separator = ",\n" if self._frames else "\n"
        self._stream.write(separator + self._layout.frame(number, time, people))
        self._frames += 1

    def finish(self) -> None:
        """Closes the file and gives it its name."""
        self._stream.write(self._layout.end())
        self._stream.commit()

    def discard(self) -> None:
        """Removes what was written and is not finished."""
        self._stream.discard()


class PeopleLayout:
    """The layout of docs/person.schema.json: one line for each frame.

    Args:
        source: name of the picture or the video, or None.
        frames_per_second: of the video, or None.
    """

    def __init__(self, *, source: str | None = None, frames_per_second: float | None = None):
        self._source, self._rate = source, frames_per_second
        self._skeletons: dict[str, dict] = {}

    def start(self) -> str:
        """Returns what goes before the frames."""
        head = {
            "schema": "hpe.people",
            "version": SCHEMA_VERSION,
            "source": self._source,
            "frames_per_second": self._rate,
        }
        return json.dumps(head)[:-1] + ', "frames": ['

    def frame(self, number: int, time: float | None, people: Sequence[Person]) -> str:
        """Returns one frame."""
        cameras = [person.camera for person in people if person.camera is not None]
        entry = {
            "frame": number,
            "time": None if time is None else round(float(time), _TIME_DIGITS),
            "camera": _camera(cameras[0]) if cameras else None,
            "people": [self._person(person) for person in people],
        }
        return json.dumps(entry, allow_nan=False)

    def end(self) -> str:
        """Returns the joint sets that were met: they are written once, not with every person."""
        return '\n], "skeletons": ' + json.dumps(self._skeletons) + "}\n"

    def _person(self, person: Person) -> dict:
        body = person.body
        return {
            "box": _rounded(person.box, _PIXEL_DIGITS),
            "score": round(float(person.score), 4),
            "track_id": person.track_id,
            "skeleton": self._known(person.skeleton),
            "joints2d": _rounded(person.joints2d, _PIXEL_DIGITS),
            "confidence": _rounded(person.confidence, 4),
            "joints3d_skeleton": self._known(person.joints3d_skeleton),
            "joints3d": _rounded(person.joints3d, _METRE_DIGITS),
            "translation": _rounded(person.translation, _METRE_DIGITS),
            "body": None
            if body is None
            else {"model": body.model, "pose": _rounded(body.pose, 6), "shape": _rounded(body.shape, 6)},
            "reprojection_error": None
            if person.reprojection_error is None
            else round(float(person.reprojection_error), _PIXEL_DIGITS),
        }

    def _known(self, name: str | None) -> str | None:
        if name is not None and name not in self._skeletons:
            skeleton = skeletons.get(name)
            self._skeletons[name] = {"joints": list(skeleton.joints), "parents": list(skeleton.parents)}
        return name


class HemletsLayout:
    """The layout that programs of HEMlets' students read: RESULTS.json, 18 joints of Human3.6M a person.

    x and y are pixels of a 256-pixel crop about the person relative to the pelvis, z is 64 per metre relative to
    it, away from the camera. A joint that the model's joints do not tell is null. The original ended after 100
    frames and repeated the last people where nobody was found; here all frames are there, such ones with nobody.
    """

    def start(self) -> str:
        """Returns what goes before the frames."""
        return '{\n    "project": "2_3D_Human_Pose_Estimation",\n    "output": ['

    def frame(self, number: int, time: float | None, people: Sequence[Person]) -> str:
        """Returns one frame."""
        predictions = [
            {"id": index if person.track_id is None else person.track_id, "pred": hemlets_joints(person)}
            for index, person in enumerate(people)
            if person.joints3d is not None and person.camera is not None
        ]
        text = json.dumps({"frame": number, "predictions": predictions}, indent=4, allow_nan=False)
        return "\n".join(" " * 8 + line for line in text.splitlines())

    def end(self) -> str:
        """Returns what goes after the frames."""
        return "\n    ]\n}\n"


def hemlets_joints(person: Person) -> list:
    """Returns the 18 joints of a person with 3D joints in a camera, as `HemletsLayout` says."""
    joints, known = _h36m18(person)
    x, y = np.moveaxis(person.camera.project(joints), -1, 0)
    side = max(person.box[2:]) + 2 * _HEMLETS_MARGIN * person.box[3]
    placed = np.stack([x * _HEMLETS_SIDE / side, y * _HEMLETS_SIDE / side, joints[:, 2] * _HEMLETS_DEPTH], -1)
    placed = np.where(known[:, None], placed - placed[0], np.nan)
    return _rounded(placed, _PIXEL_DIGITS)


def _h36m18(person: Person) -> tuple[np.ndarray, np.ndarray]:
    """Returns joints (18, 3) in the camera, and which of them are known.

    The joints of Human3.6M lie inside of the body's surface, which says where; joints of other sets are near.
    """
    target = skeletons.H36M18
    body = None if person.body is None else rig_of(person.body.model)
    regressor = None if body is None else body.keypoint_regressors.get("h36m17")
    if regressor is not None and person.vertices is not None and len(person.vertices) == regressor.shape[1]:
        source, joints = skeletons.H36M17, regressor @ np.asarray(person.vertices, np.float64)
    else:
        source = skeletons.get(person.joints3d_skeleton)
        joints = np.asarray(person.joints3d, np.float64)
    conversion = skeletons.convert(source, target, missing=True)
    known = np.asarray(conversion.weights) > 0
    converted = conversion.coordinates(joints)
    # What is not known must not lie in the camera's centre.
    return np.where(known[:, None], converted, joints.mean(axis=0)), known


def layout_of(name: str, **about) -> Layout:
    """Returns the layout called `hpe` or `hemlets`; see `PeopleLayout` for what else is said of the frames.

    Raises:
        KeyError: there is no such layout.
    """
    return {"hpe": lambda: PeopleLayout(**about), "hemlets": HemletsLayout}[name]()


def to_json(people: Sequence[Person], *, layout: Layout | None = None) -> str:
    """Returns the people of one picture as a JSON document."""
    layout = layout or PeopleLayout()
    return layout.start() + "\n" + layout.frame(0, None, people) + layout.end()


def _camera(camera) -> dict:
    return {"focal": camera.focal.tolist(), "center": camera.center.tolist(), "size": list(camera.size)}


def _rounded(values, digits: int):
    """Returns an array as nested lists, numbers that are not finite as None; None stays."""
    if values is None:
        return None
    array = np.asarray(values, np.float64)
    lists = np.round(array, digits).tolist()
    return lists if np.isfinite(array).all() else _without_nan(lists)


def _without_nan(lists):
    if isinstance(lists, list):
        return [_without_nan(item) for item in lists]
    return lists if np.isfinite(lists) else None

"""Boxes of people in a JSON file, for pictures and for the frames of videos.

Either one list of boxes `[[x, y, width, height], ...]` for every picture and frame; or lists by the names of files,
`{"photo.jpg": [[...], ...], ...}`; or the layout of docs/person.schema.json, whose frames have numbers.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping

from hpe.errors import UserError
from hpe.formats import limits

Box = tuple[float, float, float, float]

_FORMS = "[[x, y, width, height], ...], or such lists by the names of files, or what `save=json` writes"


class Boxes:
    """The boxes of a file.

    Args:
        path: the file.

    Raises:
        UserError: it cannot be read, or is of no form that is known.
    """

    def __init__(self, path: str | os.PathLike):
        self._path = pathlib.Path(path)
        try:
            content = json.loads(limits.read_bytes(path))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: is no JSON file ({error}).") from None
        self._all: list[Box] | None = None
        self._by_name: dict[str, list[Box]] = {}
        self._by_frame: dict[int, list[Box]] | None = None
        if isinstance(content, list):
            self._all = self._boxes(content, "")
        elif isinstance(content, Mapping) and isinstance(content.get("frames"), list):
            self._by_frame = dict(self._frame(entry) for entry in content["frames"])
        elif isinstance(content, Mapping):
            self._by_name = {name: self._boxes(boxes, f"{name}: ") for name, boxes in content.items()}
        else:
            raise self._unknown("")

    def of(self, name: str, frame: int = 0) -> list[Box]:
        """Returns the boxes of a picture, or of a frame of a video, counted from 0; empty where nobody is listed.

        Raises:
            UserError: the file lists names, and this one is not among them.
        """
        if self._all is not None:
            return self._all
        if self._by_frame is not None:
            return self._by_frame.get(frame, [])
        for known in (name, pathlib.Path(name).name, pathlib.Path(name).stem):
            if known in self._by_name:
                return self._by_name[known]
        raise UserError(f"{self._path}: lists no {pathlib.Path(name).name}; give it [] if nobody is there.")

    def _frame(self, entry) -> tuple[int, list[Box]]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("frame"), int):
            raise self._unknown("frames: ")
        people = entry.get("people")
        if not isinstance(people, list) or not all(isinstance(person, Mapping) for person in people):
            raise self._unknown(f"frame {entry['frame']}: ")
        return entry["frame"], self._boxes(
            [person.get("box") for person in people], f"frame {entry['frame']}: "
        )

    def _boxes(self, values, where: str) -> list[Box]:
        if not isinstance(values, list):
            raise self._unknown(where)
        boxes = []
        for value in values:
            numbers = isinstance(value, list) and len(value) == 4
            if not numbers or not all(type(number) in (int, float) for number in value):
                raise self._unknown(where)
            if not all(map(math.isfinite, value)) or min(value[2:]) <= 0:
                raise UserError(f"{self._path}: {where}box {value} has no positive width and height.")
            boxes.append(tuple(map(float, value)))
        return boxes

    def _unknown(self, where: str) -> UserError:
        return UserError(f"{self._path}: {where}holds no boxes; wanted are {_FORMS}.")

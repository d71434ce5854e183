"""People over frames as a table (.csv), one row for each joint of each person of each frame.

Empty cells are what is not known: joints of the 2D set that the 3D set lacks, and the other way round.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe import skeletons
from hpe.export.growing import GrowingFile, PackedText

if TYPE_CHECKING:
    from hpe.people.person import Person

COLUMNS = ("frame", "time_s", "person", "score", "joint", "x_px", "y_px", "confidence", "x_m", "y_m", "z_m")


class CsvFile:
    """A table that is written frame by frame and gets its name when it is complete.

    Args:
        target: the file, whose folder is made, or a text in its place.

    Raises:
        UserError: it cannot be written, here or later.
    """

    def __init__(self, target: str | os.PathLike | PackedText):
        self._stream = target if isinstance(target, PackedText) else GrowingFile(target)
        self._stream.write(",".join(COLUMNS) + "\n")

    def add(self, number: int, time: float | None, people: Sequence[Person]) -> None:
        """Adds the people of a frame, its number from 0 and its time in seconds."""
        self._stream.write(_text(_rows(number, time, people)))

    def finish(self) -> None:
        """Gives the file its name."""
        self._stream.commit()

    def discard(self) -> None:
        """Removes what was written and is not finished."""
        self._stream.discard()


def to_csv(people: Sequence[Person]) -> str:
    """Returns the people of one picture as a table."""
    return ",".join(COLUMNS) + "\n" + _text(_rows(0, None, people))


def _rows(number: int, time: float | None, people: Sequence[Person]) -> Iterator[tuple]:
    for index, person in enumerate(people):
        name = index if person.track_id is None else person.track_id
        start = (number, "" if time is None else f"{time:.6f}", name, f"{person.score:.4f}")
        flat = dict(zip(skeletons.get(person.skeleton).joints, _flat(person), strict=True))
        solid = {}
        if person.joints3d is not None:
            names = skeletons.get(person.joints3d_skeleton).joints
            solid = {
                joint: tuple(_number(value, 5) for value in place)
                for joint, place in zip(names, np.asarray(person.joints3d), strict=True)
            }
        for joint in dict.fromkeys((*flat, *solid)):
            yield (*start, joint, *flat.get(joint, ("",) * 3), *solid.get(joint, ("",) * 3))


def _flat(person: Person) -> Iterator[tuple[str, str, str]]:
    for (x, y), sure in zip(np.asarray(person.joints2d), np.asarray(person.confidence), strict=True):
        yield _number(x, 3), _number(y, 3), f"{float(sure):.4f}"


def _number(value: float, digits: int) -> str:
    return f"{float(value):.{digits}f}" if np.isfinite(value) else ""


def _text(rows: Iterator[tuple]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()

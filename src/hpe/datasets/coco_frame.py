"""What the coordinates of a COCO file are, told by all of its people together.

COCO's are pixels, x before y. One person alone can be anywhere; a whole file of people who all crowd into the upper
left corner of large pictures has percent, and one whose joints leave the pictures unless x and y are exchanged has
these exchanged.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable

import numpy as np

from hpe.errors import UserError

PERCENT_NOTE = "coordinates are percent of the image, not pixels: read as such"
# So many people say something of a file, and of no more is it asked.
_LEAST_PEOPLE, _MOST_PEOPLE = 3, 2000
_PERCENT = 100.0
# Percent go at least so far in one direction, and pictures are at least so large: else they are pixels.
_SPREAD, _LEAST_SIDE = 60.0, 200
# Shares of the joints outside of their pictures, as written and with x and y exchanged, that tell of an exchange.
_OUTSIDE, _INSIDE = 0.05, 0.005


@dataclasses.dataclass(frozen=True)
class Placed:
    """The labelled joints (N, 2) of a person as in the file, and height and width of the picture in pixels."""

    joints: np.ndarray
    size: tuple[int, int]


def are_percent(people: list[Placed]) -> bool:
    """Whether coordinates are percent of the pictures.

    Pixels are whole numbers more often than not, and nobody has large pictures of people in one corner alone.
    """
    people = _spread(people)
    if len(people) < _LEAST_PEOPLE or min(min(person.size) for person in people) < _LEAST_SIDE:
        return False
    joints = np.concatenate([person.joints for person in people])
    within = joints.min() >= 0 and joints.max() <= _PERCENT and joints.max() >= _SPREAD
    return bool(within and (joints % 1 != 0).mean() > 0.5)


def check_order(people: Iterable[Placed], path: pathlib.Path) -> None:
    """Raises UserError if joints lie in their pictures only with x and y exchanged.

    Args:
        people: of a file, in pixels.
        path: of the file.
    """
    people = _spread([person for person in people if person.size[0] != person.size[1]])
    if len(people) < _LEAST_PEOPLE:
        return
    joints = np.concatenate([person.joints for person in people])
    width_height = np.concatenate([np.tile(person.size[::-1], (len(person.joints), 1)) for person in people])
    outside, exchanged = (
        ((points < 0) | (points > width_height)).any(axis=1).mean() for points in (joints, joints[:, ::-1])
    )
    if outside > _OUTSIDE and exchanged < _INSIDE:
        raise UserError(
            f"{path}: {outside:.0%} of the joints lie outside of their images if x comes before y, as wanted, and "
            f"{exchanged:.0%} if y comes before x. Write x first, in `keypoints` and in `bbox`."
        )


def _spread(people: list[Placed]) -> list[Placed]:
    """Returns some of many people, evenly spread."""
    return people[:: max(1, len(people) // _MOST_PEOPLE)]

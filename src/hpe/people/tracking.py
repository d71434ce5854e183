"""Which person of a frame is which of the frame before: stable numbers from boxes and joints.

Every frame, known people are matched with those found now by one assignment over all pairs of how well boxes
overlap and, where both have joints, how near these are. A person who is not found keeps the number for a while and
is looked for where the last motion would have led.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

# A joint at this distance, in units of the box's larger side, is as good as half.
_JOINT_SPREAD = 0.1
_FORBIDDEN = 1e6


@dataclasses.dataclass(frozen=True)
class TrackingConfig:
    """When two are the same.

    Attributes:
        min_similarity: least similarity of a match, in [0, 1].
        patience: seconds for which a person who is not found keeps the number.
        confirm: frames in which a person has to be found before having a number.
    """

    min_similarity: float = 0.2
    patience: float = 1.0
    confirm: int = 1


@dataclasses.dataclass
class Track:
    """A person over time.

    Attributes:
        number: from 1 on, never given twice.
        box: (4,) x, y, width, height, pixels, where the person was seen last.
        velocity: (2,) pixels per second of the box's centre.
        joints2d: (J, 2) pixels, or None.
        time: seconds, of the last sight.
        sights: number of frames in which the person was found.
    """

    number: int
    box: np.ndarray
    velocity: np.ndarray
    joints2d: np.ndarray | None
    time: float
    sights: int = 1

    def box_at(self, time: float) -> np.ndarray:
        """Returns where the box would be at a time, in seconds, if the person went on moving."""
        moved = self.box.copy()
        moved[:2] += self.velocity * min(time - self.time, 0.5)
        return moved


class Tracker:
    """Numbers people frame by frame.

    Args:
        config: when two are the same.

    Attributes:
        tracks: those who have been seen within the patience.
    """

    def __init__(self, config: TrackingConfig = TrackingConfig()):
        self._config = config
        self._next = 1
        self.tracks: list[Track] = []

    def update(
        self,
        boxes: Sequence[np.ndarray],
        time: float,
        *,
        joints2d: Sequence[np.ndarray | None] | None = None,
    ) -> list[int | None]:
        """Takes the people of a frame.

        Args:
            boxes: of each, x, y, width, height, pixels.
            time: of the frame in seconds; it must grow.
            joints2d: of each (J, 2) pixels, or None.

        Returns:
            The number of each, None for one who has not been seen often enough.
        """
        config = self._config
        self.tracks = [track for track in self.tracks if time - track.time <= config.patience]
        boxes = [np.asarray(box, np.float64) for box in boxes]
        joints = list(joints2d) if joints2d is not None else [None] * len(boxes)
        numbers: list[int | None] = [None] * len(boxes)
        matched = set()
        for row, column in self._assign(boxes, joints, time):
            track, box = self.tracks[row], boxes[column]
            step = max(time - track.time, 1e-6)
            moved = (_center(box) - _center(track.box)) / step
            track.velocity = moved if track.sights == 1 else 0.5 * (track.velocity + moved)
            track.box, track.joints2d, track.time = box, joints[column], time
            track.sights += 1
            matched.add(column)
            numbers[column] = track.number if track.sights >= config.confirm else None
        for column, box in enumerate(boxes):
            if column in matched:
                continue
            self.tracks.append(Track(self._next, box, np.zeros(2), joints[column], time))
            numbers[column] = self._next if config.confirm <= 1 else None
            self._next += 1
        return numbers

    def _assign(self, boxes, joints, time: float) -> list[tuple[int, int]]:
        if not self.tracks or not boxes:
            return []
        alike = np.array(
            [
                [
                    similarity(track.box_at(time), box, track.joints2d, points)
                    for box, points in zip(boxes, joints, strict=True)
                ]
                for track in self.tracks
            ]
        )
        # What may not be matched must not draw others into worse matches.
        cost = np.where(alike >= self._config.min_similarity, 1 - alike, _FORBIDDEN)
        rows, columns = linear_sum_assignment(cost)
        return [
            (row, column) for row, column in zip(rows, columns, strict=True) if cost[row, column] < _FORBIDDEN
        ]


def similarity(first, second, joints_first=None, joints_second=None) -> float:
    """Returns how alike two people are, in [0, 1]: overlap of boxes, and nearness of joints where both have them.

    Args:
        first, second: (4,) x, y, width, height.
        joints_first, joints_second: (J, 2) in the same pixels, or None; joints that are not finite do not count.
    """
    overlap = box_overlap(first, second)
    if joints_first is None or joints_second is None or np.shape(joints_first) != np.shape(joints_second):
        return overlap
    # From the middle of each box: the boxes say where, the joints how they stand.
    distance = np.linalg.norm(np.asarray(joints_first) - joints_second, axis=-1)
    distance = distance[np.isfinite(distance)]
    if not len(distance):
        return overlap
    side = max(*first[2:], *second[2:], 1e-6)
    near = float(np.mean(1.0 / (1.0 + (distance / (_JOINT_SPREAD * side)) ** 2)))
    return 0.5 * (overlap + near)


def box_overlap(first, second) -> float:
    """Returns the intersection over union of two boxes (4,) x, y, width, height."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = np.prod(np.maximum(high - low, 0))
    total = np.prod(first[2:]) + np.prod(second[2:]) - shared
    return float(shared / total) if total > 0 else 0.0


def _center(box: np.ndarray) -> np.ndarray:
    return box[:2] + 0.5 * box[2:]

"""The people of a video, frame by frame: found now and then, followed in between, numbered and smoothed.

A detector looks at every few frames and whenever somebody has been lost; in between, everybody is looked for where
the last prediction saw them, which costs nothing and keeps the crop steady.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from hpe.people.person import Person
from hpe.people.smoothing import OneEuroConfig, PointFilter, RotationFilter
from hpe.people.tracking import Tracker, TrackingConfig, box_overlap

# A box of joints ends at their centres; the person goes on by this share of its longer side.
_JOINT_MARGIN = 0.1
# Of the vertices of a mesh, which lie closer than anybody wants to know a box.
_EVERY = 4
# Two who overlap by more than this are one person who was found twice.
_SAME = 0.75
# A person of whom less than this share of the box is left in the frame has gone.
_LEFT_INSIDE = 0.25
# Metres; nobody is nearer to a camera.
_NEAREST = 0.01
# A prediction whose joints are less sure on average is of nobody.
_SURE = 0.1


# By `python -m benchmarks.preview`: less than half of the jitter at rest, and a swinging arm lags by 15 ms at most.
_POINTS = OneEuroConfig(min_cutoff=1.5, beta=4.0)
_PIXELS = OneEuroConfig(min_cutoff=1.5, beta=12.0)
_DEPTH = OneEuroConfig(min_cutoff=0.5, beta=5.0)
_ROTATIONS = OneEuroConfig(min_cutoff=1.0, beta=2.0)
_SHAPE = OneEuroConfig(min_cutoff=0.2, beta=0.0)


@dataclasses.dataclass(frozen=True)
class SmoothingConfig:
    """One-Euro filters of what a person consists of; the speeds are metres, box heights and radians per second.

    The place in space is smoothed as the camera sees it, across by `pixels` and away from it by `depth`: what one
    view knows well must not wait for what it knows badly.

    Attributes:
        points: of 3D joints and vertices around the root, metres.
        pixels: of 2D joints and of where the body is seen, in heights of the person's box.
        depth: of the logarithm of the distance from the camera.
        rotations: of the body's joints, radians.
        shape: of the shape coefficients.
    """

    points: OneEuroConfig = _POINTS
    pixels: OneEuroConfig = _PIXELS
    depth: OneEuroConfig = _DEPTH
    rotations: OneEuroConfig = _ROTATIONS
    shape: OneEuroConfig = _SHAPE


class VideoTracker:
    """Follows the people of one video.

    Args:
        predict: from a frame and boxes to Persons in the order of the boxes, such as `Model.predict`.
        detect: from a frame to boxes (N, 4) x, y, width, height, and scores (N,).
        detect_every: frames from one look of the detector to the next.
        smoothing: how much is smoothed; None leaves predictions as they are.
        tracking: when two are the same.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray, Sequence[tuple]], list[Person]],
        detect: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
        *,
        detect_every: int = 10,
        smoothing: SmoothingConfig | None = SmoothingConfig(),
        tracking: TrackingConfig = TrackingConfig(),  # noqa: B008
    ):
        if detect_every < 1:
            raise ValueError(f"detect_every must be at least 1. Received: detect_every={detect_every}")
        self._predict, self._detect = predict, detect
        self._every = detect_every
        self._smooth = Smoother(smoothing)
        self._tracker = Tracker(tracking)
        # Whose boxes, x, y, width, height, with scores, of the last frame.
        self._followed: list[tuple[tuple[float, ...], float]] = []
        self._since = detect_every

    def __call__(self, frame: np.ndarray, time: float) -> list[Person]:
        """Finds the people of the next frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            time: of the frame in seconds; it must grow.

        Returns:
            Persons with `track_id`, in the order of their numbers; empty if nobody is there.
        """
        places = list(self._followed)
        self._since += 1
        if self._since >= self._every or not places:
            boxes, scores = self._detect(frame)
            found = [(tuple(map(float, box)), float(score)) for box, score in zip(boxes, scores, strict=True)]
            # Whom the detector does not see this time is followed all the same.
            places = found + [
                place for place in places if all(box_overlap(place[0], box) < 0.3 for box, _ in found)
            ]
            self._since = 0
        people = self._predict(frame, [box for box, _ in places]) if places else []
        people = [
            dataclasses.replace(person, score=score)
            for person, (_, score) in zip(people, places, strict=True)
        ]
        there = [(person, person_box(person)) for person in people]
        there = _apart([(person, box) for person, box in there if _is_there(person, box, frame.shape)])
        kept, boxes = [person for person, _ in there], [box for _, box in there]
        if len(kept) < len(self._followed):
            self._since = self._every  # somebody has been lost: look again
        numbers = self._tracker.update(boxes, time, joints2d=[person.joints2d for person in kept])
        self._followed = [(box, person.score) for person, box in there]
        self._smooth.keep(track.number for track in self._tracker.tracks)
        numbered = [
            self._smooth(dataclasses.replace(person, track_id=number), time)
            for person, number in zip(kept, numbers, strict=True)
            if number is not None
        ]
        return sorted(numbered, key=lambda person: person.track_id)


class Smoother:
    """Smooths people over time, each by filters of their own.

    Args:
        config: how much is smoothed; None leaves people as they are.
    """

    def __init__(self, config: SmoothingConfig | None = SmoothingConfig()):
        self._config = config
        self._filters: dict[int | None, _PersonFilter] = {}

    def __call__(self, person: Person, time: float) -> Person:
        """Smooths a person, known by `track_id`, in the frame at a time in seconds, which must grow."""
        if self._config is None:
            return person
        smooth = self._filters.setdefault(person.track_id, _PersonFilter(self._config))
        return smooth(person, time)

    def keep(self, numbers: Iterable[int]) -> None:
        """Forgets everybody but those of these numbers."""
        known = set(numbers)
        self._filters = {number: value for number, value in self._filters.items() if number in known}


class BoxTracker:
    """Looks for people in given boxes of every frame: the first is person 1, and so on.

    Args:
        predict: from a frame and boxes to Persons in the order of the boxes, such as `Model.predict`.
        boxes: from the number of a frame, from 0, and its size (height, width) to boxes x, y, width, height.
        smoothing: how much is smoothed; None leaves predictions as they are.
    """

    def __init__(
        self,
        predict: Callable[[np.ndarray, Sequence[tuple]], list[Person]],
        boxes: Callable[[int, tuple[int, int]], Sequence[tuple]],
        *,
        smoothing: SmoothingConfig | None = SmoothingConfig(),
    ):
        self._predict, self._boxes = predict, boxes
        self._smooth = Smoother(smoothing)
        self._frames = 0

    def __call__(self, frame: np.ndarray, time: float) -> list[Person]:
        """Finds the people of the next frame (H, W, 3), uint8 RGB, at a time in seconds, which must grow."""
        places = self._boxes(self._frames, frame.shape[:2])
        self._frames += 1
        people = self._predict(frame, places) if len(places) else []
        return [
            self._smooth(dataclasses.replace(person, track_id=number), time)
            for number, person in enumerate(people, start=1)
        ]


def person_box(person: Person) -> tuple[float, float, float, float]:
    """Returns the box (x, y, width, height), pixels, that a person fills, by the mesh or by the joints seen."""
    if person.vertices is not None and person.camera is not None:
        points, margin = person.camera.project(person.vertices[::_EVERY]), 0.0
    else:
        points, margin = np.asarray(person.joints2d)[np.asarray(person.confidence) > 0], _JOINT_MARGIN
    points = points[np.isfinite(points).all(axis=-1)]
    if len(points) < 2:
        return person.box
    low, high = points.min(axis=0), points.max(axis=0)
    room = margin * float((high - low).max())
    low, high = low - room, high + room
    if not ((high - low) >= 1).all():
        return person.box
    return tuple(float(value) for value in (*low, *(high - low)))


def _is_there(person: Person, box: tuple[float, ...], shape: tuple[int, ...]) -> bool:
    if float(np.mean(person.confidence)) < _SURE:
        return False
    x, y, width, height = box
    inside = max(min(x + width, shape[1]) - max(x, 0), 0) * max(min(y + height, shape[0]) - max(y, 0), 0)
    return inside >= _LEFT_INSIDE * width * height


def apart(people: Sequence[Person]) -> list[Person]:
    """Leaves out those who are somebody else, seen once more; the surer one stays, and the surest is the first."""
    return [person for person, _ in _apart([(person, person_box(person)) for person in people])]


def _apart(people: Sequence[tuple[Person, tuple]]) -> list[tuple[Person, tuple]]:
    """Does so with people whose boxes are known."""
    kept: list[tuple[Person, tuple]] = []
    for person, box in sorted(people, key=lambda pair: -pair[0].score):
        if all(box_overlap(box, other) <= _SAME for _, other in kept):
            kept.append((person, box))
    return kept


class _PersonFilter:
    """The filters of one person."""

    def __init__(self, config: SmoothingConfig):
        self._pixels, self._joints = PointFilter(config.pixels), PointFilter(config.points)
        self._vertices = PointFilter(config.points)
        self._place, self._depth = PointFilter(config.pixels), PointFilter(config.depth)
        self._rotations, self._shape = RotationFilter(config.rotations), PointFilter(config.shape)

    def __call__(self, person: Person, time: float) -> Person:
        """Returns the person with everything smoothed; what the person lacks stays None."""
        height = max(person.box[3], 1.0)
        seen = np.where((np.asarray(person.confidence) > 0)[:, None], person.joints2d, np.nan)
        pixels = self._pixels(seen, time, unit=height)
        changes = {"joints2d": np.where(np.isfinite(pixels), pixels, person.joints2d).astype(np.float32)}
        if person.translation is not None:
            translation = self._translated(person, time, height)
            changes["translation"] = translation.astype(np.float32)
            for name, smooth in (("joints3d", self._joints), ("vertices", self._vertices)):
                points = getattr(person, name)
                if points is not None:
                    around = smooth(np.asarray(points, np.float64) - person.translation, time)
                    changes[name] = (around + translation).astype(np.float32)
        if person.body is not None:
            changes["body"] = dataclasses.replace(
                person.body,
                pose=self._rotations(person.body.pose, time).astype(np.float32),
                shape=self._shape(person.body.shape[None], time)[0].astype(np.float32),
            )
        return dataclasses.replace(person, **changes)

    def _translated(self, person: Person, time: float, height: float) -> np.ndarray:
        translation = np.asarray(person.translation, np.float64)
        focal = 1.0 if person.camera is None else person.camera.focal
        depth = max(float(translation[2]), _NEAREST)
        place = self._place((focal * translation[:2] / depth)[None], time, unit=height)[0]
        depth = float(np.exp(self._depth(np.log([[depth]]), time)[0, 0]))
        return np.array([*(place / focal * depth), depth])

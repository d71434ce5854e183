"""Everybody in a video as a motion of their own: one body for all frames, evenly spaced in time, without gaps.

Files of rigs and of motion capture have one shape and one frame rate. So a person's shape is the mean over the
frames, the root stays where it was seen, and frames in which the person was not found are filled in between those
in which it was: positions along a line, rotations along the shortest arc.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe.export.motion import BodyMotion, rig_of
from hpe.geometry.so3 import rotation_exp, rotation_log

if TYPE_CHECKING:
    from hpe.people.person import Person

# y up to z up, as motion capture has it: a quarter turn about x.
_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """The body of one person over the frames of a video.

    Attributes:
        number: of the person.
        motion: frames at an even distance, their times counted from the start of the video.
        seen: (T,) bool, whether the person was found about that time; else the frame is filled in.
    """

    number: int
    motion: BodyMotion
    seen: np.ndarray


class Tracks:
    """Collects the bodies of the people of a video.

    Args:
        frames_per_second: of the motions.

    Attributes:
        lacking: why people were left out.
    """

    def __init__(self, frames_per_second: float):
        self._rate = frames_per_second
        self._people: dict[int, list[tuple[float, np.ndarray, np.ndarray, np.ndarray]]] = {}
        self._models: dict[int, str] = {}
        self.lacking: set[str] = set()

    def add(self, number: int, time: float | None, people: Sequence[Person]) -> None:
        """Adds the people of a frame, its number from 0 and its time in seconds.

        Whoever has no rig is left out, and `lacking` says why.
        """
        time = number / self._rate if time is None else time
        for index, person in enumerate(people):
            if person.body is None or person.translation is None:
                self.lacking.add("there are no body parameters, which a rig is made of")
                continue
            if rig_of(person.body.model) is None:
                self.lacking.add(
                    f"the arrays of the body {person.body.model} are not in the package, so there is no rig"
                )
                continue
            name = index if person.track_id is None else person.track_id
            self._models[name] = person.body.model
            arrays = (person.body.pose, person.body.shape, person.translation)
            self._people.setdefault(name, []).append(
                (time, *(np.array(array, np.float32) for array in arrays))
            )

    def finish(self) -> list[Track]:
        """Returns everybody's motion, in the order of their numbers."""
        return [self._track(number) for number in sorted(self._people)]

    def _track(self, number: int) -> Track:
        times, pose, shape, translation = (
            np.array(values, np.float64) for values in zip(*self._people[number], strict=True)
        )
        body = rig_of(self._models[number])
        mean = shape.mean(axis=0)
        # The root joint of another shape lies elsewhere in the body: it stays where it was seen.
        roots = _root(body, shape) + translation
        first, last = (round(time * self._rate) for time in (times[0], times[-1]))
        even = np.arange(first, last + 1) / self._rate
        before = np.clip(np.searchsorted(times, even, side="right") - 1, 0, len(times) - 1)
        after = np.minimum(before + 1, len(times) - 1)
        step = times[after] - times[before]
        share = np.clip((even - times[before]) / np.where(step > 0, step, 1.0), 0.0, 1.0)
        turned = rotation_log(np.swapaxes(pose[before], -1, -2) @ pose[after])
        pose = pose[before] @ rotation_exp(share[:, None, None] * turned)
        roots = roots[before] + share[:, None] * (roots[after] - roots[before])
        nearest = np.minimum(np.abs(even - times[before]), np.abs(even - times[after]))
        motion = BodyMotion(body, pose, mean, roots - _root(body, mean), even, name=f"person{number}")
        return Track(number, motion, nearest <= 0.5001 / self._rate)


def _root(body, shape: np.ndarray) -> np.ndarray:
    """Returns the root joint at rest (..., 3) of shape coefficients (..., S)."""
    regressor = body.joint_regressor[0].astype(np.float64)
    size = body.shape_dirs.shape[-1]
    directions = np.einsum("v,vcs->cs", regressor, body.shape_dirs.astype(np.float64))
    return regressor @ body.v_template + np.asarray(shape, np.float64)[..., :size] @ directions.T


def to_amass(track: Track) -> dict[str, np.ndarray]:
    """Returns a person's motion under the keys of AMASS, in whose world z points up.

    `poses` (T, 72) are axis-angle, the root's first, `trans` (T, 3) metres is added to the posed body, `betas` are
    the shape coefficients of `body_model`; `seen` (T,) says which frames were not filled in.
    """
    motion = track.motion
    rotations = motion.local_rotations()
    rotations[:, 0] = _TO_Z_UP @ rotations[:, 0]
    root = motion.rest_joints()[0]
    frames = len(motion.times)
    rate = 1.0 / float(np.mean(np.diff(motion.times))) if frames > 1 else 0.0
    return {
        "poses": rotation_log(rotations).reshape(frames, -1).astype(np.float32),
        "trans": (motion.root_positions() @ _TO_Z_UP.T - root).astype(np.float32),
        "betas": np.asarray(motion.shape, np.float32),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(rate),
        "body_model": np.array(motion.body.name),
        "times": motion.times.astype(np.float64),
        "seen": track.seen,
    }

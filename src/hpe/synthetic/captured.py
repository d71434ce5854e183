"""Postures of motion capture, as synthetic people take them: turned upright, whichever way they walked."""

from __future__ import annotations

import dataclasses
import functools
import os

import numpy as np
from scipy.spatial.transform import Rotation

from hpe.datasets import mocap
from hpe.datasets.sample import Skipped
from hpe.errors import UserError

# Frames a second: what follows sooner is the same posture.
_RATE = 10.0
# Turns a frame with z up into one with y up.
_Z_UP = Rotation.from_euler("x", -np.pi / 2)


@dataclasses.dataclass(frozen=True)
class Postures:
    """N postures.

    Attributes:
        poses: (N, 72) float32 axis-angle. Where `upright`, the root is turned from a body that stands, y up, and
            looks along z, without its heading; else it means nothing.
        upright: (N,) bool: whether the recording says which way is up.
    """

    poses: np.ndarray
    upright: np.ndarray

    def __len__(self) -> int:
        return len(self.poses)


@functools.lru_cache(maxsize=2)
def read_postures(folder: str | os.PathLike) -> Postures:
    """Reads what `hpe.datasets.mocap` finds below a folder; kept for the next call.

    Raises:
        UserError: there is none, or nothing of it can be used.
    """
    found = mocap.find_recordings(folder)
    recordings = [recording for name in sorted(found.sequences) for recording in found.sequences[name]]
    read = [mocap.load_sequence(recording, fps=_RATE) for recording in recordings]
    sequences = [sequence for sequence in read if not isinstance(sequence, Skipped)]
    if not sequences:
        reasons = sorted({one.reason for one in read if isinstance(one, Skipped)})
        raise UserError(
            f"{folder}: no recording could be used ({', '.join(reasons) or 'record files only'})."
        )
    poses = np.concatenate([_without_heading(sequence) for sequence in sequences])
    upright = np.repeat([bool(one.up) for one in sequences], [len(one.pose) for one in sequences])
    return Postures(poses, upright)


def _without_heading(sequence: mocap.Sequence) -> np.ndarray:
    poses = sequence.pose.copy()
    if not sequence.up:
        return poses
    root = Rotation.from_rotvec(poses[:, :3])
    root = _Z_UP * root if sequence.up == "z" else root
    forward = root.apply([0.0, 0.0, 1.0])
    heading = np.arctan2(forward[:, 0], forward[:, 2])
    poses[:, :3] = (Rotation.from_euler("y", -heading[:, None]) * root).as_rotvec()
    return poses

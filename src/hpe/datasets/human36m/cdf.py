"""Human3.6M's own release of 3D positions: `S9/MyPoseFeatures/D3_Positions/Directions 1.cdf`.

The variable `Pose` holds 96 numbers per frame, 32 joints in the world in millimetres, at 50 frames per second.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from hpe.datasets.human36m.h5 import find_recordings
from hpe.datasets.human36m.names import NUM_RAW_JOINTS
from hpe.datasets.human36m.recordings import Recordings, select_joints
from hpe.errors import UserError
from hpe.formats.cdf import load_cdf

POSITIONS = pathlib.PurePath("MyPoseFeatures") / "D3_Positions"
FRAMES_PER_SECOND = 50.0
_VARIABLE = "Pose"
_MM_PER_M = 1000.0


def find_positions(directory: str | os.PathLike) -> Recordings | None:
    """Finds the 3D positions of this layout in a folder; None where there are none."""
    return find_recordings(directory, POSITIONS, "cdf", read_positions, frames_per_second=FRAMES_PER_SECOND)


def read_positions(path: str | os.PathLike) -> np.ndarray:
    """Returns joints (T, 17, 3) in the world, metres.

    Raises:
        UserError: if the file is no CDF, is damaged, or holds something else.
    """
    values = load_cdf(path, _VARIABLE)
    if values.dtype.kind != "f" or values.ndim not in (2, 3) or values.size % (3 * NUM_RAW_JOINTS):
        raise _wrong(path, values)
    # One record of all frames, or one record per frame.
    if values.shape[-1] != 3 * NUM_RAW_JOINTS:
        raise _wrong(path, values)
    return select_joints(str(path), values.reshape(-1, NUM_RAW_JOINTS, 3)) / _MM_PER_M


def _wrong(path, values: np.ndarray) -> UserError:
    found = "x".join(map(str, values.shape))
    return UserError(
        f"{path}: {_VARIABLE} must be {3 * NUM_RAW_JOINTS} numbers per frame. Received: {found} {values.dtype}"
    )

"""Human3.6M in the h5 files of 3d-pose-baseline: positions in the world, and detections of Stacked Hourglass.

`S9/MyPoses/3D_positions/Directions 1.h5` holds `3D_positions` (96, T) in millimetres;
`S9/StackedHourglass/Directions_1.54138969.h5` holds `poses` (T, 16, 2) in pixels, `mpii16`. Detections that were
fine-tuned on Human3.6M lie in a folder StackedHourglassFineTuned240.
"""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Callable

import numpy as np

from hpe.datasets.human36m.names import CAMERAS, NUM_RAW_JOINTS, Trial, is_subject, parse_trial
from hpe.datasets.human36m.recordings import Detections, Recordings, check_joints2d, select_joints
from hpe.errors import UserError
from hpe.formats import hdf5

POSITIONS = pathlib.PurePath("MyPoses") / "3D_positions"
# Folders of detections and what they are called in records.
DETECTIONS = {"StackedHourglass": "sh", "StackedHourglassFineTuned240": "sh_ft"}
_DETECTED_JOINTS = 16
_MM_PER_M = 1000.0


def find_positions(directory: str | os.PathLike) -> Recordings | None:
    """Finds the 3D positions of this layout in a folder; None where there are none."""
    # The release has 50 frames per second, but copies of it that keep every few frames look just alike.
    return find_recordings(directory, POSITIONS, "h5", read_positions, frames_per_second=0.0)


def find_recordings(
    directory: str | os.PathLike,
    positions: pathlib.PurePath,
    suffix: str,
    read: Callable[[pathlib.Path], np.ndarray],
    *,
    frames_per_second: float,
) -> Recordings | None:
    """Finds 3D positions that lie in one file per trial, `S9/<positions>/<trial>.<suffix>`.

    Args:
        directory: with the folders of the subjects.
        positions: the folder in each of them.
        suffix: of the files, and the name of the layout.
        read: returns the joints (T, 17, 3) of a file, in the world, metres.
        frames_per_second: of all of them, 0 where it is unknown.

    Returns:
        The recordings, None where there are none.
    """
    found, strangers = {}, []
    for folder in subject_folders(directory):
        for path in sorted((folder / positions).glob(f"*.{suffix}")):
            # macOS leaves a file `._name` beside each on disks of other systems.
            if path.name.startswith("."):
                continue
            if (trial := parse_trial(folder.name, path.stem)) is None:
                strangers.append(str(path.relative_to(directory)))
            else:
                found[trial] = functools.partial(read, path)
    return Recordings(suffix, found, {}, frames_per_second, tuple(strangers)) if found else None


def find_detections(directory: str | os.PathLike) -> dict[str, Detections]:
    """Finds the detections in a folder, by their name in records."""
    found = {}
    for folder_name, name in DETECTIONS.items():
        files = {}
        for folder in subject_folders(directory):
            for path in sorted((folder / folder_name).glob("*.h5")):
                stem, _, camera = path.stem.rpartition(".")
                trial: Trial | None = parse_trial(folder.name, stem)
                if trial is not None and camera in CAMERAS:
                    files[trial, camera] = functools.partial(read_detections, path)
        if files:
            found[name] = Detections("mpii16", files)
    return found


def subject_folders(directory: str | os.PathLike) -> list[pathlib.Path]:
    """Returns the folders S1, S5, ... in a folder."""
    try:
        folders = [
            path for path in pathlib.Path(directory).iterdir() if is_subject(path.name) and path.is_dir()
        ]
    except OSError as error:
        raise UserError(f"{directory}: cannot be listed ({error.strerror or error}).") from error
    return sorted(folders, key=lambda path: int(path.name[1:]))


def read_positions(path: str | os.PathLike) -> np.ndarray:
    """Returns joints (T, 17, 3) in the world, metres.

    Raises:
        UserError: if the file holds something else.
    """
    values = hdf5.read_array(path, "3D_positions")
    if values.ndim != 2 or values.shape[0] != 3 * NUM_RAW_JOINTS:
        found = "x".join(map(str, values.shape))
        raise UserError(f"{path}: 3D_positions must be {3 * NUM_RAW_JOINTS}xT. Received: {found}")
    return select_joints(str(path), values.T.reshape(-1, NUM_RAW_JOINTS, 3)) / _MM_PER_M


def read_detections(path: str | os.PathLike) -> np.ndarray:
    """Returns joints (T, 16, 2 or 3) in pixels, `mpii16`; raises UserError if the file holds something else."""
    return check_joints2d(str(path), hdf5.read_array(path, "poses"), _DETECTED_JOINTS)

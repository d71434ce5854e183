"""Motion capture as SMPL poses: HMR's pickles, AMASS npz files, and HMR's own record files.

A folder of recordings becomes sets by the folders in it: `mocap/CMU/01/01_01.pkl` belongs to the set `CMU`, and
`neutrSMPL_CMU/...`, as HMR names it, too. HMR's files `neutrSMPL_<set>_*.tfrecord` are used as they are.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re

import numpy as np

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from hpe.formats.npz import load_npz
from hpe.formats.pickles import load_pickle

# SMPL-H and SMPL-X put the body's 22 joints first; hands of SMPL are not in them.
BODY_POSE_SIZE = 66
# Test subjects of Human3.6M must not teach the critic.
H36M_TEST_SUBJECTS = ("S9", "S11")

_KEYS = ("poses", "betas", "mocap_framerate", "mocap_frame_rate")

RECORD_PREFIX = "neutrSMPL_"
_H36M_SET = re.compile(r"(?:h|human)_?3\.?6m?", re.IGNORECASE)
_RECORD_NAME = re.compile(rf"{RECORD_PREFIX}(.+)_\d+\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A pickle or npz file.

    Attributes:
        name: its path below the folder of the recordings.
        path: its path.
        set_name: the set that it belongs to.
    """

    name: str
    path: str
    set_name: str


@dataclasses.dataclass(frozen=True)
class Recordings:
    """What a folder of motion capture holds.

    Attributes:
        sequences: for every set its pickles and npz files, sorted.
        records: for every set the paths of HMR's record files, sorted.
    """

    sequences: dict[str, list[Recording]]
    records: dict[str, list[str]]


@dataclasses.dataclass(frozen=True)
class Sequence:
    """The frames of one recording.

    Attributes:
        name: that of the recording.
        pose: (F, 72) float32 axis-angle, root first, in the frame of the recording.
        shape: (10,) float32 shape coefficients.
    """

    name: str
    pose: np.ndarray
    shape: np.ndarray


def find_recordings(directory: str | os.PathLike, *, set_name: str = "") -> Recordings:
    """Finds all motion capture below a folder.

    Args:
        directory: the folder.
        set_name: puts all pickles and npz files into one set of this name, instead of one per folder.

    Returns:
        The Recordings.

    Raises:
        UserError: if there are none.
    """
    directory = pathlib.Path(directory)
    sequences: dict[str, list[Recording]] = {}
    records: dict[str, list[str]] = {}
    for path in sorted(directory.rglob("*")):
        if match := _RECORD_NAME.fullmatch(path.name):
            records.setdefault(match[1], []).append(str(path))
        elif path.suffix in (".pkl", ".npz"):
            below = path.relative_to(directory)
            folder = below.parts[0] if len(below.parts) > 1 else directory.resolve().name
            name = set_name or folder.removeprefix(RECORD_PREFIX)
            sequences.setdefault(name, []).append(Recording(str(below), str(path), name))
    if not sequences and not records:
        raise UserError(f"{directory}: holds no *.pkl, *.npz or {RECORD_PREFIX}*.tfrecord, at any depth.")
    return Recordings(sequences, records)


def loader(*, fps: float):
    """Returns a picklable function of a Recording: `load_sequence` with this frame rate."""
    return functools.partial(load_sequence, fps=fps)


def load_sequence(recording: Recording, *, fps: float) -> Sequence | Skipped:
    """Reads one recording.

    Args:
        recording: a pickle with `poses` or `new_poses` (F, 72) and `betas` (10,), or an AMASS npz with `poses`
            (F, 72, 156 or 165), `betas` and `mocap_framerate`.
        fps: frames per second to keep where the recording says how many it has; 0 keeps all.

    Returns:
        The Sequence, or why there is none.
    """
    name, path = recording.name, recording.path
    if _is_h36m_test(recording):
        return Skipped(name, "test subject of Human3.6M")
    try:
        content = load_npz(path, _KEYS, objects=False) if path.endswith(".npz") else load_pickle(path)
    except UserError:
        # One damaged or malicious file among thousands is left out and listed like a damaged image.
        return Skipped(name, "file cannot be read as plain arrays")
    if not isinstance(content, dict):
        return Skipped(name, "holds no poses")
    poses = content.get("poses", content.get("new_poses"))
    betas = content.get("betas")
    if poses is None or betas is None:
        return Skipped(name, "holds no poses" if poses is None else "holds no betas")
    poses, betas = np.asarray(poses), np.asarray(betas)
    if poses.ndim != 2 or poses.shape[1] not in (POSE_SIZE, 156, 165) or poses.dtype.kind != "f":
        return Skipped(name, "poses are not Fx72, Fx156 or Fx165")
    if betas.ndim == 2 and len(betas):
        betas = betas[0]
    if betas.ndim != 1 or len(betas) < NUM_SHAPES or betas.dtype.kind != "f":
        return Skipped(name, "betas are fewer than 10 numbers")
    poses = _body_pose(poses[_kept_frames(len(poses), content, fps)])
    betas = betas[:NUM_SHAPES].astype(np.float32)
    if not np.isfinite(poses).all() or not np.isfinite(betas).all():
        return Skipped(name, "poses or betas are not finite")
    if len(poses) == 0:
        return Skipped(name, "holds no frames")
    return Sequence(name, poses, betas)


def _is_h36m_test(recording: Recording) -> bool:
    parts = pathlib.PurePath(recording.name).parts
    folders = (recording.set_name, *parts[:-1])
    if not any(_H36M_SET.fullmatch(folder.removeprefix(RECORD_PREFIX)) for folder in folders):
        return False
    # Files are called `S9_Directions...` or lie in a folder `S9`.
    return any(re.split(r"[_ .]", part)[0] in H36M_TEST_SUBJECTS for part in parts)


def _kept_frames(count: int, content: dict, fps: float) -> np.ndarray:
    """Returns the indices of the frames that `fps` keeps, evenly spread."""
    rate = content.get("mocap_framerate", content.get("mocap_frame_rate"))
    rate = float(np.asarray(rate)) if rate is not None else 0.0
    if fps <= 0 or not rate > fps:
        return np.arange(count)
    return np.arange(0, count, rate / fps).round().astype(int).clip(max=max(count - 1, 0))


def _body_pose(poses: np.ndarray) -> np.ndarray:
    """Returns SMPL's 72 values; SMPL-H and SMPL-X have fingers where SMPL has two rigid hands."""
    poses = poses.astype(np.float32)
    if poses.shape[1] == POSE_SIZE:
        return poses
    hands = np.zeros((len(poses), POSE_SIZE - BODY_POSE_SIZE), np.float32)
    return np.concatenate([poses[:, :BODY_POSE_SIZE], hands], axis=1)

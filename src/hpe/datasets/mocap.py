"""Motion capture as SMPL poses: HMR's pickles, AMASS npz files, CMU's BVH files, and HMR's own record files.

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
from hpe.datasets import space
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from hpe.formats.npz import load_npz
from hpe.formats.pickles import load_pickle

# SMPL-H and SMPL-X put the body's 22 joints first; hands of SMPL are not in them.
BODY_POSE_SIZE = 66
# Test subjects of Human3.6M must not teach the critic.
H36M_TEST_SUBJECTS = ("S9", "S11")

_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate")
_KEYS = ("poses", "new_poses", "betas", "gender", "surface_model_type", *_RATE_KEYS)
# Columns of the poses of SMPL-H and SMPL-X.
_SMPLH_SIZE, _SMPLX_SIZE = 156, 165

RECORD_PREFIX = "neutrSMPL_"
# Of BVH files, which may be compressed.
_BVH = (".bvh", ".bvh.gz")
_H36M_SET = re.compile(r"(?:h|human)_?3\.?6m?", re.IGNORECASE)
_RECORD_NAME = re.compile(rf"{RECORD_PREFIX}(.+)_\d+\.tfrecord")


@dataclasses.dataclass(frozen=True)
class Recording:
    """A pickle, npz or BVH file.

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
        sequences: for every set its pickles, npz and BVH files, sorted.
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
        shape: (10,) float32 shape coefficients of the neutral SMPL, None where the recording has those of another
            body, which mean other people.
        gender: `male`, `female`, `neutral`, or empty where the recording does not say.
        body_model: `smpl`, `smplh` or `smplx`: whose poses they were; empty for a rig's.
        frames_per_second: of the recording as kept, 0 where it is unknown.
        up: axis of the recording's frame that points up, `y` or `z`; empty where it is unknown.
    """

    name: str
    pose: np.ndarray
    shape: np.ndarray | None
    gender: str = ""
    body_model: str = "smpl"
    frames_per_second: float = 0.0
    up: str = ""

    @property
    def remark(self) -> str:
        """What is to be said of a recording without shape coefficients; empty for the others."""
        if self.shape is not None:
            return ""
        if not self.body_model:
            return "a rig has no shape coefficients: poses kept"
        names = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X"}
        owner = f"{self.gender} {names[self.body_model]}".strip()
        return f"shape coefficients of the {owner} body: poses kept, shapes left out"


def find_recordings(directory: str | os.PathLike, *, set_name: str = "") -> Recordings:
    """Finds all motion capture below a folder.

    Args:
        directory: the folder.
        set_name: puts all pickles, npz and BVH files into one set of this name, instead of one per folder.

    Returns:
        The Recordings.

    Raises:
        UserError: if there are none.
    """
    directory = pathlib.Path(directory)
    sequences: dict[str, list[Recording]] = {}
    records: dict[str, list[str]] = {}
    for path in sorted(directory.rglob("*")):
        # macOS leaves a file `._name` beside each on disks of other systems.
        if any(part.startswith(".") for part in path.relative_to(directory).parts) or not path.is_file():
            continue
        if match := _RECORD_NAME.fullmatch(path.name):
            records.setdefault(match[1], []).append(str(path))
        elif path.name.lower().endswith((".pkl", ".npz", *_BVH)):
            below = path.relative_to(directory)
            folder = below.parts[0] if len(below.parts) > 1 else directory.resolve().name
            name = set_name or folder.removeprefix(RECORD_PREFIX)
            sequences.setdefault(name, []).append(Recording(str(below), str(path), name))
    if not sequences and not records:
        raise UserError(
            f"{directory}: holds no *.pkl, *.npz, *.bvh or {RECORD_PREFIX}*.tfrecord, at any depth."
        )
    return Recordings(sequences, records)


def loader(*, fps: float):
    """Returns a picklable function of a Recording: `load_sequence` with this frame rate."""
    return functools.partial(load_sequence, fps=fps)


def load_sequence(recording: Recording, *, fps: float) -> Sequence | Skipped:
    """Reads one recording.

    Args:
        recording: a pickle with `poses` or `new_poses` (F, 72) and `betas` (10,), or an AMASS npz with `poses`
            (F, 72, 156 or 165), `betas`, `gender` and `mocap_framerate`; or a BVH file, see
            `hpe.datasets.cmu_bvh`.
        fps: frames per second to keep where the recording says how many it has; 0 keeps all.

    Returns:
        The Sequence, or why there is none.
    """
    name, path = recording.name, recording.path
    if _is_h36m_test(recording):
        return Skipped(name, "test subject of Human3.6M")
    if path.lower().endswith(_BVH):
        return _load_clip(recording, fps)
    try:
        content = load_npz(path, _KEYS) if path.lower().endswith(".npz") else load_pickle(path)
    except UserError:
        # One damaged or malicious file among thousands is left out and listed like a damaged image.
        return Skipped(name, "file cannot be read as plain arrays")
    if not isinstance(content, dict):
        return Skipped(name, "holds no poses")
    poses = content.get("poses", content.get("new_poses"))
    betas = content.get("betas")
    if poses is None or betas is None:
        return Skipped(name, "holds no poses" if poses is None else "holds no betas")
    try:
        poses, betas = np.asarray(poses), np.asarray(betas)
    except ValueError:  # lists of different lengths
        return Skipped(name, "poses or betas are no arrays")
    if (
        poses.ndim != 2
        or poses.shape[1] not in (POSE_SIZE, _SMPLH_SIZE, _SMPLX_SIZE)
        or poses.dtype.kind != "f"
    ):
        return Skipped(name, "poses are not Fx72, Fx156 or Fx165")
    if betas.ndim == 2 and len(betas):
        betas = betas[0]
    if betas.ndim != 1 or len(betas) < NUM_SHAPES or betas.dtype.kind != "f":
        return Skipped(name, "betas are fewer than 10 numbers")
    rate = _frame_rate(content)
    kept = _kept_frames(len(poses), rate, fps)
    body_model = _body_model(content, poses.shape[1])
    gender = _gender(content)
    poses = _body_pose(poses[kept])
    betas = betas[:NUM_SHAPES].astype(np.float32)
    if not np.isfinite(poses).all() or not np.isfinite(betas).all():
        return Skipped(name, "poses or betas are not finite")
    if len(poses) == 0:
        return Skipped(name, "holds no frames")
    if not space.are_radians(poses):
        return Skipped(name, space.NO_RADIANS)
    # SMPL-H has the body of SMPL; the coefficients of men, women and SMPL-X are those of other people.
    own = body_model != "smplx" and gender in ("", "neutral")
    # AMASS has z up; of HMR's pickles nobody says it.
    up = "z" if path.lower().endswith(".npz") else ""
    shape = betas if own else None
    return Sequence(name, poses, shape, gender, body_model, min(rate, fps) if fps else rate, up)


def _load_clip(recording: Recording, fps: float) -> Sequence | Skipped:
    """Reads a BVH file of the rig whose T-pose one of the clips in its folder begins with."""
    from hpe.datasets import cmu_bvh

    path = pathlib.Path(recording.path)
    try:
        sequence = cmu_bvh.read_clip(path, cmu_bvh.retargeting(path.parent))
    except UserError:
        return Skipped(
            recording.name, "BVH file cannot be read, is of another rig, or its folder has no T-pose"
        )
    rate = sequence.frames_per_second
    pose = sequence.pose[_kept_frames(len(sequence.pose), rate, fps)]
    if len(pose) == 0:
        return Skipped(recording.name, "holds no frames")
    rate = min(rate, fps) if fps else rate
    return dataclasses.replace(sequence, name=recording.name, pose=pose, shape=None, frames_per_second=rate)


def _text(value) -> str:
    """Returns a text out of an array, a list of one or bytes; empty for anything else."""
    value = np.asarray(value).ravel()
    first = value[0] if len(value) == 1 else ""
    return (first.decode("latin-1") if isinstance(first, bytes) else str(first)).strip().lower()


def _gender(content: dict) -> str:
    """Returns the gender that a recording says; `unknown` for one that is not understood."""
    if "gender" not in content:
        return ""
    said = _text(content["gender"])
    return {"m": "male", "f": "female", "n": "neutral"}.get(said[:1], "unknown")


def _body_model(content: dict, columns: int) -> str:
    said = re.sub(r"[^a-z]", "", _text(content.get("surface_model_type", "")))
    if said.startswith("smplx") or columns == _SMPLX_SIZE:
        return "smplx"
    return "smplh" if columns == _SMPLH_SIZE else "smpl"


def _is_h36m_test(recording: Recording) -> bool:
    parts = pathlib.PurePath(recording.name).parts
    folders = (recording.set_name, *parts[:-1])
    if not any(_H36M_SET.fullmatch(folder.removeprefix(RECORD_PREFIX)) for folder in folders):
        return False
    # Files are called `S9_Directions...` or lie in a folder `S9`.
    return any(re.split(r"[_ .]", part)[0] in H36M_TEST_SUBJECTS for part in parts)


def _frame_rate(content: dict) -> float:
    """Returns the frames per second that a recording says, as a number or an array of one; 0 for anything else."""
    for key in _RATE_KEYS:
        try:
            rate = float(np.asarray(content[key]).ravel()[0]) if np.size(content.get(key)) == 1 else 0.0
        except (KeyError, TypeError, ValueError):
            continue
        if 0 < rate < 1e6:
            return rate
    return 0.0


def _kept_frames(count: int, rate: float, fps: float) -> np.ndarray:
    """Returns the indices of the frames that `fps` keeps, evenly spread."""
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

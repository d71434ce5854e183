"""Human3.6M in the npz files of VideoPose3D, whose pickles are interpreted without running anything.

`data_3d_h36m.npz`: `positions_3d`, a dict of subjects of trials of (T, 32, 3) in the world, metres, 50 frames per
second. `data_2d_h36m_NAME.npz`: `positions_2d`, a dict of subjects of trials of a list over the four cameras of
(T, J, 2 or 3) in pixels, and `metadata`, which says what the joints are. Cameras are not in these files.
"""

from __future__ import annotations

import functools
import os
import pathlib

import numpy as np

from hpe import skeletons
from hpe.datasets.human36m.names import CAMERAS, Trial, is_subject, parse_trial
from hpe.datasets.human36m.recordings import Detections, Recordings, check_joints2d, select_joints
from hpe.datasets.pose_sequence import GROUND_TRUTH
from hpe.errors import UserError
from hpe.formats.npz import load_npz

POSITIONS = "data_3d_h36m.npz"
DETECTIONS_PREFIX = "data_2d_h36m_"
FRAMES_PER_SECOND = 50.0

# Detections that 3d-pose-baseline has, too, are called alike.
_NAMES = {"sh_pt_mpii": "sh", "sh_ft_h36m": "sh_ft"}
# Joint sets by number of joints and by the joints of the left side.
_LAYOUTS = {"mpii": "mpii16", "coco": "coco17", "h36m": "h36m17"}
_METADATA_KEY = "keypoints_symmetry"


def find_positions(directory: str | os.PathLike) -> Recordings | None:
    """Reads the 3D positions of this layout in a folder; None where there are none.

    Raises:
        UserError: if a file is damaged, holds something else or wants to run code.
    """
    path = pathlib.Path(directory) / POSITIONS
    if not path.is_file():
        return None
    positions, strangers = {}, []
    for subject, name, values in _entries(path, _load(path, "positions_3d")):
        trial = parse_trial(subject, name)
        if trial is None:
            strangers.append(f"{subject}/{name}")
            continue
        positions[trial] = functools.partial(select_joints, f"{path}: {trial}", _numbers(path, trial, values))
    if not positions:
        raise UserError(f"{path}: positions_3d holds no trial of Human3.6M.")
    return Recordings("npz", positions, {}, FRAMES_PER_SECOND, tuple(strangers), unit="metres")


def find_detections(directory: str | os.PathLike) -> dict[str, Detections]:
    """Reads all `data_2d_h36m_NAME.npz` of a folder but `gt`, which is projected anew; by name in records.

    Raises:
        UserError: if a file is damaged, holds something else or wants to run code.
    """
    found = {}
    for path in sorted(pathlib.Path(directory).glob(f"{DETECTIONS_PREFIX}*.npz")):
        name = path.stem.removeprefix(DETECTIONS_PREFIX)
        if name != GROUND_TRUTH:
            found[_NAMES.get(name, name)] = read_detections(path)
    return found


def read_detections(path: pathlib.Path) -> Detections:
    """Reads detections of one file; raises UserError if it is damaged, something else, or wants to run code."""
    content = load_npz(path, ("positions_2d", "metadata"))
    for key in ("positions_2d", "metadata"):
        if not isinstance(content.get(key), dict):
            raise UserError(f"{path}: has no dict {key}, as VideoPose3D's files have.")
    skeleton = _skeleton(path, content["metadata"])
    count = len(skeletons.get(skeleton))
    files = {}
    for subject, name, views in _entries(path, content["positions_2d"]):
        trial = parse_trial(subject, name)
        if trial is None:
            continue
        if isinstance(views, np.ndarray) and views.ndim:
            views = list(views)
        if not isinstance(views, list | tuple) or len(views) != len(CAMERAS):
            raise UserError(f"{path}: {trial} must be a list over {len(CAMERAS)} cameras.")
        for camera, values in zip(CAMERAS, views, strict=True):
            if values is not None:
                where = f"{path}: {trial}, camera {camera}"
                files[trial, camera] = functools.partial(
                    check_joints2d, where, _numbers(path, trial, values), count
                )
    return Detections(skeleton, files)


def _skeleton(path: pathlib.Path, metadata: dict) -> str:
    """Returns the joint set that the metadata name, or that has the same joints on the left side."""
    layout = metadata.get("layout_name")
    if isinstance(layout, str) and layout in _LAYOUTS:
        return _LAYOUTS[layout]
    try:
        left = sorted(map(int, metadata[_METADATA_KEY][0]))
        count = int(metadata["num_joints"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{path}: metadata do not say what the joints are (no {_METADATA_KEY}).") from error
    for name in _LAYOUTS.values():
        joints = skeletons.get(name).joints
        sided = [place for place, joint in enumerate(joints) if joint.startswith("left_")]
        if len(joints) == count and sided == left:
            return name
    known = ", ".join(_LAYOUTS.values())
    raise UserError(
        f"{path}: the joints are of no known set ({known}). Received: {count} joints, left: {left}"
    )


def _load(path: pathlib.Path, key: str) -> dict:
    content = load_npz(path, (key,)).get(key)
    if not isinstance(content, dict):
        raise UserError(f"{path}: has no dict {key}, as VideoPose3D's files have.")
    return content


def _entries(path: pathlib.Path, content: dict):
    """Yields subject, name of the trial, and what is said of it."""
    for subject, trials in content.items():
        if not isinstance(subject, str) or not is_subject(subject) or not isinstance(trials, dict):
            raise UserError(f"{path}: must hold a dict of trials per subject. Received: {subject!r}")
        for name, values in trials.items():
            yield subject, str(name), values


def _numbers(path: pathlib.Path, trial: Trial, values) -> np.ndarray:
    try:
        return np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {trial} holds something that is no number.") from error

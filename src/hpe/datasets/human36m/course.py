"""Human3.6M as 256-pixel crops of people: `annot/` with labels and names, and `images/`.

`annot/train.h5` holds `pose2d` (N, 17, 2), pixels of the crop, and `pose3d` (N, 17, 3), millimetres in the camera
frame; row i belongs to line i of `annot/train_images.txt`. Images are called `S6_Directions.54138969_002621.jpg`.
`annot/valid_images.txt` names images without labels. `annot/mean.txt` and `std.txt` are statistics of the 3D joints
from the pelvis; nothing is made from them, but that they belong to the labels is checked.
"""

from __future__ import annotations

import collections
import functools
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

import numpy as np

from hpe.datasets.human36m.course_images import CROP_SIZE, LabelledCrop, load_crop
from hpe.datasets.human36m.names import CAMERAS, Trial, parse_trial
from hpe.datasets.pose_sequence import GROUND_TRUTH, Keypoints, PoseSequence, SequenceSource, finite_frames
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.datasets.space import check_height
from hpe.errors import UserError
from hpe.formats import hdf5

LABELS = pathlib.PurePath("annot") / "train.h5"
SKELETON = "h36m17"
_JOINTS = 17
_MM_PER_M = 1000.0
# Every fifth of 50 frames per second.
FRAMES_PER_SECOND = 10.0
# Statistics that were computed from these labels agree to their printed digits.
_MM_TOLERANCE = 1.0

_NAME = re.compile(r"(S\d+)_(.+)\.(\d{8})_(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)


def sources(directory: str | os.PathLike) -> list[SequenceSource | Source]:
    """Returns the labelled poses, `h36m_course_poses`, and the images where there are any.

    Args:
        directory: the folder that holds `annot/`.

    Returns:
        The poses; with `images/` also `h36m_course_train` and `h36m_course_valid`, the latter without labels.

    Raises:
        UserError: if labels, names and statistics do not belong together.
    """
    directory = pathlib.Path(directory)
    annotations = directory / LABELS.parent
    joints2d, joints3d = read_labels(directory / LABELS)
    names = read_names(annotations / "train_images.txt")
    if len(names) != len(joints2d):
        raise UserError(
            f"{annotations}: train_images.txt names {len(names)} images, but train.h5 has {len(joints2d)} rows; "
            "the two do not belong together."
        )
    check_height(joints3d / _MM_PER_M, f"{directory / LABELS}: pose3d", unit="millimetres")
    notes = check_statistics(annotations, joints3d)
    options = {"directory": str(directory), "layout": "course"}
    views = _views(annotations / "train_images.txt", names)
    stream = functools.partial(_stream, views, joints2d, joints3d)
    found: list[SequenceSource | Source] = [
        SequenceSource("h36m_course_poses", len(views), stream, notes, options)
    ]
    images = directory / "images"
    if not images.is_dir():
        return found
    train = [
        LabelledCrop(name, str(images / name), joints2d[row], joints3d[row] / _MM_PER_M)
        for row, name in enumerate(names)
    ]
    found.append(Source("h36m_course_train", SKELETON, train, load_crop, options))
    if (annotations / "valid_images.txt").is_file():
        valid = [
            LabelledCrop(name, str(images / name)) for name in read_names(annotations / "valid_images.txt")
        ]
        found.append(Source("h36m_course_valid", SKELETON, valid, load_crop, options))
    return found


def read_labels(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Returns pose2d (N, 17, 2) pixels and pose3d (N, 17, 3) millimetres, float32; they may hold NaN.

    Raises:
        UserError: if the file holds something else.
    """
    labels = []
    for name, columns in (("pose2d", 2), ("pose3d", 3)):
        values = hdf5.read_array(path, name)
        if values.ndim != 3 or values.shape[1:] != (_JOINTS, columns):
            found = "x".join(map(str, values.shape))
            raise UserError(f"{path}: {name} must be Nx{_JOINTS}x{columns}. Received: {found}")
        labels.append(values.astype(np.float32))
    joints2d, joints3d = labels
    if len(joints2d) != len(joints3d):
        raise UserError(f"{path}: pose2d has {len(joints2d)} rows, but pose3d {len(joints3d)}.")
    if not len(joints2d):
        raise UserError(f"{path}: holds no poses.")
    return joints2d, joints3d


def read_names(path: str | os.PathLike) -> list[str]:
    """Returns the image names of a text file, one per line; raises UserError if there is no such file."""
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no readable list of images ({error}).") from error
    names = [line.strip() for line in lines if line.strip()]
    for name in names:
        if pathlib.PurePath(name).name != name:
            raise UserError(f"{path}: must hold base names of images. Received: {name}")
    return names


def check_statistics(annotations: pathlib.Path, joints3d: np.ndarray) -> dict[str, list[str]]:
    """Compares mean.txt and std.txt with the labels.

    Args:
        annotations: their folder; a file that is absent is noted.
        joints3d: (N, 17, 3) millimetres.

    Returns:
        Notes.

    Raises:
        UserError: if one holds something else than 17x3 finite numbers, or a deviation other than the root's is 0.
    """
    finite = joints3d[np.isfinite(joints3d).all(axis=(1, 2))].astype(np.float64)
    relative = finite - finite[:, :1]
    notes: dict[str, list[str]] = {}
    for name, compute in (("mean.txt", np.mean), ("std.txt", np.std)):
        path = annotations / name
        if not path.is_file():
            notes.setdefault("file is missing", []).append(f"annot/{name}")
            continue
        stored = _read_statistics(path)
        if name == "std.txt" and (zero := np.argwhere(stored[1:] <= 0)).size:
            joint, axis = zero[0]
            raise UserError(
                f"{path}: the deviation of joint {joint + 1} along {'xyz'[axis]} is {stored[joint + 1, axis]:g}; "
                "only the root's may be 0."
            )
        if len(relative) and np.abs(compute(relative, axis=0) - stored).max() > _MM_TOLERANCE:
            notes.setdefault("statistics are not those of train.h5", []).append(f"annot/{name}")
    return notes


def _read_statistics(path: pathlib.Path) -> np.ndarray:
    try:
        values = np.array(path.read_text(encoding="utf-8").replace(",", " ").split(), np.float64)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: holds something that is no number ({error}).") from error
    if values.size != 3 * _JOINTS or not np.isfinite(values).all():
        raise UserError(f"{path}: must hold {_JOINTS}x3 finite numbers. Received: {values.size} numbers")
    return values.reshape(_JOINTS, 3)


def _views(path: pathlib.Path, names: Sequence[str]) -> dict[tuple[Trial, str], list[int]]:
    """Groups rows by trial and camera, in the order of their frames."""
    rows = collections.defaultdict(list)
    for row, name in enumerate(names):
        match = _NAME.fullmatch(name)
        trial = parse_trial(match[1], match[2]) if match else None
        if trial is None or match[3] not in CAMERAS:
            raise UserError(
                f"{path}: line {row + 1} must be like S6_Directions.54138969_002621.jpg, with an action and a "
                f"camera of Human3.6M. Received: {name}"
            )
        rows[trial, match[3]].append((int(match[4]), row))
    return {key: [row for _, row in sorted(frames)] for key, frames in sorted(rows.items())}


def _stream(views, joints2d, joints3d) -> Iterator[PoseSequence | Skipped]:
    for (trial, camera), rows in views.items():
        yield finite_frames(
            PoseSequence(
                name=f"{trial}/{camera}",
                subject=trial.subject,
                action=trial.action,
                camera=camera,
                joints3d=joints3d[rows] / np.float32(_MM_PER_M),
                keypoints={GROUND_TRUTH: Keypoints(SKELETON, joints2d[rows])},
                image_size=(CROP_SIZE, CROP_SIZE),
                frames_per_second=FRAMES_PER_SECOND,
            )
        )

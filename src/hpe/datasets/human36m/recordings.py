"""What every layout of Human3.6M's poses comes down to, and how it becomes one sequence per camera.

A layout says where the 3D positions and the detections of every trial are; this module cuts them to their common
frames, moves the positions into every camera and projects them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np

from hpe.datasets.human36m.cameras import CameraTable
from hpe.datasets.human36m.names import (
    ACTIONS,
    CAMERAS,
    NUM_RAW_JOINTS,
    RAW_JOINTS,
    TRAIN_SUBJECTS,
    TRIALS_PER_ACTION,
    VAL_SUBJECTS,
    Trial,
)
from hpe.datasets.pose_sequence import GROUND_TRUTH, Keypoints, PoseSequence, SequenceSource, finite_frames
from hpe.datasets.sample import Skipped
from hpe.errors import UserError

# Detections and positions that differ by more frames than both of these need not begin together.
FEW_FRAMES = 10
FEW_FRAMES_FRACTION = 0.05


@dataclasses.dataclass(frozen=True)
class Detections:
    """What one detector found.

    Attributes:
        skeleton: name of its joint set.
        files: for every trial and camera a function that returns joints (T, J, 2 or 3): x, y in pixels, and the
            confidence where there is one. It raises UserError.
    """

    skeleton: str
    files: dict[tuple[Trial, str], Callable[[], np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Recordings:
    """The recordings that a folder holds, in whatever layout.

    Attributes:
        layout: name of the layout, for the manifest.
        positions: for every trial a function that returns its joints (T, 17, 3) float64 in the world, metres. It
            raises UserError.
        detections: for every detector what it found.
        frames_per_second: 0 where it is unknown.
        strangers: files and keys that name no trial.
        unit: of the positions in the files.
    """

    layout: str
    positions: dict[Trial, Callable[[], np.ndarray]]
    detections: dict[str, Detections]
    frames_per_second: float
    strangers: tuple[str, ...] = ()
    unit: str = "millimetres"


def select_joints(where: str, raw: np.ndarray) -> np.ndarray:
    """Returns the joints of `h36m17` (T, 17, 3) out of the release's 32, (T, 32, 3), or of 17 as they are.

    Raises:
        UserError: if there are neither 32 nor 17 joints.
    """
    if raw.ndim == 3 and raw.shape[2] == 3 and raw.shape[1] == NUM_RAW_JOINTS:
        return np.asarray(raw[:, RAW_JOINTS], np.float64)
    if raw.ndim == 3 and raw.shape[1:] == (len(RAW_JOINTS), 3):
        return np.asarray(raw, np.float64)
    found = "x".join(map(str, raw.shape))
    raise UserError(
        f"{where}: must hold {NUM_RAW_JOINTS} or {len(RAW_JOINTS)} joints of Human3.6M. Received: {found}"
    )


def check_joints2d(where: str, joints: np.ndarray, count: int) -> np.ndarray:
    """Returns detections (T, count, 2 or 3) as they are; raises UserError for anything else."""
    if (
        joints.ndim == 3
        and joints.shape[1] == count
        and joints.shape[2] in (2, 3)
        and joints.dtype.kind in "fiu"
    ):
        return joints
    found = "x".join(map(str, joints.shape))
    raise UserError(f"{where}: must hold Tx{count}x2 pixels. Received: {found} {joints.dtype}")


def sources(recordings: Recordings, cameras: CameraTable, options: dict) -> list[SequenceSource]:
    """Returns the datasets `h36m_train` and `h36m_val` of the subjects that there are.

    Args:
        recordings: where positions and detections are.
        cameras: the camera of every subject and camera name.
        options: where all of this comes from, for the manifest.

    Raises:
        UserError: if there is no known subject, or a camera of one is missing.
    """
    found = []
    for name, subjects in (("h36m_train", TRAIN_SUBJECTS), ("h36m_val", VAL_SUBJECTS)):
        trials = sorted((trial for trial in recordings.positions if trial.subject in subjects), key=_order)
        for subject in sorted({trial.subject for trial in trials}):
            if missing := [camera for camera in CAMERAS if (subject, camera) not in cameras]:
                raise UserError(
                    f"{options['cameras']}: has no camera {missing[0]} of {subject}, whose 3D positions are there; "
                    "take a file that has it."
                )
        if not trials:
            continue
        notes = _missing(recordings, subjects)
        others = {trial.subject for trial in recordings.positions} - {*TRAIN_SUBJECTS, *VAL_SUBJECTS}
        if others:
            notes["subject is neither for training nor for validation: left out"] = sorted(others)
        if recordings.strangers:
            notes["name of no known action: left out"] = list(recordings.strangers)
        stream = functools.partial(_stream, trials, recordings, cameras)
        found.append(SequenceSource(name, len(trials) * len(CAMERAS), stream, notes, options))
    if not found:
        known = ", ".join((*TRAIN_SUBJECTS, *VAL_SUBJECTS))
        there = ", ".join(sorted({trial.subject for trial in recordings.positions})) or "none"
        raise UserError(f"{options['directory']}: has no subject of {known}; found: {there}.")
    return found


def trial_sequences(
    trial: Trial, recordings: Recordings, cameras: CameraTable
) -> Iterator[PoseSequence | Skipped]:
    """Yields a trial as every camera sees it, or why that cannot be.

    Detections of a few frames more or less are cut, and so are the positions, to the common first frames;
    detections of quite another length or that cannot be read are left out. All of it is noted.
    """
    try:
        world = recordings.positions[trial]()
    except UserError as error:
        # One damaged file among many is left out and named like a damaged image.
        for name in CAMERAS:
            yield Skipped(f"{trial}/{name}", f"3D positions cannot be used ({_reason(error)})")
        return
    for name, image_size in CAMERAS.items():
        camera = cameras[trial.subject, name]
        joints3d = camera.to_camera(world)
        keypoints = {GROUND_TRUTH: Keypoints("h36m17", camera.project(joints3d).astype(np.float32))}
        notes = []
        for detector, detections in recordings.detections.items():
            joints, note = _detected(detections, trial, name, len(world))
            notes += [note.replace("%", detector, 1)] if note else []
            if joints is not None:
                keypoints[detector] = joints
        frames = min(len(points.joints) for points in keypoints.values())
        yield finite_frames(
            PoseSequence(
                name=f"{trial}/{name}",
                subject=trial.subject,
                action=trial.action,
                camera=name,
                joints3d=joints3d[:frames].astype(np.float32),
                keypoints={key: points.frames(slice(frames)) for key, points in keypoints.items()},
                f=camera.f.astype(np.float32),
                c=camera.c.astype(np.float32),
                k=camera.k.astype(np.float32),
                p=camera.p.astype(np.float32),
                rotation=camera.rotation.astype(np.float32),
                translation=camera.translation.astype(np.float32),
                image_size=image_size,
                frames_per_second=recordings.frames_per_second,
                notes=tuple(notes),
            )
        )


def _reason(error: UserError) -> str:
    """Returns what an error says of a file, without the file's name."""
    return str(error).partition(": ")[2].removesuffix(".") or str(error)


def _stream(trials, recordings, cameras) -> Iterator[PoseSequence | Skipped]:
    for trial in trials:
        yield from trial_sequences(trial, recordings, cameras)


def _order(trial: Trial):
    """Sorts S9 before S11."""
    return int(trial.subject[1:]), trial.action, trial.number


def _detected(detections: Detections, trial: Trial, camera: str, frames: int) -> tuple[Keypoints | None, str]:
    load = detections.files.get((trial, camera))
    if load is None:
        return None, "detections % are missing"
    try:
        values = load()
    except UserError as error:
        return None, f"detections % cannot be used ({_reason(error)}): left out"
    difference = abs(len(values) - frames)
    if difference > max(FEW_FRAMES, FEW_FRAMES_FRACTION * frames):
        return None, (
            f"detections % differ from the 3D positions by more than {FEW_FRAMES_FRACTION:.0%} of the frames: "
            "detections left out"
        )
    confidence = values[..., 2].astype(np.float32) if values.shape[2] == 3 else None
    note = "detections % and 3D positions differ by a few frames: common first frames kept"
    points = Keypoints(detections.skeleton, values[..., :2].astype(np.float32), confidence)
    return points, note if difference else ""


def _missing(recordings: Recordings, subjects: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns what Human3.6M has of some subjects and the folder has not, as notes."""
    there = {trial.subject for trial in recordings.positions}
    notes = {}
    if absent := [subject for subject in subjects if subject not in there]:
        notes["subject is missing"] = absent
    detected = {trial for found in recordings.detections.values() for trial, _ in found.files}
    trials = []
    for subject in subjects:
        if subject not in there:
            continue
        for action in ACTIONS:
            known = [trial for trial in recordings.positions if trial[:2] == (subject, action)]
            named = sorted(
                trial for trial in detected if trial[:2] == (subject, action) and trial not in known
            )
            trials += map(str, named)
            unnamed = TRIALS_PER_ACTION - len(known) - len(named)
            trials += [f"{subject}/{action} ({unnamed} of {TRIALS_PER_ACTION} trials)"] if unnamed > 0 else []
    if trials:
        notes["3D positions of a trial are missing"] = trials
    return notes

"""2D joints that a detector found in the videos of pose sequences, from a file beside the records."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Collection, Sequence

import numpy as np

from hpe.datasets.human36m.names import parse_trial
from hpe.datasets.human36m.npz import read_detections
from hpe.datasets.pose_sequence import Keypoints, PoseSequence
from hpe.errors import UserError

# Detectors saw the video, which goes on for some frames after the recording of the markers.
_MORE_FRAMES = 10


def with_detections(
    sequences: Sequence[PoseSequence], path: str, *, gaps: Collection[str] = ()
) -> list[PoseSequence]:
    """Returns the sequences with the detections of a file of `hpe.datasets.human36m.npz` as keypoints of its path.

    Args:
        sequences: with all frames of their recordings, from the first on.
        path: of the file.
        gaps: names of sequences of which frames were left out, so that detections cannot be told to belong to them.

    Raises:
        UserError: the file cannot be used, or lacks a sequence or has another number of frames of it, or a sequence
            has gaps.
    """
    if not os.path.isfile(path):
        raise UserError(f"--keypoints={path}: no such file.")
    detections = read_detections(pathlib.Path(path))
    found = []
    for sequence in sequences:
        if sequence.name in gaps:
            raise UserError(
                f"--keypoints={path}: frames of {sequence.name} were left out of the records, so that it cannot be "
                "told which detections are whose; put the file beside the recordings and run create_datasets again."
            )
        trial = parse_trial(sequence.subject, sequence.name.split("/")[1]) if "/" in sequence.name else None
        load = detections.files.get((trial, sequence.camera))
        if load is None:
            raise UserError(f"{path}: has no detections of {sequence.name}.")
        values = load()
        frames = len(sequence)
        if not frames <= len(values) <= frames + _MORE_FRAMES:
            raise UserError(
                f"{path}: has {len(values)} frames of {sequence.name}, but the records have {frames}; both must "
                "be of the same frame rate."
            )
        points = Keypoints(detections.skeleton, values[:frames, :, :2])
        if not np.isfinite(points.joints).all():
            raise UserError(f"{path}: holds joints of {sequence.name} that are not finite.")
        found.append(dataclasses.replace(sequence, keypoints={**sequence.keypoints, path: points}))
    return found

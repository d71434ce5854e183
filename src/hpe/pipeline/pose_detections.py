"""2D joints that a detector found in the videos of pose sequences, from a file beside the records."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Collection

import numpy as np

from hpe.datasets.human36m.names import parse_trial
from hpe.datasets.human36m.npz import read_detections
from hpe.datasets.pose_sequence import Keypoints, PoseSequence
from hpe.errors import SettingError, UserError

# Detectors saw the video, which goes on for some frames after the recording of the markers.
_MORE_FRAMES = 10


class DetectionFile:
    """Detections of pose sequences in a file of `hpe.datasets.human36m.npz`.

    Args:
        path: of the file.
        gaps: names of sequences of which frames were left out, so that detections cannot be told to belong to them.

    Raises:
        UserError: the file cannot be used.
    """

    def __init__(self, path: str, *, gaps: Collection[str] = ()):
        if not os.path.isfile(path):
            raise SettingError("keypoints", "no such file.", path)
        self._path, self._gaps = path, gaps
        self._detections = read_detections(pathlib.Path(path))

    def with_detections(self, sequence: PoseSequence) -> PoseSequence:
        """Returns a sequence, with all frames of its recording from the first on, that has them under the path.

        A sequence that the file lacks stays as it is.

        Raises:
            UserError: the file has another number of frames of the sequence, or the sequence has gaps.
        """
        path, detections = self._path, self._detections
        if sequence.name in self._gaps:
            raise SettingError(
                "keypoints",
                f"frames of {sequence.name} were left out of the records, so that it cannot be told which "
                "detections are whose; put the file beside the recordings and run create_datasets again.",
                path,
            )
        trial = parse_trial(sequence.subject, sequence.name.split("/")[1]) if "/" in sequence.name else None
        load = detections.files.get((trial, sequence.camera))
        if load is None:
            return sequence
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
        return dataclasses.replace(sequence, keypoints={**sequence.keypoints, path: points})

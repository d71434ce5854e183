"""Human3.6M in all its public layouts, told by what a folder holds.

3D positions come from one of three layouts (`h36m_h5`, `h36m_cdf`, `h36m_npz`), cameras and detections from any
that lie beside them. The cropped layout with `annot/` is a dataset of its own (`h36m_course`).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from hpe.datasets.human36m import cameras as h36m_cameras
from hpe.datasets.human36m import cdf as h36m_cdf
from hpe.datasets.human36m import conventions
from hpe.datasets.human36m import course as h36m_course
from hpe.datasets.human36m import h5 as h36m_h5
from hpe.datasets.human36m import npz as h36m_npz
from hpe.datasets.human36m import recordings as h36m_recordings
from hpe.datasets.pose_sequence import SequenceSource
from hpe.datasets.source import Source
from hpe.errors import UserError

_LOOKED_FOR = (
    f"S*/{h36m_h5.POSITIONS}/*.h5 (3d-pose-baseline)",
    f"S*/{h36m_cdf.POSITIONS}/*.cdf (the release)",
    f"{h36m_npz.POSITIONS} (VideoPose3D)",
    f"{h36m_course.LABELS} (256-pixel crops)",
)


def h36m(directory: str | os.PathLike) -> list[SequenceSource | Source]:
    """Returns the datasets that a folder of Human3.6M gives.

    Args:
        directory: the folder, in one of the layouts above.

    Returns:
        `h36m_train` (S1, S5-S8) and `h36m_val` (S9, S11), each where it has subjects; or, of the crops,
        `h36m_course_poses`, and with images `h36m_course_train` and `h36m_course_valid`.

    Raises:
        UserError: if the folder is in no known layout, or cameras, subjects or labels are missing or damaged.
    """
    directory = pathlib.Path(directory)
    if (directory / h36m_course.LABELS).is_file():
        return h36m_course.sources(directory)
    recordings = find_recordings(directory)
    path, cameras = h36m_cameras.find_cameras(directory)
    options = {
        "directory": str(directory),
        "layout": recordings.layout,
        "cameras": str(path),
        "detections": sorted(recordings.detections),
    }
    return h36m_recordings.sources(recordings, cameras, options)


def find_recordings(directory: str | os.PathLike) -> h36m_recordings.Recordings:
    """Returns the 3D positions and detections of a folder, which fit the cameras that lie there.

    Raises:
        UserError: if the folder is in no known layout, or positions and cameras do not belong together.
    """
    directory = pathlib.Path(directory)
    for layout in (h36m_h5, h36m_cdf, h36m_npz):
        recordings = layout.find_positions(directory)
        if recordings is None:
            continue
        path, cameras = h36m_cameras.find_cameras(directory)
        detections = h36m_h5.find_detections(directory) | h36m_npz.find_detections(directory)
        recordings = dataclasses.replace(recordings, detections=detections)
        conventions.check(recordings, cameras, directory=str(directory), cameras_file=path.name)
        return recordings
    raise UserError(f"{directory}: holds no known layout of Human3.6M; looked for {', '.join(_LOOKED_FOR)}.")

"""Flags of Human3.6M's pictures: the crops of HEMlets' authors, and frames of the videos."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.errors import SettingError
from hpe.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class Human36mPicturesConfig:
    """Pictures of Human3.6M with 3D joints."""

    hemlets_h5: str = option(
        "",
        "Create hemlets_train and hemlets_val from HEMlets' crops of Human3.6M: a file S_11_C_4_1.h5, or a folder "
        "of them.",
    )
    h36m_videos: str = option(
        "",
        "Create h36m_frames_train and h36m_frames_val from this folder: videos S9/Videos/Directions "
        "1.54138969.mp4, 3D positions in any public layout (data_3d_h36m.npz), cameras.h5 or metadata.xml.",
    )
    h36m_every: int = option(10, "Takes each frame of this number of `h36m_videos`, of each camera.")
    h36m_subject: str = option(
        "", "Whose the videos of `h36m_videos` are that lie in no folder of a subject."
    )

    def __post_init__(self):
        require_at_least(self, 1, "h36m_every")


def open_pictures(config: Human36mPicturesConfig, write: WriteConfig) -> list[Source]:
    """Returns crops and frames, as they are asked for."""
    found: list[Source] = []
    if config.hemlets_h5:
        from hpe.datasets.human36m.hemlets_h5 import hemlets_h5

        refuse_only_segmented(write, "hemlets_h5", config.hemlets_h5)
        if not pathlib.Path(config.hemlets_h5).exists():
            raise SettingError("hemlets_h5", "no such file or folder.", config.hemlets_h5)
        found += hemlets_h5(config.hemlets_h5)
    if config.h36m_videos:
        from hpe.datasets.human36m.dataset import find_recordings
        from hpe.datasets.human36m.videos import h36m_videos

        refuse_only_segmented(write, "h36m_videos", config.h36m_videos)
        folder = require_folder(config.h36m_videos, "h36m_videos")
        found += h36m_videos(
            folder, find_recordings(folder), every=config.h36m_every, subject=config.h36m_subject
        )
    return found


ENTRY = Entry(
    "h36m_pictures",
    "`hemlets_h5=DIR`, `h36m_videos=DIR`",
    Human36mPicturesConfig,
    open_pictures,
    provenance=Provenance(source="Human3.6M", licence="academic, by registration, non-commercial"),
)

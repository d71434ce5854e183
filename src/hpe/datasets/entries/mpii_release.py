"""Flags of MPII as it is released."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.datasets.mpii_release import mpii_release
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class MpiiReleaseConfig:
    """MPII Human Pose as it is released."""

    mpii_mat: str = option(
        "",
        "Create mpii_release from mpii_human_pose_v1_u12_1.mat or its folder, with images/ beside it.",
    )


def open_mpii_release(config: MpiiReleaseConfig, write: WriteConfig) -> list[Source]:
    """Returns MPII's labelled people if a file or folder is named."""
    if not config.mpii_mat:
        return []
    refuse_only_segmented(write, "mpii_mat", config.mpii_mat)
    path = pathlib.Path(config.mpii_mat)
    return [mpii_release(path if path.is_file() else require_folder(path, "mpii_mat"))]


ENTRY = Entry(
    "mpii_release",
    "`mpii_mat=FILE`",
    MpiiReleaseConfig,
    open_mpii_release,
    provenance=Provenance(source="MPII Human Pose", licence="annotations: simplified BSD"),
)

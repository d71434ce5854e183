"""Flags of MPII in the layout of Unite the People."""

from __future__ import annotations

import dataclasses

from hpe.datasets.mpii import FlagMeaning, mpii
from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class MpiiConfig:
    """MPII Human Pose as Unite the People has it."""

    mpii: bool = option(False, "Create mpii, in the layout of Unite the People.")
    mpii_dir: str = option("data/upi-s1h/data/mpii", "MPII of Unite the People: images/ and poses.npz.")
    mpii_poses_dir: str | None = option(None, "Folder of MPII's poses.npz, if not `mpii_dir`.")
    mpii_flag: FlagMeaning = option(
        FlagMeaning.AUTO, "What a 1 in the third row of MPII's poses means; auto: what most joints have."
    )


def open_mpii(config: MpiiConfig, write: WriteConfig) -> list[Source]:
    """Returns MPII if it is selected."""
    if not config.mpii:
        return []
    if config.mpii_poses_dir:
        poses = require_folder(config.mpii_poses_dir, "mpii_poses_dir", "poses.npz")
        root = require_folder(config.mpii_dir, "mpii_dir", "images")
    else:
        root = poses = require_folder(config.mpii_dir, "mpii_dir", "images", "poses.npz")
    return [
        mpii(
            root,
            poses_file=poses / "poses.npz",
            flag=config.mpii_flag,
            only_segmented=write.only_segmented,
        )
    ]


ENTRY = Entry(
    "mpii",
    "`mpii`",
    MpiiConfig,
    open_mpii,
    aliases={"create_mpii": "mpii"},
    provenance=Provenance(
        source="MPII Human Pose, masks of Unite the People",
        licence="annotations: simplified BSD; masks: research, non-commercial",
    ),
)

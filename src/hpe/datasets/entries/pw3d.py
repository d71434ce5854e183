"""Flags of 3DPW."""

from __future__ import annotations

import dataclasses

from hpe.datasets.pw3d import pw3d
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class Pw3dConfig:
    """3DPW: people outdoors with bodies, by a moving camera."""

    pw3d: str = option(
        "", "Create pw3d_train, pw3d_val and pw3d_test from this folder: sequenceFiles/ and imageFiles/."
    )
    pw3d_every: int = option(1, "Takes each frame of this number of `pw3d`.")

    def __post_init__(self):
        require_at_least(self, 1, "pw3d_every")


def open_pw3d(config: Pw3dConfig, write: WriteConfig) -> list[Source]:
    """Returns the splits of 3DPW if a folder is named."""
    if not config.pw3d:
        return []
    refuse_only_segmented(write, "pw3d", config.pw3d)
    return pw3d(require_folder(config.pw3d, "pw3d", "sequenceFiles", "imageFiles"), every=config.pw3d_every)


ENTRY = Entry(
    "pw3d",
    "`pw3d=DIR`",
    Pw3dConfig,
    open_pw3d,
    provenance=Provenance(
        source="3DPW",
        licence="academic, non-commercial; bodies: SMPL's",
        body_model="smpl",
        frames_per_second=30.0,
    ),
)

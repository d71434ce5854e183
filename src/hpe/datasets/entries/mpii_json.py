"""Flags of MPII in the JSON files of MSRA and HRNet."""

from __future__ import annotations

import dataclasses

from hpe.datasets.mpii_json import mpii_json
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class MpiiJsonConfig:
    """MPII Human Pose in the files of MSRA and HRNet."""

    mpii_json: str = option(
        "", "Create mpii_train and mpii_valid from this folder: annot/*.json of MSRA and HRNet, and images/."
    )


def open_mpii_json(config: MpiiJsonConfig, write: WriteConfig) -> list[Source]:
    """Returns MPII's splits if a folder is named."""
    if not config.mpii_json:
        return []
    refuse_only_segmented(write, "mpii_json", config.mpii_json)
    return mpii_json(require_folder(config.mpii_json, "mpii_json", "annot", "images"))


ENTRY = Entry(
    "mpii_json",
    "`mpii_json=DIR`",
    MpiiJsonConfig,
    open_mpii_json,
    provenance=Provenance(source="MPII Human Pose", licence="annotations: simplified BSD"),
)

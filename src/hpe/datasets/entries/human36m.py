"""Flags of Human3.6M: one folder becomes pose datasets, and crops become image datasets."""

from __future__ import annotations

import dataclasses

from hpe.datasets.human36m.dataset import h36m
from hpe.datasets.pose_sequence import SequenceSource
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class Human36mConfig:
    """Human3.6M."""

    h36m: str = option(
        "", "Create h36m_train and h36m_val from this folder of Human3.6M, in any of its public layouts."
    )


def open_h36m(config: Human36mConfig, write: WriteConfig) -> list[Source | SequenceSource]:
    """Returns what the folder holds if one is named: sequences, and people in crops."""
    if not config.h36m:
        return []
    refuse_only_segmented(write, "h36m", config.h36m)
    found = h36m(require_folder(config.h36m, "h36m"))
    return sorted(found, key=lambda source: isinstance(source, Source))


ENTRY = Entry(
    "h36m",
    "`h36m=DIR`",
    Human36mConfig,
    open_h36m,
    provenance=Provenance(source="Human3.6M", licence="academic, by registration, non-commercial"),
)

"""Flags of Human3.6M in the layout of the challenge of ECCV 2018."""

from __future__ import annotations

import dataclasses

from hpe.datasets.human36m.eccv18 import h36m_eccv18
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class Eccv18Config:
    """Human3.6M of the challenge of ECCV 2018."""

    h36m_eccv18: str = option(
        "",
        "Create h36m_eccv18_train and h36m_eccv18_val from this folder: ECCV18_Challenge/ and msra_cache/, as "
        "pose-hg-3d has them.",
    )


def open_eccv18(config: Eccv18Config, write: WriteConfig) -> list[Source]:
    """Returns the splits if a folder is named."""
    if not config.h36m_eccv18:
        return []
    refuse_only_segmented(write, "h36m_eccv18", config.h36m_eccv18)
    return h36m_eccv18(require_folder(config.h36m_eccv18, "h36m_eccv18"))


ENTRY = Entry(
    "h36m_eccv18",
    "`h36m_eccv18=DIR`",
    Eccv18Config,
    open_eccv18,
    provenance=Provenance(source="Human3.6M", licence="academic, by registration, non-commercial"),
)

"""Flags of FLIC."""

from __future__ import annotations

import dataclasses

from hpe.datasets.flic import flic
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class FlicConfig:
    """FLIC: upper bodies in films."""

    flic: str = option(
        "", "Create flic_train and flic_test from this folder of FLIC or FLIC-full: examples.mat, images/."
    )


def open_flic(config: FlicConfig, write: WriteConfig) -> list[Source]:
    """Returns FLIC's parts if a folder is named."""
    if not config.flic:
        return []
    refuse_only_segmented(write, "flic", config.flic)
    return flic(require_folder(config.flic, "flic", "examples.mat"))


ENTRY = Entry(
    "flic",
    "`flic=DIR`",
    FlicConfig,
    open_flic,
    provenance=Provenance(source="FLIC", licence="none stated; frames of films, research use"),
)

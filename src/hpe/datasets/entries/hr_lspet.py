"""Flags of LSP-extended in high resolution."""

from __future__ import annotations

import dataclasses

from hpe.datasets.hr_lspet import hr_lspet
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class HrLspetConfig:
    """LSP-extended in high resolution, as SPIN uses it."""

    hr_lspet: str = option(
        "", "Create hr_lspet from this folder: joints.mat and im00001.png ... of high resolution."
    )


def open_hr_lspet(config: HrLspetConfig, write: WriteConfig) -> list[Source]:
    """Returns the people if a folder is named."""
    if not config.hr_lspet:
        return []
    refuse_only_segmented(write, "hr_lspet", config.hr_lspet)
    return [hr_lspet(require_folder(config.hr_lspet, "hr_lspet", "joints.mat"))]


ENTRY = Entry(
    "hr_lspet",
    "`hr_lspet=DIR`",
    HrLspetConfig,
    open_hr_lspet,
    provenance=Provenance(source="LSP-extended in high resolution", licence="none stated; research use"),
)

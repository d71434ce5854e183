"""Flags of MPI-INF-3DHP."""

from __future__ import annotations

import dataclasses

from hpe.datasets.mpi_inf_3dhp import mpi_inf_3dhp
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class MpiInf3dhpConfig:
    """MPI-INF-3DHP, with the pictures of its videos."""

    mpi_inf_3dhp: str = option(
        "",
        "Create mpi_inf_3dhp_train and mpi_inf_3dhp_test from this folder: S1/ to S8/, mpi_inf_3dhp_test_set/.",
    )
    mpi_inf_3dhp_every: int = option(10, "Takes each frame of this number of `mpi_inf_3dhp`, of each camera.")
    mpi_inf_3dhp_universal: bool = option(
        False,
        "Of the test set of `mpi_inf_3dhp` takes univ_annot3, which the published evaluation compares with.",
    )

    def __post_init__(self):
        require_at_least(self, 1, "mpi_inf_3dhp_every")


def open_mpi_inf_3dhp(config: MpiInf3dhpConfig, write: WriteConfig) -> list[Source]:
    """Returns what the folder holds if one is named."""
    if not config.mpi_inf_3dhp:
        return []
    refuse_only_segmented(write, "mpi_inf_3dhp", config.mpi_inf_3dhp)
    return mpi_inf_3dhp(
        require_folder(config.mpi_inf_3dhp, "mpi_inf_3dhp"),
        every=config.mpi_inf_3dhp_every,
        universal=config.mpi_inf_3dhp_universal,
    )


ENTRY = Entry(
    "mpi_inf_3dhp",
    "`mpi_inf_3dhp=DIR`",
    MpiInf3dhpConfig,
    open_mpi_inf_3dhp,
    provenance=Provenance(source="MPI-INF-3DHP", licence="research, non-commercial"),
)

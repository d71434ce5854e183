"""Flags of the npz files of SPIN, PARE and their kin."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.datasets.spin import spin
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class SpinConfig:
    """People with bodies in the npz files of SPIN and PARE."""

    spin: str = option(
        "", "Create spin_NAME from NAME.npz of SPIN or PARE (dataset_extras), or from all in this folder."
    )
    spin_images: str = option(
        "", "Folder of the dataset whose pictures `spin` names, if not beside or above the file."
    )


def open_spin(config: SpinConfig, write: WriteConfig) -> list[Source]:
    """Returns the people of the file, or of each file of the folder, that is named."""
    if not config.spin:
        return []
    path = pathlib.Path(config.spin)
    images = require_folder(config.spin_images, "spin_images") if config.spin_images else None
    return spin(
        path if path.is_file() else require_folder(path, "spin"), images, only_segmented=write.only_segmented
    )


ENTRY = Entry(
    "spin",
    "`spin=FILE`",
    SpinConfig,
    open_spin,
    provenance=Provenance(
        source="labels in SPIN's form",
        licence="that of the dataset; bodies: SMPL's, non-commercial",
        body_model="smpl",
    ),
)

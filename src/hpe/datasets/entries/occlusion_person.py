"""Flags of Occlusion-Person."""

from __future__ import annotations

import dataclasses

from hpe.datasets.occlusion_person import occlusion_person
from hpe.datasets.registry import Entry, WriteConfig, refuse_only_segmented, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class OcclusionPersonConfig:
    """Occlusion-Person: rendered people between furniture."""

    occlusion_person: str = option(
        "",
        "Create occlusion_person_train and occlusion_person_val from this folder: unrealcv_*.pkl, images/.",
    )
    occlusion_person_every: int = option(1, "Takes each entry of this number of `occlusion_person`.")
    occlusion_person_hidden: bool = option(
        True, "Takes joints of `occlusion_person` behind furniture for labelled, too."
    )

    def __post_init__(self):
        require_at_least(self, 1, "occlusion_person_every")


def open_occlusion_person(config: OcclusionPersonConfig, write: WriteConfig) -> list[Source]:
    """Returns the splits if a folder is named."""
    if not config.occlusion_person:
        return []
    refuse_only_segmented(write, "occlusion_person", config.occlusion_person)
    return occlusion_person(
        require_folder(config.occlusion_person, "occlusion_person"),
        every=config.occlusion_person_every,
        hidden=config.occlusion_person_hidden,
    )


ENTRY = Entry(
    "occlusion_person",
    "`occlusion_person=DIR`",
    OcclusionPersonConfig,
    open_occlusion_person,
    provenance=Provenance(source="Occlusion-Person", licence="none stated; rendered, research use"),
)

"""Flags of COCO's people with keypoints."""

from __future__ import annotations

import dataclasses
import pathlib

from hpe.datasets.coco import coco
from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.datasets.source import Provenance, Source
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class CocoConfig:
    """COCO's people with keypoints, and what other tools write in its form."""

    coco: str = option(
        "",
        "Create coco_train and coco_val from this folder: annotations/person_keypoints_*.json and images; or from "
        "one such file.",
    )


def open_coco(config: CocoConfig, write: WriteConfig) -> list[Source]:
    """Returns a Source for each annotation file if a folder is named."""
    if not config.coco:
        return []
    folder = config.coco if pathlib.Path(config.coco).is_file() else require_folder(config.coco, "coco")
    return coco(folder, only_segmented=write.only_segmented)


ENTRY = Entry(
    "coco",
    "`coco=DIR`",
    CocoConfig,
    open_coco,
    provenance=Provenance(source="COCO", licence="annotations: CC BY 4.0; pictures: each its own"),
)

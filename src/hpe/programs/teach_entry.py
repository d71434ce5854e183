"""Flags of pictures that get their joints from two networks; see `hpe.datasets.registry`."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpe.datasets.registry import Entry, WriteConfig
from hpe.datasets.source import Provenance
from hpe.errors import SettingError
from hpe.inference.teaching import Second
from hpe.options import option, require_at_least

if TYPE_CHECKING:
    from hpe.records.writing import WriteSummary


@dataclasses.dataclass(frozen=True)
class TeachConfig:
    """Pictures without joints, for which two networks say them."""

    teach: str = option(
        "",
        "Create a dataset from pictures without joints: a folder of pictures, in which people are looked for, or a "
        "file of boxes in COCO's form; see docs/own_data.md.",
    )
    teach_name: str = option("taught", "What the dataset of `teach` is called.")
    teach_second: Second = option(
        Second.LIGHTNING,
        "Who must agree with MoveNet Thunder: lightning, or Thunder on the mirrored picture.",
    )
    teach_agreement: float = option(
        0.25, "Joints on which the two differ by more than this share of the torso are left out."
    )
    teach_min_joints: int = option(8, "People with fewer joints on which both agree are left out.")
    teach_min_side: float = option(48.0, "People whose box is smaller, in pixels, are left out.")

    def __post_init__(self):
        require_at_least(self, 1, "teach_min_joints")
        require_at_least(self, 1, "teach_min_side")
        if not 0 < self.teach_agreement <= 1:
            raise SettingError("teach_agreement", "must be above 0 and at most 1.", self.teach_agreement)
        if not re.fullmatch(r"\w[\w-]*", self.teach_name):
            raise SettingError("teach_name", "must be of letters, digits, _ and -.", self.teach_name)


def open_teach(config: TeachConfig, write: WriteConfig) -> list[Callable[[bool], WriteSummary]]:
    """Returns the function that creates the dataset, if one is asked for."""
    if not config.teach:
        return []
    if not pathlib.Path(config.teach).exists():
        raise SettingError("teach", "no such folder or file.", config.teach)
    # What writes records brings TensorFlow.
    from hpe.programs.create_taught import plan_taught

    return [plan_taught(config, write)]


ENTRY = Entry(
    "teach",
    "`teach=DIR`",
    TeachConfig,
    open_teach,
    provenance=Provenance(
        source="joints: MoveNet Thunder, where a second look agrees", licence="that of the pictures"
    ),
)

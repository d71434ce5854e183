"""Flags of your own pictures with keypoints."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from hpe.datasets.own import own
from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.datasets.source import Source
from hpe.errors import SettingError
from hpe.options import option, require_at_least


@dataclasses.dataclass(frozen=True)
class OwnConfig:
    """Your own pictures with keypoints in COCO's layout."""

    own: str = option(
        "",
        "Create datasets from your own pictures: a folder of them with keypoints in COCO's layout, or that file; "
        "see docs/own_data.md.",
    )
    own_name: str = option("own", "What the datasets of `own` are called, with _train and _val behind it.")
    own_val: float = option(0.0, "Share of the pictures of `own` that becomes a dataset for validation.")
    own_min_joints: int = option(1, "Leave out people of `own` with fewer labelled joints.")

    def __post_init__(self):
        require_at_least(self, 1, "own_min_joints")
        if not 0 <= self.own_val < 1:
            raise SettingError("own_val", "must be at least 0 and below 1.", self.own_val)
        if not re.fullmatch(r"\w[\w-]*", self.own_name):
            raise SettingError("own_name", "must be of letters, digits, _ and -.", self.own_name)


def open_own(config: OwnConfig, write: WriteConfig) -> list[Source]:
    """Returns the people of the folder or file that is named."""
    if not config.own:
        return []
    path = pathlib.Path(config.own)
    return own(
        path if path.is_file() else require_folder(path, "own"),
        name=config.own_name,
        val_share=config.own_val,
        min_joints=config.own_min_joints,
        only_segmented=write.only_segmented,
    )


ENTRY = Entry("own", "`own=DIR`", OwnConfig, open_own)

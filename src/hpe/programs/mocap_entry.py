"""Flags of motion capture, whose records are frames of their own kind; see `hpe.datasets.registry`."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from hpe.backends.threads import usable_cores
from hpe.datasets.registry import Entry, WriteConfig, require_folder
from hpe.errors import SettingError
from hpe.options import option, require_at_least

if TYPE_CHECKING:
    from hpe.records.writing import WriteSummary


@dataclasses.dataclass(frozen=True)
class MocapConfig:
    """Motion capture for the critic."""

    mocap: bool = option(
        False, "Create mocap_neutrMosh/ from HMR's pickles or records, AMASS, or CMU's BVH files."
    )
    mocap_dir: str = option(
        "data/mocap", "Recordings: *.pkl, *.npz, *.bvh, *.bvh.gz, neutrSMPL_*.tfrecord at any depth."
    )
    mocap_set: str = option(
        "", "Set that recordings belong to; by default the name of their folder in `mocap_dir`."
    )
    mocap_fps: float = option(
        30.0, "Frames per second to keep of recordings that say their rate; 0 keeps all."
    )
    synthetic_mocap: int = option(
        0, "Create the mocap set `synthetic` of this many random poses, for a critic without recordings."
    )

    def __post_init__(self):
        require_at_least(self, 0, "synthetic_mocap")
        if not 0 <= self.mocap_fps < math.inf:
            raise SettingError("mocap_fps", "must be finite and not negative.", self.mocap_fps)
        # It becomes a part of the names of files.
        if not re.fullmatch(r"[\w.-]*", self.mocap_set):
            raise SettingError("mocap_set", "must be of letters, digits, _, . and -.", self.mocap_set)


def open_mocap(config: MocapConfig, write: WriteConfig) -> list[Callable[[bool], WriteSummary]]:
    """Returns one function for every selected set."""
    # What writes records brings TensorFlow.
    from hpe.programs.create_mocap import plan_mocap, plan_synthetic

    jobs = []
    if config.mocap:
        require_folder(config.mocap_dir, "mocap_dir")
        jobs += plan_mocap(
            config.mocap_dir,
            write.data_dir,
            set_name=config.mocap_set,
            fps=config.mocap_fps,
            seed=write.seed,
            num_workers=write.num_workers or usable_cores(),
        )
    if config.synthetic_mocap:
        jobs.append(plan_synthetic(config.synthetic_mocap, write.data_dir, seed=write.seed))
    return jobs


ENTRY = Entry("mocap", "`mocap`, `synthetic_mocap=N`", MocapConfig, open_mocap)

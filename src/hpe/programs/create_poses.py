"""The Human3.6M part of `create_datasets`: one folder becomes pose datasets, and crops become image datasets."""

from __future__ import annotations

import os
from collections.abc import Callable

from hpe.datasets.human36m.dataset import h36m
from hpe.datasets.pose_sequence import PoseSource
from hpe.datasets.source import Source
from hpe.records.poses import write_sequences
from hpe.records.writing import WriteSummary


def plan_h36m(
    directory: str | os.PathLike, data_dir: str
) -> tuple[list[Callable[[bool], WriteSummary]], list[Source]]:
    """Returns one function per pose dataset that creates it, and the image datasets; checks the folder before.

    Args:
        directory: Human3.6M, in one of the layouts of `hpe.datasets.human36m.dataset`.
        data_dir: folder of the datasets.

    Raises:
        UserError: if the folder is in no known layout or incomplete.
    """
    found = h36m(directory)
    jobs = [_job(source, data_dir) for source in found if isinstance(source, PoseSource)]
    return jobs, [source for source in found if isinstance(source, Source)]


def _job(source: PoseSource, data_dir: str) -> Callable[[bool], WriteSummary]:
    return lambda progress: write_sequences(source, data_dir, progress=progress)

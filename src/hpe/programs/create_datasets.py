"""`python -m create_datasets`: public datasets and synthetic people become records.

Which datasets there are, and their flags, says `hpe.datasets.registry`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import flags

from hpe import datasets
from hpe.backends.threads import usable_cores
from hpe.datasets.pose_sequence import SequenceSource
from hpe.datasets.registry import WriteConfig
from hpe.datasets.source import Source
from hpe.datasets.splitting import split_all
from hpe.errors import UserError
from hpe.programs import flags as program_flags
from hpe.records import workers

# What writes records brings TensorFlow, which neither worker processes nor --help wait for.
if TYPE_CHECKING:
    from hpe.records.writing import WriteSummary

Job = Callable[[bool], "WriteSummary"]


def define_flags() -> None:
    """Defines the flags of all datasets and the other names of them."""
    program_flags.define(WriteConfig)
    for entry in map(datasets.get, datasets.names()):
        program_flags.define(entry.config)
        for alias, name in entry.aliases.items():
            flags.DEFINE_alias(alias, name)


def main() -> None:
    """Creates what the flags select and prints the summary."""
    from hpe.programs.creation_summary import format_summary

    write = program_flags.read(WriteConfig)
    configs = {name: program_flags.read(datasets.get(name).config) for name in datasets.names()}
    print(format_summary(create(write, configs)))
    print(f"records are in {write.data_dir}; look at them with hpe show-records")


def settings(**values) -> tuple[WriteConfig, dict[str, object]]:
    """Returns the settings of writing and of every dataset from values by their flags' names, else the defaults.

    Raises:
        TypeError: if there is no such flag.
        SettingError: if a value is out of range.
    """

    def made(config: type):
        names = [field.name for field in dataclasses.fields(config)]
        return config(**{name: values.pop(name) for name in names if name in values})

    write = made(WriteConfig)
    configs = {name: made(datasets.get(name).config) for name in datasets.names()}
    if values:
        raise TypeError(f"There is no setting called so. Received: {', '.join(values)}")
    return write, configs


def create(write: WriteConfig, configs: Mapping[str, object], *, progress: bool = True) -> list[WriteSummary]:
    """Creates the selected datasets.

    Args:
        write: to where and how.
        configs: which and from where: the settings of datasets by their names.
        progress: shows progress bars on stderr.

    Returns:
        One summary per dataset.

    Raises:
        UserError: if nothing is selected; if a folder is not what its flag promises, before anything is
            written; if another process writes one of the datasets, or the disk is full or not writable, with all
            earlier datasets whole.
    """
    jobs = plan(write, configs)
    if not jobs:
        usage = ", ".join(datasets.get(name).usage for name in datasets.names())
        raise UserError(f"nothing is selected: say {usage}, in any combination.")
    return [job(progress) for job in jobs]


def plan(write: WriteConfig, configs: Mapping[str, object]) -> Sequence[Job]:
    """Returns one function per selected dataset that creates it; checks all folders and indices before."""
    opened = [
        source for name, config in configs.items() for source in datasets.get(name).sources(config, write)
    ]
    opened = split_all(
        opened,
        data_ratio=write.data_ratio,
        validation_ratio=write.validation_ratio,
        test_ratio=write.test_ratio,
        split=write.split,
        seed=write.seed,
    )
    return [_job(source, write) for source in opened]


def _job(source: Source | SequenceSource | Job, write: WriteConfig) -> Job:
    from hpe.records.pictures import SHARE_ABOVE
    from hpe.records.poses import write_sequences
    from hpe.records.writing import write_dataset

    if isinstance(source, SequenceSource):
        return lambda progress: write_sequences(source, write.data_dir, progress=progress)
    if not isinstance(source, Source):
        return source

    if write.part_labels:
        from hpe.synthetic.part_labels import with_part_labels

        source = with_part_labels(source, write.part_labels)

    def job(progress: bool) -> WriteSummary:
        return write_dataset(
            workers.ordered_map(
                source.load, _by_picture(source.items), num_workers=write.num_workers or usable_cores()
            ),
            write.data_dir,
            source.name,
            skeleton=source.skeleton,
            shard_size=write.shard_size,
            options=source.options,
            provenance=source.provenance,
            share_above=SHARE_ABOVE,
            total=len(source.items),
            progress=progress,
        )

    return job


def _by_picture(items: Sequence[Any]) -> list[Any]:
    """Returns items in their order, but those of one picture together, so that records store it once."""
    first: dict[Any, int] = {}
    places = [
        first.setdefault(getattr(item, "image", None) or place, place) for place, item in enumerate(items)
    ]
    return [items[place] for place in np.argsort(places, kind="stable")]


if __name__ == "__main__":
    # `python -m hpe.programs.create_datasets` is this file under another name: the command line has its own.
    from hpe.programs.cli import run

    run("create-datasets")

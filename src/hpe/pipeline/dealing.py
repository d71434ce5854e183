"""Record files are dealt out to several readers, so that nobody reads what others use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hpe.records import framing
from hpe.records.reading import DatasetShards


def deal(shards: Sequence[DatasetShards], reader: int, readers: int) -> list[DatasetShards] | None:
    """Returns the datasets with the files of one of several readers.

    Large files go first, each to whoever has the fewest records: a pure function of the datasets.

    Args:
        shards: the datasets.
        reader: which reader, from 0.
        readers: how many there are.

    Returns:
        The datasets with fewer files each; None where a dataset has fewer files than there are readers, so that its
        records must be shared one by one.
    """
    if any(len(dataset.files) < readers for dataset in shards):
        return None
    return [_dealt(dataset, reader, readers) for dataset in shards]


def _dealt(dataset: DatasetShards, reader: int, readers: int) -> DatasetShards:
    manifest = dataset.manifest
    counts = (
        [shard.records for shard in manifest.shards]
        if manifest is not None and len(manifest.shards) == len(dataset.files)
        else [framing.scan(file).records for file in dataset.files]
    )
    totals, own = [0] * readers, []
    for index in sorted(range(len(counts)), key=lambda index: (-counts[index], index)):
        taker = min(range(readers), key=lambda one: (totals[one], one))
        totals[taker] += counts[index]
        if taker == reader:
            own.append(index)
    files = tuple(dataset.files[index] for index in sorted(own))
    return dataclasses.replace(dataset, files=files, count=totals[reader])

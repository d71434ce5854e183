"""Record files are dealt out to several readers, so that nobody reads what others use."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hpe.records import framing
from hpe.records.reading import DatasetShards

# A reader with fewer records shows each of them more often: less than twice as often, or files are not dealt out.
_LEAST_SHARE = 0.5


def deal(shards: Sequence[DatasetShards], reader: int, readers: int) -> list[DatasetShards] | None:
    """Returns the datasets with the files of one of several readers.

    Large files go first, each to whoever has the fewest records: a pure function of the datasets.

    Args:
        shards: the datasets.
        reader: which reader, from 0.
        readers: how many there are.

    Returns:
        The datasets with fewer files each; None where its records must be shared one by one: a dataset has fewer
        files than there are readers, or one of them would have no more than half of another's records.
    """
    dealt = []
    for dataset in shards:
        if len(dataset.files) < readers:
            return None
        hands, totals = _hands(dataset, readers)
        if min(totals) <= _LEAST_SHARE * max(totals):
            return None
        files = tuple(dataset.files[index] for index in sorted(hands[reader]))
        dealt.append(dataclasses.replace(dataset, files=files, count=totals[reader]))
    return dealt


def _hands(dataset: DatasetShards, readers: int) -> tuple[list[list[int]], list[int]]:
    """Returns which files each reader has, and how many records."""
    manifest = dataset.manifest
    counts = (
        [shard.records for shard in manifest.shards]
        if manifest is not None and len(manifest.shards) == len(dataset.files)
        else [framing.scan(file).records for file in dataset.files]
    )
    totals, hands = [0] * readers, [[] for _ in range(readers)]
    for index in sorted(range(len(counts)), key=lambda index: (-counts[index], index)):
        taker = min(range(readers), key=lambda one: (totals[one], one))
        totals[taker] += counts[index]
        hands[taker].append(index)
    return hands, totals

"""Writing a stream of Samples as a dataset of record shards with a manifest."""

from __future__ import annotations

import dataclasses
import functools
import glob
import os
import time
from collections.abc import Iterable

import tqdm

from hpe.datasets.sample import Sample, Skipped
from hpe.errors import UserError
from hpe.records.manifest import Manifest
from hpe.records.schema import encode_sample
from hpe.records.sharding import ShardWriter

SHARD_SIZE = 500
RECORD_SUFFIX = ".tfrecords"


@dataclasses.dataclass(frozen=True)
class WriteSummary:
    """What became of a stream of samples.

    Attributes:
        name: name of the dataset.
        kept: number of records written.
        with_mask: how many of them carry a mask.
        skipped: for every reason the names of the samples that were left out.
        notes: for every remark the names of the samples that were kept with something missing.
        shards, bytes: number and total size of the files.
        seconds: how long it took.
        frames: number of frames in all records; None where a record is not a sequence.
    """

    name: str
    kept: int
    with_mask: int
    skipped: dict[str, list[str]]
    notes: dict[str, list[str]]
    shards: int
    bytes: int
    seconds: float
    frames: int | None = None

    @property
    def read(self) -> int:
        """Number of samples that the dataset offered."""
        return self.kept + sum(len(names) for names in self.skipped.values())


def shard_name(name: str, index: int, total: int, revision: int = 0) -> str:
    """Returns the file name of shard `index` of `total` of the dataset `name`.

    A revision other than 0 tells the shards of a dataset from those of the older one that it replaces.
    """
    suffix = f"-r{revision}" if revision else ""
    return f"{name}-{index:05d}-of-{total:05d}{suffix}{RECORD_SUFFIX}"


def shard_pattern(name: str) -> str:
    """Returns the glob pattern of all shards of the dataset `name`."""
    return f"{name}-[0-9][0-9][0-9][0-9][0-9]-of-[0-9][0-9][0-9][0-9][0-9]*{RECORD_SUFFIX}"


def write_dataset(
    stream: Iterable[Sample | Skipped],
    directory: str | os.PathLike,
    name: str,
    *,
    skeleton: str,
    shard_size: int = SHARD_SIZE,
    options: dict | None = None,
    total: int | None = None,
    progress: bool = True,
) -> WriteSummary:
    """Writes a dataset completely or not at all; an older one of that name stays until the new one is whole.

    Args:
        stream: the samples; a `Skipped` is counted under its reason.
        directory: folder of the dataset.
        name: name of the dataset, such as `lsp_train`.
        skeleton: joint set of the dataset, for the manifest.
        shard_size: records per shard.
        options: what the dataset is created with, for the manifest.
        total: length of the stream, for the progress bar.
        progress: shows a progress bar with rate and time left on a terminal's stderr.

    Returns:
        The summary.

    Raises:
        UserError: if nothing in the stream could be kept, or the disk is full or not writable.
    """
    start = time.monotonic()
    with_mask = 0
    skipped: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    writer = ShardWriter(
        directory,
        name,
        shard_size=shard_size,
        shard_name=functools.partial(shard_name, name),
        owned=shard_pattern(glob.escape(name)),
    )

    def make_manifest(shards) -> Manifest:
        if not shards:
            reasons = ", ".join(f"{len(names)} x {reason}" for reason, names in skipped.items())
            raise UserError(
                f"{name}: no sample could be kept ({reasons or 'there are none'}); nothing written."
            )
        return Manifest(name, skeleton, shards, skipped=skipped, notes=notes, options=options or {})

    with writer, tqdm.tqdm(stream, name, total, unit="img", disable=not progress, dynamic_ncols=True) as bar:
        for sample in bar:
            if isinstance(sample, Skipped):
                skipped.setdefault(sample.reason, []).append(sample.name)
                continue
            writer.add(encode_sample(sample))
            with_mask += sample.mask is not None
            for note in sample.notes:
                notes.setdefault(note, []).append(sample.name)
        manifest = writer.commit(make_manifest)
    return WriteSummary(
        name=name,
        kept=manifest.count,
        with_mask=with_mask,
        skipped=skipped,
        notes=notes,
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
        seconds=time.monotonic() - start,
    )

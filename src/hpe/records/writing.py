"""Writing a stream of Samples as a dataset of record shards with a manifest."""

from __future__ import annotations

import collections
import dataclasses
import functools
import glob
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

import tqdm

from hpe.datasets.registry import SHARD_SIZE
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import NOWHERE, Provenance
from hpe.errors import UserError
from hpe.records.encoding import encode_sample, fields_of
from hpe.records.manifest import Manifest
from hpe.records.sharding import ShardWriter

Item = TypeVar("Item")

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
    provenance: Provenance = NOWHERE,
    share_above: int | None = None,
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
        provenance: where it comes from, for the manifest.
        share_above: of people that follow each other in the stream a picture of this many bytes or more is stored
            once, see `hpe.records.pictures`; None stores it with everybody.
        total: length of the stream, for the progress bar.
        progress: shows a progress bar with rate and time left on a terminal's stderr.

    Returns:
        The summary.

    Raises:
        UserError: if nothing in the stream could be kept, another process writes this dataset, or the disk is full
            or not writable.
    """
    people = _People(share_above)

    def facts() -> dict:
        counted = {
            "fields": dict(people.fields),
            "pictures": people.pictures,
            "skeleton3d": people.skeleton3d,
        }
        return {"options": options or {}, "provenance": provenance, **counted}

    summary = write_items(
        stream,
        directory,
        name,
        encode=people.encode,
        kind="sample",
        unit="img",
        skeleton=skeleton,
        shard_size=shard_size,
        facts=facts,
        total=total,
        progress=progress,
    )
    return dataclasses.replace(summary, with_mask=people.fields["silhouette"])


class _People:
    """Makes records of samples that follow each other, and counts what they hold."""

    def __init__(self, share_above: int | None):
        self._share_above = share_above
        self.fields: collections.Counter[str] = collections.Counter()
        self.pictures = 0
        self.skeleton3d: str | None = None
        self._picture: tuple[bytes, int] | None = None

    def encode(self, sample: Sample, position: int) -> bytes:
        """Returns the record of a sample that will have this position in its shard."""
        self.fields.update(fields_of(sample))
        if sample.joints3d is not None:
            self.skeleton3d = sample.skeleton3d or sample.skeleton
        # A shard is read without those before it.
        if position == 0 or self._picture is None or not self._is_shared(sample):
            self._picture = sample.image, position
            self.pictures += 1
        return encode_sample(sample, back=position - self._picture[1])

    def _is_shared(self, sample: Sample) -> bool:
        wanted = self._share_above is not None and len(sample.image) >= self._share_above
        return wanted and self._picture[0] == sample.image


def write_items(
    stream: Iterable[Item | Skipped],
    directory: str | os.PathLike,
    name: str,
    *,
    encode: Callable[[Item, int], bytes],
    kind: str,
    unit: str,
    skeleton: str,
    shard_size: int,
    facts: Callable[[], dict],
    notes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    total: int | None,
    progress: bool,
) -> WriteSummary:
    """Writes a dataset of any kind of records; see `write_dataset` for the other arguments.

    Args:
        stream: items with `name` and `notes`, or `Skipped`.
        directory: folder of the dataset.
        name: name of the dataset.
        encode: makes the record of an item that will have a position in its shard.
        kind: what an item is called in messages.
        unit: what it is called by the progress bar.
        skeleton: joint set of the dataset.
        shard_size: records per shard.
        facts: called when all is written: further attributes of the Manifest.
        notes: remarks on the dataset before those of its items.
        total: length of the stream.
        progress: shows a progress bar.

    Returns:
        The summary, without masks and frames.
    """
    start = time.monotonic()
    skipped: dict[str, list[str]] = {}
    noted = {note: list(names) for note, names in notes.items()}
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
                f"{name}: no {kind} could be kept ({reasons or 'there are none'}); nothing written."
            )
        return Manifest(name, skeleton, shards, skipped=skipped, notes=noted, **facts())

    with writer, tqdm.tqdm(stream, name, total, unit=unit, disable=not progress, dynamic_ncols=True) as bar:
        for item in bar:
            if isinstance(item, Skipped):
                skipped.setdefault(item.reason, []).append(item.name)
                continue
            writer.add(encode(item, writer.position))
            for note in item.notes:
                noted.setdefault(note, []).append(item.name)
        manifest = writer.commit(make_manifest)
    return WriteSummary(
        name=name,
        kept=manifest.count,
        with_mask=0,
        skipped=skipped,
        notes=noted,
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
        seconds=time.monotonic() - start,
    )

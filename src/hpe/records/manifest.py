"""The manifest of a dataset: what its shards hold, so that a lost or shortened one is found before training.

`<name>.manifest.json` is written last; where it stands, the dataset is complete. Nothing in it is believed
unchecked: every entry is of its kind, and the headers of all records are walked to count them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

from hpe.datasets.source import Provenance
from hpe.errors import UserError
from hpe.records import framing

VERSION = 2
SUFFIX = ".manifest.json"
RECREATE = "Restore the file from its source or run create_datasets for this dataset again."

# JSON has no bound for whole numbers; beyond this no file is.
_MOST = 2**53


@dataclasses.dataclass(frozen=True)
class Shard:
    """One record file of a dataset.

    Attributes:
        file: its name, without a folder.
        records: number of records.
        bytes: size of the file.
        sha256: digest of the file in hexadecimal.
    """

    file: str
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a dataset holds.

    Attributes:
        name: name of the dataset.
        skeleton: joint set that the dataset was annotated in, see `hpe.skeletons`.
        shards: its record files, in order.
        skipped: for every reason the names of the samples that were left out.
        notes: for every remark the names of the samples that were kept with something missing.
        options: what the dataset was created with.
        skeleton3d: joint set of its 3D joints, None where it has none or it is not known.
        fields: for every field of `hpe.fields` how many records have it; empty where it was not counted.
        pictures: number of stored pictures; fewer than records where people of one picture share it. 0 where it was
            not counted.
        provenance: where all of it comes from.
    """

    name: str
    skeleton: str
    shards: tuple[Shard, ...]
    skipped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    skeleton3d: str | None = None
    fields: dict[str, int] = dataclasses.field(default_factory=dict)
    pictures: int = 0
    provenance: Provenance = dataclasses.field(default_factory=Provenance)

    @property
    def count(self) -> int:
        """Number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    @property
    def digest(self) -> str:
        """SHA-256 of what the shards hold, in hexadecimal: equal records in equal shards have equal digests."""
        return hashlib.sha256("\n".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def to_json(self) -> str:
        """Returns the manifest as JSON; equal manifests give equal text."""
        content = {"version": VERSION, "count": self.count, **dataclasses.asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def load(path: str | os.PathLike) -> Manifest:
        """Reads a manifest of this version or of an older one.

        Raises:
            UserError: naming the entry, if it cannot be read, is of a newer version, or contradicts itself.
        """
        path = pathlib.Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: is not a manifest: {error}. {RECREATE}") from error
        if not isinstance(content, dict):
            raise UserError(f"{path}: is not a manifest: it is no object. {RECREATE}")
        version = content.get("version")
        if version not in (1, VERSION) or isinstance(version, bool):
            known = f"version {version} is not the known one ({VERSION})"
            raise UserError(f"{path}: is not a manifest, or {known}. {RECREATE}")
        _check(path, "", content, _MANIFEST if version == VERSION else _MANIFEST_1)
        del content["version"]
        count = content.pop("count")
        shards = tuple(Shard(**shard) for shard in content.pop("shards"))
        if "provenance" in content:
            content["provenance"] = Provenance(**content["provenance"])
        manifest = Manifest(shards=shards, **content)
        if count != manifest.count:
            raise UserError(
                f"{path}: disagrees with itself: it counts {count} records, its shards {manifest.count}. {RECREATE}"
            )
        return manifest

    def check(self, directory: str | os.PathLike, *, verify: bool = False) -> None:
        """Compares the shards on disk with the manifest: sizes and records, with `verify` their digests.

        Args:
            directory: folder of the shards.
            verify: also reads every byte and compares the digests.

        Raises:
            UserError: naming the first shard that disagrees, what was expected, what was found, what to do.
        """
        for shard in self.shards:
            path = pathlib.Path(directory) / shard.file
            expected = f"{shard.bytes} bytes with {shard.records} records"
            if not path.is_file():
                raise UserError(f"{path}: is missing; the manifest expects {expected}. {RECREATE}")
            size, found = path.stat().st_size, framing.scan(path)
            if size != shard.bytes or found.damage or found.records != shard.records:
                where = f"; the file {found.damage}" if found.damage else ""
                raise UserError(
                    f"{path}: {size} bytes with {found.records} whole records where {self.name}{SUFFIX} expects "
                    f"{expected}{where}. {RECREATE}"
                )
            if verify and (digest := sha256(path)) != shard.sha256:
                raise UserError(
                    f"{path}: its content is not what was written: SHA-256 {digest[:16]}... where the "
                    f"manifest expects {shard.sha256[:16]}.... {RECREATE}"
                )


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclasses.dataclass(frozen=True)
class _Kind:
    """What an entry must be: a test, and its words."""

    holds: Callable[[Any], bool]
    words: str


def _is_number(value, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST


def _is_text(value) -> bool:
    return isinstance(value, str)


def _is_file_name(value) -> bool:
    # Of no folder, whichever system made it.
    return (
        isinstance(value, str) and re.fullmatch(r"[^/\\\0]+", value) is not None and value not in (".", "..")
    )


def _is_rate(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST


def _is_names(value) -> bool:
    return isinstance(value, dict) and all(
        isinstance(names, list) and all(map(_is_text, names)) for names in value.values()
    )


def _is_counts(value) -> bool:
    return isinstance(value, dict) and all(_is_number(count, 0) for count in value.values())


_TEXT = _Kind(_is_text, "text")
_NAMES = _Kind(_is_names, "lists of names by their reason")
_SHARD = {
    "file": _Kind(_is_file_name, "the name of a file in the manifest's folder"),
    "records": _Kind(lambda value: _is_number(value, 1), "a whole number above 0"),
    "bytes": _Kind(lambda value: _is_number(value, 1), "a whole number above 0"),
    "sha256": _Kind(
        lambda value: _is_text(value) and re.fullmatch("[0-9a-f]{64}", value), "64 hexadecimal digits"
    ),
}
_MANIFEST_1 = {
    "version": _Kind(lambda value: True, ""),
    "count": _Kind(lambda value: _is_number(value, 0), "a whole number"),
    "name": _TEXT,
    "skeleton": _TEXT,
    "shards": [_SHARD],
    "skipped": _NAMES,
    "notes": _NAMES,
    "options": _Kind(lambda value: isinstance(value, dict), "an object"),
}
_MANIFEST = _MANIFEST_1 | {
    "skeleton3d": _Kind(lambda value: value is None or _is_text(value), "text or null"),
    "fields": _Kind(_is_counts, "whole numbers by the keys of fields"),
    "pictures": _Kind(lambda value: _is_number(value, 0), "a whole number"),
    "provenance": {
        "source": _TEXT,
        "licence": _TEXT,
        "gender": _TEXT,
        "body_model": _TEXT,
        "frames_per_second": _Kind(_is_rate, "a number that is not negative"),
    },
}


def _check(path: pathlib.Path, where: str, content, kind: dict | list | _Kind) -> None:
    """Compares an entry with its kind; raises UserError naming it."""
    if isinstance(kind, _Kind):
        if not kind.holds(content):
            raise UserError(
                f"{path}: `{where}` must be {kind.words}. Received: {str(content)[:60]!r}. {RECREATE}"
            )
        return
    wanted = dict if isinstance(kind, dict) else list
    if not isinstance(content, wanted):
        words = "an object" if wanted is dict else "a list"
        raise UserError(f"{path}: is not a manifest: `{where}` must be {words}. {RECREATE}")
    if isinstance(kind, list):
        for index, entry in enumerate(content):
            _check(path, f"{where}[{index}]", entry, kind[0])
        return
    for key in sorted(content.keys() ^ kind.keys()):
        problem = "has no" if key in kind else "has an unknown"
        raise UserError(f"{path}: is not a manifest: it {problem} `{_joined(where, key)}`. {RECREATE}")
    for key, entry in content.items():
        _check(path, _joined(where, key), entry, kind[key])


def _joined(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key

"""The manifest of a dataset: what its shards hold, so that a lost or shortened one is found before training.

`<name>.manifest.json` is written last; where it stands, the dataset is complete.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib

from hpe.errors import UserError
from hpe.records import framing

VERSION = 1
SUFFIX = ".manifest.json"


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
    """

    name: str
    skeleton: str
    shards: tuple[Shard, ...]
    skipped: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of records in all shards."""
        return sum(shard.records for shard in self.shards)

    def to_json(self) -> str:
        """Returns the manifest as JSON; equal manifests give equal text."""
        content = {"version": VERSION, "count": self.count, **dataclasses.asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True) + "\n"

    @staticmethod
    def load(path: str | os.PathLike) -> Manifest:
        """Reads a manifest.

        Raises:
            UserError: if it cannot be read, is of another version, or contradicts itself.
        """
        path = pathlib.Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
        except ValueError as error:
            raise UserError(f"{path}: is not a manifest: {error}. {RECREATE}") from error
        try:
            version = content.pop("version")
            if version != VERSION:
                raise UserError(f"{path}: version {version} is not the known one ({VERSION}). {RECREATE}")
            count = content.pop("count")
            shards = tuple(Shard(**shard) for shard in content.pop("shards"))
            manifest = Manifest(shards=shards, **content)
            total = manifest.count
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is not a manifest ({error}). {RECREATE}") from error
        if count != total:
            raise UserError(
                f"{path}: disagrees with itself: it counts {count} records, its shards {total}. {RECREATE}"
            )
        strangers = [shard.file for shard in shards if pathlib.PurePath(shard.file).name != shard.file]
        if strangers:
            raise UserError(f"{path}: names a shard outside its folder: {strangers[0]}. {RECREATE}")
        return manifest

    def check(self, directory: str | os.PathLike, *, verify: bool = False) -> None:
        """Compares the shards on disk with the manifest: presence and sizes, with `verify` their digests.

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
            size = path.stat().st_size
            if size != shard.bytes:
                found = framing.scan(path)
                where = f"; the file {found.damage}" if found.damage else ""
                raise UserError(
                    f"{path}: {size} bytes with {found.records} whole records where the manifest expects "
                    f"{expected}{where}. {RECREATE}"
                )
            if verify and (digest := sha256(path)) != shard.sha256:
                raise UserError(
                    f"{path}: its content is not what was written: SHA-256 {digest[:16]}... where the "
                    f"manifest expects {shard.sha256[:16]}.... {RECREATE}"
                )


RECREATE = "Restore the file from its source or run create_datasets for this dataset again."


def sha256(path: str | os.PathLike) -> str:
    """Returns the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

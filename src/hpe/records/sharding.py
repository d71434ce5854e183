"""Writing serialized records into shards, so that a dataset is there completely or not at all.

Shards and manifest are written into a hidden folder beside their place and flushed to disk. The shards are
then renamed to names that no file has yet, and one rename puts the new manifest in the place of the old one:
killed at any moment, the old dataset or the new one is there. The old shards go last.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import shutil
from collections.abc import Callable, Iterator

import tensorflow as tf

from hpe import files
from hpe.errors import SettingError, UserError, first_line
from hpe.records import framing
from hpe.records.manifest import SUFFIX, Manifest, Shard, sha256


class ShardWriter:
    """Writes records into shards of one dataset; use as a context manager and end with `commit`.

    Args:
        directory: folder of the dataset, made if it is absent.
        name: name of the dataset; its manifest will be `<name>.manifest.json`.
        shard_size: records per shard.
        shard_name: function of (index, number of shards, revision) that names a shard; revision is 0 unless
            the files of an older dataset have those names.
        owned: glob pattern of the shards of an older dataset of this name, which `commit` replaces.

    Raises:
        UserError: if another process writes this dataset; if the folder cannot be made, or, from any method, if the
            disk is full or not writable; the older dataset is untouched then, and no part of the new one is left.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        name: str,
        *,
        shard_size: int,
        shard_name: Callable[[int, int, int], str],
        owned: str,
    ):
        if shard_size < 1:
            raise SettingError("shard_size", "must be at least 1.", shard_size)
        self._directory = pathlib.Path(directory)
        self._name = name
        self._shard_size = shard_size
        self._shard_name = shard_name
        self._owned = owned
        self._partial = self._directory / f".{name}.partial"
        self._state = "What was there before is unchanged."
        self._writer: tf.io.TFRecordWriter | None = None
        self._records: list[int] = []
        self._bytes: list[int] = []
        self._lock = contextlib.ExitStack()

    @property
    def position(self) -> int:
        """Place of the next record in its shard, from 0."""
        return 0 if self._writer is None else self._records[-1]

    def __enter__(self) -> ShardWriter:
        with self._explain_failures(), contextlib.ExitStack() as stack:
            self._directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.lock(self._directory, self._name))
            # What a killed run left behind is worth nothing.
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir()
            self._lock = stack.pop_all()
        return self

    def __exit__(self, *_) -> None:
        if self._writer is not None:
            # The error that brought us here counts, not that the half shard cannot be finished either.
            with contextlib.suppress(tf.errors.OpError):
                self._writer.close()
        shutil.rmtree(self._partial, ignore_errors=True)
        self._lock.close()

    def add(self, serialized: bytes) -> None:
        """Appends one record."""
        with self._explain_failures():
            if self._writer is None:
                self._writer = tf.io.TFRecordWriter(str(self._path(len(self._records))))
                self._records.append(0)
                self._bytes.append(0)
            self._writer.write(serialized)
            self._records[-1] += 1
            self._bytes[-1] += framing.OVERHEAD_BYTES + len(serialized)
            if self._records[-1] == self._shard_size:
                self._finish_shard()

    def end_shard(self) -> None:
        """Ends the current shard before it is full; the next record starts another one."""
        with self._explain_failures():
            self._finish_shard()

    def commit(self, make_manifest: Callable[[tuple[Shard, ...]], Manifest]) -> Manifest:
        """Puts the new dataset into the place of the older one and returns its manifest.

        Args:
            make_manifest: function of the finished shards.
        """
        with self._explain_failures():
            self._finish_shard()
            shards, exist = self._name_shards()
            manifest = make_manifest(shards)
            written = self._partial / "manifest"
            written.write_text(manifest.to_json(), encoding="utf-8")
            files.sync(written)
            if not exist:
                for index, shard in enumerate(shards):
                    os.replace(self._path(index), self._directory / shard.file)
                files.sync(self._directory)
            os.replace(written, self._directory / f"{self._name}{SUFFIX}")
            files.sync(self._directory)
            self._state = "It is complete, but files of the older one could not be removed."
            current = {shard.file for shard in shards}
            for path in self._directory.glob(self._owned):
                if path.name not in current:
                    path.unlink()
        return manifest

    def _path(self, index: int) -> pathlib.Path:
        return self._partial / f"{index:05d}"

    def _finish_shard(self) -> None:
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        path = self._path(len(self._records) - 1)
        files.sync(path)
        size = path.stat().st_size
        if size != self._bytes[-1]:
            raise OSError(f"only {size} of {self._bytes[-1]} bytes arrived on the disk")

    def _name_shards(self) -> tuple[tuple[Shard, ...], bool]:
        """Names the shards by the first revision that is free, or that holds the very same shards already."""
        total = len(self._records)
        digests = [sha256(self._path(index)) for index in range(total)]
        for revision in itertools.count():
            shards = tuple(
                Shard(self._shard_name(index, total, revision), records, size, digest)
                for index, (records, size, digest) in enumerate(
                    zip(self._records, self._bytes, digests, strict=True)
                )
            )
            there = [shard for shard in shards if (self._directory / shard.file).exists()]
            if not there:
                return shards, False
            if len(there) == total and all(self._is_same(shard) for shard in shards):
                return shards, True
        raise AssertionError("revisions do not end")

    def _is_same(self, shard: Shard) -> bool:
        path = self._directory / shard.file
        return path.stat().st_size == shard.bytes and sha256(path) == shard.sha256

    @contextlib.contextmanager
    def _explain_failures(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise UserError(
                f"{self._directory}: cannot write {self._name}: {reason}{self._free_space()}. "
                f"{self._state} Make room or choose another `data_dir`, and run again."
            ) from error

    def _free_space(self) -> str:
        try:
            free = shutil.disk_usage(self._directory).free
        except OSError:
            return ""
        return f" ({free / 2**20:,.0f} MiB free there)"

"""Finding the shards of a dataset, ours or an original's, and refusing damaged ones before training."""

from __future__ import annotations

import dataclasses
import difflib
import glob
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Sequence

import tensorflow as tf

from hpe.errors import SettingError, UserError
from hpe.records import framing, pictures
from hpe.records.manifest import RECREATE, SUFFIX, Manifest
from hpe.records.writing import RECORD_SUFFIX, shard_pattern

# What every record of a person in an image has.
PEOPLE_KEYS = ("image/encoded", "image/x")

# HMR writes `.tfrecord`, the original hybrid HMR and we write `.tfrecords`.
_SUFFIXES = (RECORD_SUFFIX, ".tfrecord")


class AbsentDataset(UserError):
    """There is no dataset of a name."""


@dataclasses.dataclass(frozen=True)
class DatasetShards:
    """The record files of one dataset.

    Attributes:
        name: name of the dataset.
        files: paths of its files, in order.
        count: number of records in all of them.
        manifest: its manifest; None for files of the original codes, which have none.
    """

    name: str
    files: tuple[str, ...]
    count: int
    manifest: Manifest | None = None

    @property
    def shares_pictures(self) -> bool:
        """Whether people of one picture share it, see `hpe.records.pictures`."""
        return self.manifest is not None and 0 < self.manifest.pictures < self.manifest.count

    @property
    def digest(self) -> str:
        """Digest in hexadecimal of what the files hold: the manifest's; without one of names and sizes of files."""
        if self.manifest is not None:
            return self.manifest.digest
        sizes = "\n".join(f"{os.path.basename(file)} {os.path.getsize(file)}" for file in self.files)
        return hashlib.sha256(f"{self.count}\n{sizes}".encode()).hexdigest()


def find_shards(
    data_dir: str | os.PathLike,
    names: Iterable[str],
    *,
    verify: bool = False,
    keys: Sequence[str] = PEOPLE_KEYS,
    what: str = "people",
) -> list[DatasetShards]:
    """Finds datasets by name and checks that their files are whole.

    A name is looked for as `<data_dir>/<name>.manifest.json` with its shards, as the single file
    `<data_dir>/<name>.tfrecords` of the original code, as a folder `<data_dir>/<name>/` of record files, and
    as a path to a record file, manifest or folder.

    Args:
        data_dir: folder of the datasets.
        names: names or paths.
        verify: also compares every byte with its checksum; otherwise sizes are compared with the manifest,
            and without a manifest the headers of all records are walked.
        keys: what the first record of every dataset must have.
        what: what records with these keys are of, for the message.

    Returns:
        One DatasetShards per name.

    Raises:
        UserError: naming the dataset that is absent, or the file that is damaged: what was expected, what was
            found, what to do.
    """
    found = [_find(pathlib.Path(data_dir), name, verify) for name in names]
    for dataset in found:
        require_keys(dataset.files[0], keys, what)
    return found


def opener(shards: Iterable[DatasetShards]) -> Callable[[tf.Tensor], tf.data.Dataset]:
    """Returns the function that opens one file of people as a dataset of its complete serialized records."""
    if any(dataset.shares_pictures for dataset in shards):
        return lambda file: pictures.complete(tf.data.TFRecordDataset(file))
    return tf.data.TFRecordDataset


def read_person(shards: Iterable[DatasetShards], index: int) -> bytes:
    """Returns the complete serialized record at a position of datasets, reading little else.

    Raises:
        IndexError: there are not as many.
    """
    position = index
    for dataset in shards:
        if position >= dataset.count:
            position -= dataset.count
            continue
        for place, file in enumerate(dataset.files):
            # Counts of a manifest were compared with its files when they were found.
            count = dataset.manifest.shards[place].records if dataset.manifest else framing.scan(file).records
            if position < count:
                return pictures.read_people(file, [position])[0]
            position -= count
    raise IndexError(f"There are fewer records. Received: index={index}")


def check_files(files: Sequence[pathlib.Path], *, verify: bool = False) -> int:
    """Returns the number of records in files that have no manifest.

    Raises:
        UserError: naming the first file that is empty, truncated or damaged.
    """
    total = 0
    for path in files:
        scan = framing.scan(path)
        if scan.damage:
            raise UserError(f"{path}: the file {scan.damage}, after {scan.records} whole records. {RECREATE}")
        if scan.records == 0:
            raise UserError(f"{path}: holds no records. {RECREATE}")
        if verify:
            _read_through(path, scan.records)
        total += scan.records
    return total


def require_keys(path: str | os.PathLike, keys: Sequence[str], what: str) -> None:
    """Raises UserError if the first record of a whole file lacks a key that records of `what` have."""
    try:
        feature = tf.train.Example.FromString(framing.read_records(path, [0])[0]).features.feature
    except Exception as error:  # protobuf's DecodeError has no public home
        raise UserError(f"{path}: its records are not tf.train.Examples ({error}).") from error
    missing = [key for key in keys if key not in feature]
    if missing:
        raise UserError(f"{path}: holds no records of {what}: they have no {', '.join(missing)}.")


def _find(data_dir: pathlib.Path, name: str, verify: bool) -> DatasetShards:
    path = pathlib.Path(name)
    if path.name.endswith(SUFFIX):
        return _from_manifest(path, verify)
    if path.suffix in _SUFFIXES:
        if not path.is_file():
            raise UserError(f"{path}: no such record file.")
        return _from_files(path.stem, [path], verify)
    if not data_dir.is_dir() and not path.is_dir():
        raise SettingError("data_dir", f"no such folder: {data_dir}")
    manifest_path = data_dir / f"{name}{SUFFIX}"
    if manifest_path.is_file():
        return _from_manifest(manifest_path, verify)
    single = data_dir / f"{name}{RECORD_SUFFIX}"
    if single.is_file():
        return _from_files(name, [single], verify)
    # The name may be a path, even an absolute one, which is no pattern.
    base = data_dir / name
    orphans = sorted(base.parent.glob(shard_pattern(glob.escape(base.name))))
    if orphans:
        raise UserError(
            f"{manifest_path}: is missing, though {len(orphans)} shards of {name} are there: their creation "
            f"was interrupted. Run create_datasets for this dataset again."
        )
    for folder in (data_dir / name, path):
        files = sorted(
            file
            for suffix in _SUFFIXES
            for file in folder.glob(f"*{suffix}")
            # macOS leaves a file `._name` beside each on disks of other systems.
            if not file.name.startswith(".")
        )
        if files:
            return _from_files(name, files, verify)
    known = available(data_dir)
    near = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    raise AbsentDataset(
        f"{data_dir}: there is no dataset {name}; found: {', '.join(known) or 'none'}.{meant} Make it with "
        "create_datasets."
    )


def available(data_dir: str | os.PathLike) -> list[str]:
    """Returns the names of the image datasets in a folder."""
    names = {path.name.removesuffix(SUFFIX) for path in pathlib.Path(data_dir).glob(f"*{SUFFIX}")}
    shards = set(pathlib.Path(data_dir).glob(shard_pattern("*")))
    singles = set(pathlib.Path(data_dir).glob(f"*{RECORD_SUFFIX}")) - shards
    return sorted(name for name in names | {path.stem for path in singles} if not name.startswith("."))


def _from_manifest(path: pathlib.Path, verify: bool) -> DatasetShards:
    manifest = Manifest.load(path)
    if not manifest.shards:
        raise UserError(f"{path}: names no shards. {RECREATE}")
    manifest.check(path.parent, verify=verify)
    files = tuple(str(path.parent / shard.file) for shard in manifest.shards)
    return DatasetShards(manifest.name, files, manifest.count, manifest)


def _from_files(name: str, files: list[pathlib.Path], verify: bool) -> DatasetShards:
    return DatasetShards(name, tuple(map(str, files)), check_files(files, verify=verify))


def _read_through(path: pathlib.Path, records: int) -> None:
    """Reads all data of a file so that TensorFlow compares its checksums."""
    read = 0
    try:
        for _ in tf.data.TFRecordDataset(str(path)):
            read += 1
    except tf.errors.DataLossError as error:
        raise UserError(
            f"{path}: record {read} of {records} is damaged: its checksum is wrong. {RECREATE}"
        ) from error

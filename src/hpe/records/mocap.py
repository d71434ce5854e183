"""Records of motion capture: one frame each, `pose` (72) and `shape` (10), as HMR writes them.

They lie in `<data_dir>/mocap_neutrMosh/neutrSMPL_<set>_<number>.tfrecord`; HMR's own files are used as they are,
files written here have a manifest beside them.
"""

from __future__ import annotations

import glob
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.datasets.source import NOWHERE, Provenance
from hpe.errors import UserError
from hpe.records import framing
from hpe.records.manifest import SUFFIX, Manifest
from hpe.records.reading import DatasetShards, check_files, require_keys
from hpe.records.sharding import ShardWriter

FOLDER = "mocap_neutrMosh"
PREFIX = "neutrSMPL_"
# Frames per file, as in HMR.
SHARD_SIZE = 10_000
_KEYS = ("pose", "shape")


def encode_frame(pose: np.ndarray, shape: np.ndarray | None) -> bytes:
    """Returns a frame, pose (72,) and shape (10,), as a serialized `tf.train.Example`.

    A shape that is not known is zeros with a `shape_weight` of 0.
    """
    example = tf.train.Example()
    example.features.feature["pose"].float_list.value.extend(np.asarray(pose, np.float32).tolist())
    if shape is None:
        shape = np.zeros(NUM_SHAPES)
        example.features.feature["shape_weight"].float_list.value.append(0.0)
    example.features.feature["shape"].float_list.value.extend(np.asarray(shape, np.float32).tolist())
    return example.SerializeToString(deterministic=True)


def write_frames(
    frames: Iterable[tuple[np.ndarray, np.ndarray | None]],
    data_dir: str | os.PathLike,
    name: str,
    *,
    shard_size: int = SHARD_SIZE,
    skipped: dict[str, list[str]] | None = None,
    notes: dict[str, list[str]] | None = None,
    options: dict | None = None,
    provenance: Provenance = NOWHERE,
) -> Manifest:
    """Writes a set of frames completely or not at all, in the given order.

    Args:
        frames: pose (72,) and shape (10,) of every frame; None for a shape that is not known.
        data_dir: folder of the datasets.
        name: name of the set, such as `CMU`.
        shard_size: frames per file.
        skipped: for every reason the recordings that were left out, for the manifest.
        notes: for every remark the recordings that it is about, for the manifest.
        options: what the set is created with, for the manifest.
        provenance: where the frames come from, for the manifest; the frames of one set are of one body.

    Returns:
        The manifest.

    Raises:
        UserError: if the disk is full or not writable.
    """
    writer = ShardWriter(
        pathlib.Path(data_dir) / FOLDER,
        f"{PREFIX}{name}",
        shard_size=shard_size,
        shard_name=lambda index, _, revision: f"{PREFIX}{name}_{index + 1000 * revision:03d}.tfrecord",
        owned=_pattern(name),
    )
    with writer:
        for pose, shape in frames:
            writer.add(encode_frame(pose, shape))
        return writer.commit(
            lambda shards: Manifest(
                f"{PREFIX}{name}",
                "smpl24",
                shards,
                skipped=skipped or {},
                notes=notes or {},
                options=options or {},
                provenance=provenance,
            )
        )


def copy_records(files: Sequence[str | os.PathLike], data_dir: str | os.PathLike, name: str) -> Manifest:
    """Takes HMR's files of a set over as they are, after a check of every record, and writes a manifest.

    A file that is damaged or holds something else is left out, and named in the manifest.

    Args:
        files: `neutrSMPL_<name>_*.tfrecord`, in order.
        data_dir: folder of the datasets.
        name: name of the set.

    Returns:
        The manifest.

    Raises:
        UserError: naming the first file and its damage if none can be used; if the disk is full or not writable.
    """
    paths: list[pathlib.Path] = []
    counts, skipped, errors = [], {}, []
    for path in map(pathlib.Path, files):
        try:
            counts.append(check_files([path], verify=True))
            require_keys(path, _KEYS, "motion capture")
            paths.append(path)
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ").partition(". ")[0].removesuffix(".")
            skipped.setdefault(reason, []).append(path.name)
            errors.append(error)
    if not paths:
        raise errors[0]
    writer = ShardWriter(
        pathlib.Path(data_dir) / FOLDER,
        f"{PREFIX}{name}",
        shard_size=max(counts),
        shard_name=lambda index, _, revision: _copy_name(paths[index], revision),
        owned=_pattern(name),
    )
    with writer:
        for path in paths:
            try:
                for record in tf.data.TFRecordDataset(str(path)):
                    writer.add(record.numpy())
            except tf.errors.DataLossError as error:
                raise UserError(f"{path}: a record is damaged: its checksum is wrong.") from error
            writer.end_shard()
        return writer.commit(
            lambda shards: Manifest(
                f"{PREFIX}{name}", "smpl24", shards, skipped=skipped, options={"files": list(map(str, paths))}
            )
        )


def find_frames(
    data_dir: str | os.PathLike, names: Iterable[str], *, verify: bool = False
) -> list[DatasetShards]:
    """Finds sets of motion capture by name and checks that their files are whole.

    Args:
        data_dir: folder of the datasets, which holds the folder `mocap_neutrMosh`.
        names: names of the sets, such as `CMU` and `jointLim`.
        verify: also compares every byte with its checksum.

    Returns:
        One DatasetShards per name.

    Raises:
        UserError: naming the set that is absent or the file that is damaged.
    """
    return [_find(pathlib.Path(data_dir) / FOLDER, name, verify) for name in names]


def read_frames(frames: DatasetShards, *, limit: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Reads frames of a set, all or evenly spaced ones.

    Args:
        frames: a set of `find_frames`.
        limit: the most frames to read; None for all. The choice depends on this and the number of frames alone.

    Returns:
        pose (N, 72) float32 axis-angle, root first, in the frame of the recording, and shape (N, 10) float32,
        in the order of the files.

    Raises:
        UserError: naming the file of which a frame is damaged or not finite.
    """
    count = min(frames.count, frames.count if limit is None else limit)
    wanted = (2 * np.arange(count) + 1) * frames.count // (2 * max(count, 1))  # the middles of equal spans
    features = {
        "pose": tf.io.FixedLenFeature((POSE_SIZE,), tf.float32),
        "shape": tf.io.FixedLenFeature((NUM_SHAPES,), tf.float32),
    }
    poses, shapes = [np.zeros((0, POSE_SIZE), np.float32)], [np.zeros((0, NUM_SHAPES), np.float32)]
    start = 0
    for place, file in enumerate(frames.files):
        size = frames.manifest.shards[place].records if frames.manifest else framing.scan(file).records
        indices = wanted[(wanted >= start) & (wanted < start + size)] - start
        start += size
        if not len(indices):
            continue
        try:
            parsed = tf.io.parse_example(framing.read_records(file, indices.tolist()), features)
        # TensorFlow quotes the damaged bytes in its message, which need not be text.
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError, IndexError) as error:
            raise UserError(f"{file}: holds a record that is damaged or is no mocap frame.") from error
        pose, shape = parsed["pose"].numpy(), parsed["shape"].numpy()
        finite = np.isfinite(pose).all(axis=1) & np.isfinite(shape).all(axis=1)
        if not finite.all():
            frame = indices[np.argmin(finite)]
            raise UserError(f"{file}: frame {frame} is not finite; take the set from its source again.")
        poses.append(pose)
        shapes.append(shape)
    return np.concatenate(poses), np.concatenate(shapes)


def _find(folder: pathlib.Path, name: str, verify: bool) -> DatasetShards:
    files = sorted(folder.glob(_pattern(name)))
    path = folder / f"{PREFIX}{name}{SUFFIX}"
    if not files and not path.is_file():
        known = sorted(
            {file.stem.removeprefix(PREFIX).rpartition("_")[0] for file in folder.glob(_pattern("*"))}
        )
        raise UserError(
            f"{folder}: there are no files {PREFIX}{name}_*.tfrecord; found sets: "
            f"{', '.join(known) or 'none'}. Make them with create_datasets and `mocap`, or name others with "
            "`mocap_datasets`."
        )
    if not path.is_file():
        count = check_files(files, verify=verify)
        require_keys(files[0], _KEYS, "motion capture")
        return DatasetShards(name, tuple(map(str, files)), count)
    manifest = Manifest.load(path)
    manifest.check(folder, verify=verify)
    listed = [shard.file for shard in manifest.shards]
    if strangers := [file.name for file in files if file.name not in listed]:
        raise UserError(
            f"{path}: does not list {strangers[0]}, which lies beside it: "
            "remove that file, or the manifest if both belong to the set."
        )
    return DatasetShards(name, tuple(str(folder / file) for file in listed), manifest.count, manifest)


def _copy_name(path: pathlib.Path, revision: int) -> str:
    """Returns HMR's own name of a file; its number starts with the revision where that name is taken."""
    if not revision:
        return path.name
    stem, _, number = path.stem.rpartition("_")
    return f"{stem}_{revision}{number}.tfrecord"


def _pattern(name: str) -> str:
    escaped = name if name == "*" else glob.escape(name)
    return f"{PREFIX}{escaped}_[0-9]*.tfrecord"

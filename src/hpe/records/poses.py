"""Records of pose sequences: one `tf.train.Example` per recording and camera.

| key | content |
|---|---|
| poses/name, poses/subject, poses/action, poses/camera | text |
| poses/frames | number of frames T |
| poses/joints3d_h36m17_m_f32 | T x 17 x 3, metres, camera frame; absent without 3D |
| poses/keypoints | names of the origins of 2D joints |
| poses/keypoints/NAME/skeleton | name of their joint set |
| poses/keypoints/NAME/xy_px_f32, .../confidence_f32 | T x J x 2 pixels, T x J; the latter may be absent |
| camera/f, camera/c, camera/k, camera/p | focal length, principal point, distortion; absent where unknown |
| camera/rotation, camera/translation_m | world to camera, and the camera's centre in the world |
| camera/world_up | which way is up in the world; z where it is absent |
| camera/image_size, camera/fps | width and height in pixels; frames per second, 0 where unknown |

Keys in `_f32` hold the little-endian float32 values of an array in C order as bytes, which is read more than ten
times as fast as a list of floats.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.pose_sequence import Keypoints, PoseSequence, SequenceSource
from hpe.errors import UserError
from hpe.records import framing
from hpe.records.manifest import RECREATE
from hpe.records.reading import DatasetShards, find_shards
from hpe.records.writing import WriteSummary, write_items

SKELETON3D = "h36m17"
SHARD_SIZE = 100

_TEXTS = ("name", "subject", "action", "camera")
# Of every optional float list: key, field, shape.
_CAMERA = (
    ("camera/f", "f", (2,)),
    ("camera/c", "c", (2,)),
    ("camera/k", "k", (3,)),
    ("camera/p", "p", (2,)),
    ("camera/rotation", "rotation", (3, 3)),
    ("camera/translation_m", "translation", (3,)),
)
_JOINTS3D = "poses/joints3d_h36m17_m_f32"
_REQUIRED = ("poses/name", "poses/frames", "poses/keypoints")


def encode_sequence(sequence: PoseSequence) -> bytes:
    """Returns a sequence as a serialized `tf.train.Example`; equal sequences give equal bytes.

    Raises:
        ValueError: if an array has another shape than its skeleton and the number of frames say.
    """
    frames = len(sequence)
    feature = {f"poses/{key}": _text(getattr(sequence, key)) for key in _TEXTS}
    feature["poses/frames"] = _ints([frames])
    feature["poses/keypoints"] = _text(*sequence.keypoints)
    feature["camera/fps"] = _floats([sequence.frames_per_second])
    if sequence.joints3d is not None:
        shape = (frames, len(skeletons.get(SKELETON3D)), 3)
        feature[_JOINTS3D] = _packed(f"{sequence.name}: joints3d", sequence.joints3d, shape)
    for name, points in sequence.keypoints.items():
        key, what = f"poses/keypoints/{name}", f"{sequence.name}: keypoints {name}"
        joints = len(skeletons.get(points.skeleton))
        feature[f"{key}/skeleton"] = _text(points.skeleton)
        feature[f"{key}/xy_px_f32"] = _packed(what, points.joints, (frames, joints, 2))
        if points.confidence is not None:
            feature[f"{key}/confidence_f32"] = _packed(what, points.confidence, (frames, joints))
    for key, field, shape in _CAMERA:
        if (value := getattr(sequence, field)) is not None:
            feature[key] = _floats(_array(f"{sequence.name}: {field}", value, shape).ravel())
    if sequence.rotation is not None:
        up = _array(f"{sequence.name}: world_up", sequence.world_up, (3,))
        if not abs(np.linalg.norm(up) - 1) < 1e-3:
            raise ValueError(f"{sequence.name}: world_up must be of length 1. Received: {up}")
        feature["camera/world_up"] = _floats(up)
    if sequence.image_size is not None:
        feature["camera/image_size"] = _ints(sequence.image_size)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def decode_sequence(serialized: bytes) -> PoseSequence:
    """Returns the sequence of a record; its arrays are read-only.

    Raises:
        ValueError: if it is none, in words that continue "record 3 ...".
    """
    try:
        feature = tf.train.Example.FromString(serialized).features.feature
    except Exception as error:  # protobuf's DecodeError has no public home
        raise ValueError("is no tf.train.Example") from error
    if missing := [key for key in _REQUIRED if key not in feature]:
        raise ValueError(f"has no {missing[0]}")
    frames = _number(feature, "poses/frames")
    texts = {key: _string(feature, f"poses/{key}") for key in _TEXTS}
    keypoints = {}
    for name in (value.decode() for value in feature["poses/keypoints"].bytes_list.value):
        key = f"poses/keypoints/{name}"
        skeleton = _string(feature, f"{key}/skeleton")
        joints = len(skeletons.get(skeleton))
        keypoints[name] = Keypoints(
            skeleton,
            _unpacked(feature, f"{key}/xy_px_f32", (frames, joints, 2)),
            _unpacked(feature, f"{key}/confidence_f32", (frames, joints))
            if f"{key}/confidence_f32" in feature
            else None,
        )
    shape = (frames, len(skeletons.get(SKELETON3D)), 3)
    size = tuple(feature["camera/image_size"].int64_list.value) if "camera/image_size" in feature else None
    if size is not None and len(size) != 2:
        raise ValueError("has a camera/image_size that is not two numbers")
    up = _listed(feature, "camera/world_up", (3,))
    return PoseSequence(
        **texts,
        joints3d=_unpacked(feature, _JOINTS3D, shape) if _JOINTS3D in feature else None,
        keypoints=keypoints,
        **{field: _listed(feature, key, shape) for key, field, shape in _CAMERA},
        **({} if up is None else {"world_up": tuple(up.tolist())}),
        image_size=size,
        frames_per_second=float(_listed(feature, "camera/fps", ()) or 0.0),
    )


def write_sequences(
    source: SequenceSource,
    data_dir: str | os.PathLike,
    *,
    shard_size: int = SHARD_SIZE,
    progress: bool = True,
) -> WriteSummary:
    """Writes a dataset of sequences completely or not at all; an older one stays until the new one is whole.

    Args:
        source: the sequences.
        data_dir: folder of the datasets.
        shard_size: sequences per file.
        progress: shows a progress bar on a terminal's stderr.

    Returns:
        The summary.

    Raises:
        UserError: if no sequence could be kept, or the disk is full or not writable.
    """
    frames, has_3d = 0, False

    def encode(sequence: PoseSequence, _: int) -> bytes:
        nonlocal frames, has_3d
        frames += len(sequence)
        has_3d |= sequence.joints3d is not None
        return encode_sequence(sequence)

    def facts() -> dict:
        return {
            "options": source.options | {"frames": frames},
            "provenance": source.provenance,
            "skeleton3d": SKELETON3D if has_3d else None,
        }

    summary = write_items(
        source.stream(),
        data_dir,
        source.name,
        encode=encode,
        kind="sequence",
        unit="seq",
        skeleton=SKELETON3D,
        shard_size=shard_size,
        facts=facts,
        notes=source.notes,
        total=source.count,
        progress=progress,
    )
    return dataclasses.replace(summary, frames=frames)


def find_sequences(
    data_dir: str | os.PathLike, names: Iterable[str], *, verify: bool = False
) -> list[DatasetShards]:
    """Finds pose datasets by name and checks that their files are whole, as `find_shards` does for images.

    Raises:
        UserError: naming the dataset that is absent or holds no poses, or the file that is damaged.
    """
    return find_shards(data_dir, names, verify=verify, keys=_REQUIRED, what="pose sequences")


def stream_sequences(shards: DatasetShards) -> Iterator[PoseSequence]:
    """Yields the sequences of a dataset in order; their arrays are read-only.

    Args:
        shards: a dataset of `find_sequences`.

    Raises:
        UserError: naming the file of which a record is damaged or is no pose sequence.
    """
    count = 0
    for file in shards.files:
        index = 0
        try:
            for record in tf.data.TFRecordDataset(str(file)):
                yield decode_sequence(record.numpy())
                index += 1
        except tf.errors.OpError as error:
            raise UserError(
                f"{file}: record {index} is damaged or the file ends within it. {RECREATE}"
            ) from error
        # A skeleton of unknown name is a ValueError, too.
        except ValueError as error:
            raise UserError(f"{file}: record {index} {error}. {RECREATE}") from error
        count += index
    if count != shards.count:
        raise UserError(f"{shards.name}: {count} sequences where {shards.count} are expected. {RECREATE}")


def is_pose_dataset(file: str | os.PathLike) -> bool:
    """Whether the first record of a whole file is a pose sequence."""
    try:
        feature = tf.train.Example.FromString(
            framing.read_records(pathlib.Path(file), [0])[0]
        ).features.feature
    except Exception:  # whatever is wrong with it, it is none
        return False
    return all(key in feature for key in _REQUIRED)


def _array(what: str, values, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values, "<f4")
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}. Received: shape={array.shape}")
    return array


def _packed(what: str, values, shape: tuple[int, ...]) -> tf.train.Feature:
    array = _array(what, values, shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{what} must be finite.")
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[array.tobytes()]))


def _text(*values: str) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))


def _floats(values) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=[float(value) for value in values]))


def _ints(values) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value) for value in values]))


def _number(feature, key: str) -> int:
    values = feature[key].int64_list.value
    if len(values) != 1 or values[0] < 1:
        raise ValueError(f"has no positive number as {key}")
    return values[0]


def _string(feature, key: str) -> str:
    values = feature[key].bytes_list.value if key in feature else ()
    if len(values) != 1:
        raise ValueError(f"has no {key}")
    return values[0].decode()


def _listed(feature, key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    if key not in feature:
        return None
    values = np.array(feature[key].float_list.value, np.float32)
    if values.size != np.prod(shape, dtype=int):
        raise ValueError(f"has {values.size} numbers as {key}")
    return values.reshape(shape)


def _unpacked(feature, key: str, shape: tuple[int, ...]) -> np.ndarray:
    values = feature[key].bytes_list.value if key in feature else ()
    if len(values) != 1 or len(values[0]) != 4 * np.prod(shape, dtype=int):
        raise ValueError(f"has no {'x'.join(map(str, shape))} numbers as {key}")
    array = np.frombuffer(values[0], "<f4").reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"has numbers that are not finite as {key}")
    return array

"""What one image record holds: Samples become `tf.train.Example`s, and records become tensors of fixed shape.

Every field of `hpe.fields` that says how it is stored is written and parsed by what the table says. Beside them
stand the keys of the original hybrid HMR and of HMR, so that their records are read as they are and ours by them:

| key | content |
|---|---|
| image/format | which of JPEG and PNG `image/encoded` is |
| image/height, image/width | size of the decoded image in pixels |
| image/x, image/y, image/visibility | 14 joints of `lsp14` in pixels; 1 is labelled and visible |
| image/face_pts | the 5 face points of `cocoplus19`, 3x5 row-major: x, y, visibility |
| image/center | x and y of the person box in whole pixels |
| image/box_center | the same with its fraction; absent in older records |
| image/scale | side of the person box in pixels; absent where the person is about 150 px tall already |
| image/skeleton | joint set of the sample's 2D joints, in which they are stored as they are |
| keypoints3d/skeleton | joint set of its 3D joints |
| joints3d/xyz, joints3d/confidence | records of version 1: 3D joints in `cocoplus19` |
| mosh/pose, mosh/shape, mosh/gt3d, meta/has_3d | HMR's 3D labels, read only |

Masks of the original are JPEG here and there, so that a decoded mask is cut at 128.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from hpe import fields, skeletons
from hpe.body.data import NUM_SHAPES, POSE_SIZE, SMPL_NAME
from hpe.fields import Codec, Field, Kind
from hpe.records import joints as record_joints

# LSP14 joints come first in cocoplus19, the points of the face follow.
BODY_JOINTS = len(skeletons.LSP14)
KEYPOINTS = len(skeletons.COCOPLUS19)
FACE_POINTS = KEYPOINTS - BODY_JOINTS

_NAN = float("nan")


def parse_examples(
    serialized: tf.Tensor,
    keys: Sequence[str],
    *,
    skeleton2d: str,
    skeleton3d: str | None = None,
    joint_table: str | None = None,
) -> dict[str, tf.Tensor]:
    """Returns the wanted fields of image records, ours or the originals', as tensors of fixed shape.

    It is graph code. Records that are parsed together cost less than half of what each costs alone.

    Args:
        serialized: scalar string, one `tf.train.Example`; or (N,) strings, and everything that is returned has a
            leading axis N.
        keys: of `hpe.fields`; those that no record keeps, such as `valid`, are passed over.
        skeleton2d: the joint set of 2D joints, whatever sets the records are in. Joints are found by their names in
            a record's own set, else in `cocoplus19`; those that are in neither have weight 0.
        skeleton3d: the joint set of 3D joints; None for that of the 2D joints.
        joint_table: of `hpe.fields.Needs`.

    Returns:
        The fields by their keys and their weights by theirs, as the table says but for the frame: everything that a
        crop moves is in pixels of the stored image still, and images and maps are encoded, empty where there is
        none. Beside them always `center` (2,) float32, the middle of the person's box in pixels, and `scale`
        float32, its side in pixels, 0 where the person is about 150 px tall already.
    """
    wanted = [field for field in map(fields.get, keys) if field.stored or field.key in _READERS]
    features = {**_BOX}
    for field in wanted:
        features |= _FEATURES.get(field.key, {})
        if field.stored:
            features |= _stored_features(field)
    record = tf.io.parse_example(serialized, features)
    converted = {
        kind: functools.partial(record_joints.in_skeleton, skeletons.get(skeleton), joint_table=joint_table)
        for kind, skeleton in (
            (Kind.POINTS2D, skeleton2d),
            (Kind.POINTS3D, skeleton3d or skeleton2d),
        )
    }
    center = record["image/box_center"]
    known = _is_present(center)[..., None]
    parsed = {
        "center": tf.where(known, center, tf.cast(record["image/center"], tf.float32)),
        "scale": record["image/scale"],
    }
    for field in wanted:
        value, weight = _READERS.get(field.key, _read)(field, record, converted.get(field.kind))
        parsed[field.key] = value
        if field.weight:
            parsed[field.weight] = weight
    return parsed


def _optional(*shape: int) -> tf.io.FixedLenFeature:
    """Floats that may be absent: NaN then, which no writer stores."""
    return tf.io.FixedLenFeature(shape, tf.float32, np.full(shape, _NAN).tolist())


def _numbers(*shape: int, kind=tf.float32) -> tf.io.FixedLenFeature:
    """Numbers that are 0 where they are absent."""
    return tf.io.FixedLenFeature(shape, kind, np.zeros(shape, int).tolist())


_TEXT = tf.io.FixedLenFeature((), tf.string, "")
# Lists of any length: in a batch they are filled up with NaN, which no writer stores.
_ANY_FLOATS = tf.io.FixedLenSequenceFeature((), tf.float32, allow_missing=True, default_value=_NAN)
_SKELETON_KEYS = {Kind.POINTS2D: "image/skeleton", Kind.POINTS3D: "keypoints3d/skeleton"}

_BOX = {
    "image/center": tf.io.FixedLenFeature((2,), tf.int64),
    "image/box_center": _optional(2),
    "image/scale": _numbers(),
}

_HMR_BODY = {
    "mosh/pose": _optional(POSE_SIZE),
    "mosh/shape": _optional(NUM_SHAPES),
    "meta/has_3d": _numbers(kind=tf.int64),
    "body/pose": _optional(POSE_SIZE),
    "body/shape": _optional(NUM_SHAPES),
}

# Where the originals and version 1 keep what the table keeps elsewhere.
_FEATURES = {
    "image": {"image/encoded": tf.io.FixedLenFeature((), tf.string)},
    "image_size": {
        "image/height": tf.io.FixedLenFeature((), tf.int64),
        "image/width": tf.io.FixedLenFeature((), tf.int64),
    },
    "joints2d": {
        "image/x": tf.io.FixedLenFeature((BODY_JOINTS,), tf.float32),
        "image/y": tf.io.FixedLenFeature((BODY_JOINTS,), tf.float32),
        "image/visibility": tf.io.FixedLenFeature((BODY_JOINTS,), tf.int64),
        "image/face_pts": _numbers(3 * FACE_POINTS),
    },
    "joints3d": {
        "joints3d/xyz": _optional(3 * KEYPOINTS),
        "joints3d/confidence": _numbers(KEYPOINTS),
        "mosh/gt3d": _optional(3 * BODY_JOINTS),
    },
    "pose": _HMR_BODY,
    "shape": _HMR_BODY,
    "body_model": _HMR_BODY,
    "gender": _HMR_BODY,
}


def _stored_features(field: Field) -> dict:
    """Returns what `tf.io.parse_example` has to know of a field."""
    key, codec = field.stored.key, field.stored.codec
    if codec is Codec.JOINTS:
        return {key: _ANY_FLOATS, _SKELETON_KEYS[field.kind]: _TEXT}
    if codec is Codec.FLOATS:
        return {key: _optional(*field.shape) if field.weight else _numbers(*field.shape)}
    if codec is Codec.INTS:
        absent = np.full(field.shape, tf.int64.min).tolist()
        return {key: tf.io.FixedLenFeature(field.shape, tf.int64, absent)}
    return {} if codec is Codec.IMAGE and field.key == "image" else {key: _TEXT}


def _read(field: Field, record: dict, converted: Callable | None) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns value and weight of a field from where the table says that it is."""
    codec, values = field.stored.codec, record[field.stored.key]
    if codec is Codec.JOINTS:
        nothing = tf.zeros([*tf.unstack(tf.shape(values)[:-1]), KEYPOINTS, field.shape[1] + 1])
        return converted(nothing, values, record[_SKELETON_KEYS[field.kind]])
    if codec is Codec.FLOATS:
        return _known(values, field) if field.weight else (values, tf.ones(()))
    if codec is Codec.INTS:
        known = tf.reduce_all(values != tf.int64.min, axis=list(range(-len(field.shape), 0)), keepdims=True)
        weight = tf.reshape(known, tf.shape(values)[: tf.rank(values) - len(field.shape)])
        return tf.cast(tf.where(known, values, 0), field.dtype), tf.cast(weight, tf.float32)
    return values, tf.cast(tf.strings.length(values) > 0, tf.float32)


def _read_image_size(field, record, converted):
    size = tf.stack([record["image/height"], record["image/width"]], axis=-1)
    return tf.cast(size, tf.int32), None


def _read_joints2d(field, record, converted):
    joints2d = tf.stack([record["image/x"], record["image/y"]], axis=-1)
    face = _split(record["image/face_pts"], (3, FACE_POINTS))
    joints2d = tf.concat([joints2d, tf.linalg.matrix_transpose(face[..., :2, :])], axis=-2)
    visibility = tf.concat([tf.cast(record["image/visibility"], tf.float32), face[..., 2, :]], axis=-1)
    labels = _with(joints2d, tf.cast(visibility > 0, tf.float32))
    own = record[field.stored.key], record[_SKELETON_KEYS[field.kind]]
    return converted(labels, *own)


def _read_joints3d(field, record, converted):
    """From the set of the sample, else from `cocoplus19`, else from HMR's 14 joints."""
    own, hmr = record["joints3d/xyz"], record["mosh/gt3d"]
    has_own, has_hmr = _is_present(own), _is_present(hmr)
    unlabelled = tf.zeros_like(own[..., 3 * BODY_JOINTS :])
    joints3d = _first_of((has_own, own), (has_hmr, tf.concat([hmr, unlabelled], axis=-1)))
    hmr_confidence = tf.constant([1.0] * BODY_JOINTS + [0.0] * FACE_POINTS)
    confidence = _first_of((has_own, record["joints3d/confidence"]), (has_hmr, hmr_confidence))
    labels = _with(_split(joints3d, (KEYPOINTS, 3)), confidence)
    own = record[field.stored.key], record[_SKELETON_KEYS[field.kind]]
    return converted(labels, *own)


def _read_body(field, record, converted):
    """Pose or shape. HMR writes -1 into all values where `meta/has_3d` is 0."""
    own, hmr = record[field.stored.key], record[f"mosh/{field.key}"]
    has_own, has_hmr = _is_present(own), _is_present(hmr) & (record["meta/has_3d"] > 0)
    return _first_of((has_own, own), (has_hmr, hmr)), tf.cast(has_own | has_hmr, tf.float32)


def _read_body_text(field, record, converted):
    """Body parameters of HMR were fitted with the neutral SMPL model."""
    has_own = _is_present(record["body/pose"]) | _is_present(record["body/shape"])
    has_hmr = _is_present(record["mosh/pose"]) & (record["meta/has_3d"] > 0)
    hmr = tf.where(has_hmr, SMPL_NAME if field.key == "body_model" else "neutral", "")
    return tf.where(has_own, record[field.stored.key], hmr), None


_READERS = {
    "image_size": _read_image_size,
    "joints2d": _read_joints2d,
    "joints3d": _read_joints3d,
    "pose": _read_body,
    "shape": _read_body,
    "body_model": _read_body_text,
    "gender": _read_body_text,
}


def _known(values: tf.Tensor, field: Field) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns floats that are 0 where they were absent, and the weight."""
    finite = tf.math.is_finite(values)
    # Of points each has a weight of its own.
    axes = list(range(len(field.weight_shape) - len(field.shape), 0))
    known = tf.reduce_all(finite, axis=axes, keepdims=True)
    weight = tf.cast(tf.reduce_all(finite, axis=axes), tf.float32)
    return tf.where(known, values, 0.0), weight


def _first_of(own: tuple[tf.Tensor, tf.Tensor], hmr: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Returns of (whether there are such (...), values (..., n)) the first that there are, else zeros."""
    (has_own, own_values), (has_hmr, hmr_values) = own, hmr
    return tf.where(has_own[..., None], own_values, tf.where(has_hmr[..., None], hmr_values, 0.0))


def _is_present(values: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(values), axis=-1)


def _split(values: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    """Returns values (a b,) as (a, b), and (N, a b) as (N, a, b)."""
    return tf.reshape(values, shape if values.shape.rank == 1 else (-1, *shape))


def _with(joints: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns coordinates (..., J, C) and weights (..., J) as one, (..., J, C + 1)."""
    return tf.concat([joints, weights[..., None]], axis=-1)

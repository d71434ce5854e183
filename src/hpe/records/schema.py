"""What one image record holds: Samples become `tf.train.Example`s, and records become tensors of fixed shape.

The keys are a superset of those of the original hybrid HMR and of HMR, so that their records are read as they
are and ours can be read by them:

| key | content |
|---|---|
| image/encoded, image/format | the original JPEG or PNG bytes, and which of the two |
| image/height, image/width, image/filename | size of the decoded image in pixels; name |
| image/x, image/y, image/visibility | 14 joints of `lsp14` in pixels; 1 is labelled and visible |
| image/face_pts | the 5 face points of `cocoplus19`, 3x5 row-major: x, y, visibility |
| image/center | x and y of the person box in whole pixels |
| image/seg_gt | encoded mask of the person: PNG, 0 and 255. The original wrote some of its masks as JPEG: |
|              | a reader must cut the decoded mask at 128 |
| image/scale | side of the person box in pixels; absent where the person is about 150 px tall already |
| image/skeleton | joint set of the dataset, before its joints were brought to `cocoplus19` by their names |
| keypoints/xyv | joints in that set, Jx3 row-major: x, y in pixels, visibility; only where `cocoplus19` loses any |
| image/head_size | 0.6 of the diagonal of the head's box in pixels, the unit of PCKh; absent where unknown |
| image/camera | weak-perspective (s, tx, ty) of the whole image |
| joints3d/xyz, joints3d/confidence | 19x3 metres in the camera frame and 19 confidences, in `cocoplus19` |
| keypoints3d/skeleton, keypoints3d/xyzc | the dataset's own set and Jx4 row-major: metres, confidence; only where |
|                                        | `cocoplus19` loses any |
| body/pose, body/shape, body/model | 72 axis-angle values, 10 coefficients, the body model they belong to |
| mosh/pose, mosh/shape, mosh/gt3d, meta/has_3d | HMR's 3D labels, read only |
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.body.data import NUM_SHAPES, POSE_SIZE, SMPL_NAME
from hpe.datasets.sample import Sample
from hpe.records import joints as record_joints

# LSP14 joints come first in cocoplus19, the points of the face follow.
BODY_JOINTS = len(skeletons.LSP14)
KEYPOINTS = len(skeletons.COCOPLUS19)
FACE_POINTS = KEYPOINTS - BODY_JOINTS

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_sample(sample: Sample) -> bytes:
    """Returns a Sample as a serialized `tf.train.Example`; equal samples give equal bytes.

    Joints are brought to `cocoplus19` by their names; joints that its skeleton lacks, and coordinates that
    are not finite, are written as 0 with visibility 0.

    Args:
        sample: the person to write.

    Returns:
        The serialized record.

    Raises:
        ValueError: if the Sample contradicts itself: unknown skeleton, arrays of another shape.
    """
    own = _known_joints(sample.name, sample.skeleton, sample.joints2d, sample.visibility, 2)
    joints2d, visibility = _to_keypoints(sample.skeleton, own)
    face = np.concatenate([joints2d[BODY_JOINTS:].T, visibility[None, BODY_JOINTS:]])
    feature = {
        "image/encoded": _bytes(sample.image),
        "image/format": _bytes(b"PNG" if sample.image.startswith(_PNG_SIGNATURE) else b"JPEG"),
        "image/filename": _bytes(sample.name.encode()),
        "image/height": _ints([sample.height]),
        "image/width": _ints([sample.width]),
        "image/x": _floats(joints2d[:BODY_JOINTS, 0]),
        "image/y": _floats(joints2d[:BODY_JOINTS, 1]),
        "image/visibility": _ints(visibility[:BODY_JOINTS] > 0),
        "image/face_pts": _floats(face),
        "image/center": _ints(_array(sample.name, "center", sample.center, (2,))),
        "image/skeleton": _bytes(sample.skeleton.encode()),
    }
    if record_joints.loses_joints(skeletons.get(sample.skeleton)):
        own[:, 2] = own[:, 2] > 0
        feature["keypoints/xyv"] = _floats(own)
    if sample.head_size is not None:
        feature["image/head_size"] = _floats([sample.head_size])
    if sample.mask is not None:
        feature["image/seg_gt"] = _bytes(sample.mask)
    if sample.scale is not None:
        feature["image/scale"] = _floats([sample.scale])
    if sample.camera is not None:
        feature["image/camera"] = _floats(_array(sample.name, "camera", sample.camera, (3,)))
    if sample.joints3d is not None:
        confidence = sample.confidence3d
        if confidence is None:
            confidence = np.ones(len(sample.joints3d), np.float32)
        skeleton3d = sample.skeleton3d or sample.skeleton
        own = _known_joints(sample.name, skeleton3d, sample.joints3d, confidence, 3)
        if record_joints.loses_joints(skeletons.get(skeleton3d)):
            feature["keypoints3d/skeleton"] = _bytes(skeleton3d.encode())
            feature["keypoints3d/xyzc"] = _floats(np.where(own[:, 3:] > 0, own, 0))
        joints3d, confidence = _to_keypoints(skeleton3d, own)
        feature["joints3d/xyz"] = _floats(np.where(confidence[:, None] > 0, joints3d, 0))
        feature["joints3d/confidence"] = _floats(confidence)
    if (sample.pose is None) != (sample.shape is None):
        raise ValueError(f"{sample.name}: pose and shape come together or not at all.")
    if sample.pose is not None:
        feature["body/pose"] = _floats(_array(sample.name, "pose", sample.pose, (POSE_SIZE,)))
        feature["body/shape"] = _floats(_array(sample.name, "shape", sample.shape, (NUM_SHAPES,)))
        feature["body/model"] = _bytes((sample.body_model or "").encode())
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def parse_example(
    serialized: tf.Tensor, *, skeleton: str = skeletons.COCOPLUS19.name
) -> dict[str, tf.Tensor]:
    """Returns the contents of image records, ours or the originals', as tensors of fixed shape.

    It is graph code: `dataset.map(parse_example)`. Records that are parsed together cost less than half of
    what each costs alone.

    Args:
        serialized: scalar string, one `tf.train.Example`; or (N,) strings, and everything that is returned
            has a leading axis N.
        skeleton: the joint set that is wanted, J joints, whatever sets the records are in. Joints are found by
            their names in a record's own set, else in `cocoplus19`; those that are in neither have weight 0.

    Returns:
        A dict with
        `image`: scalar string, encoded JPEG or PNG;
        `mask`: scalar string, encoded mask or empty. The original's JPEG masks are not clean: cut at 128;
        `height`, `width`: scalar int32, pixels;
        `joints2d`: (J, 2) float32 in pixels, meaningless where `visibility` is 0;
        `visibility`: (J,) float32, 1 where labelled and visible, else 0;
        `center`: (2,) float32, pixels; `scale`: float32, side of the person box in pixels, 0 where the
        person is about 150 px tall already;
        `head_size`: float32, unit of PCKh in pixels, 0 where it is unknown;
        `joints3d`: (J, 3) float32 metres in the camera frame; `confidence3d`: (J,) float32, 0 where there
        is no such joint;
        `pose`: (72,) and `shape`: (10,) float32, zeros where `has_body` (float32) is 0;
        `body_model`: scalar string, the body model that they belong to, `smpl` in records of HMR, empty where
        there are none or it is not known;
        `camera`: (3,) float32 (s, tx, ty) of the whole image, zeros where it is unknown;
        `name`: scalar string.
    """
    # It parses scalars and vectors of them alike.
    target = skeletons.get(skeleton)
    needs_own = record_joints.loses_joints(target)
    record = tf.io.parse_example(serialized, _FEATURES | (_OWN_JOINTS if needs_own else {}))
    joints2d, visibility = _joints2d(record)
    joints3d, confidence3d = _joints3d(record)
    if needs_own:
        own2d = record["keypoints/xyv"], record["image/skeleton"]
        own3d = record["keypoints3d/xyzc"], record["keypoints3d/skeleton"]
        joints2d, visibility = record_joints.in_skeleton(target, _with(joints2d, visibility), *own2d)
        joints3d, confidence3d = record_joints.in_skeleton(target, _with(joints3d, confidence3d), *own3d)
    elif target is not skeletons.COCOPLUS19:
        places = [skeletons.COCOPLUS19.points.index(point) for point in target.points]
        joints2d, joints3d = (tf.gather(values, places, axis=-2) for values in (joints2d, joints3d))
        visibility, confidence3d = (
            tf.gather(values, places, axis=-1) for values in (visibility, confidence3d)
        )
    pose, shape, has_body, body_model = _body(record)
    return {
        "image": record["image/encoded"],
        "mask": record["image/seg_gt"],
        "height": tf.cast(record["image/height"], tf.int32),
        "width": tf.cast(record["image/width"], tf.int32),
        "joints2d": joints2d,
        "visibility": visibility,
        "center": tf.cast(record["image/center"], tf.float32),
        "scale": record["image/scale"],
        "head_size": record["image/head_size"],
        "joints3d": joints3d,
        "confidence3d": confidence3d,
        "pose": pose,
        "shape": shape,
        "has_body": has_body,
        "body_model": body_model,
        "camera": record["image/camera"],
        "name": record["image/filename"],
    }


def _optional(size: int) -> tf.io.FixedLenFeature:
    """A float list that may be absent: NaN then, which no writer stores."""
    return tf.io.FixedLenFeature((size,), tf.float32, [float("nan")] * size)


_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/seg_gt": tf.io.FixedLenFeature((), tf.string, ""),
    "image/filename": tf.io.FixedLenFeature((), tf.string, ""),
    "image/height": tf.io.FixedLenFeature((), tf.int64),
    "image/width": tf.io.FixedLenFeature((), tf.int64),
    "image/center": tf.io.FixedLenFeature((2,), tf.int64),
    "image/x": tf.io.FixedLenFeature((BODY_JOINTS,), tf.float32),
    "image/y": tf.io.FixedLenFeature((BODY_JOINTS,), tf.float32),
    "image/visibility": tf.io.FixedLenFeature((BODY_JOINTS,), tf.int64),
    "image/face_pts": tf.io.FixedLenFeature((3 * FACE_POINTS,), tf.float32, [0.0] * (3 * FACE_POINTS)),
    "image/scale": tf.io.FixedLenFeature((), tf.float32, 0.0),
    "image/head_size": tf.io.FixedLenFeature((), tf.float32, 0.0),
    "image/camera": tf.io.FixedLenFeature((3,), tf.float32, [0.0] * 3),
    "joints3d/xyz": _optional(3 * KEYPOINTS),
    "joints3d/confidence": tf.io.FixedLenFeature((KEYPOINTS,), tf.float32, [0.0] * KEYPOINTS),
    "body/pose": _optional(POSE_SIZE),
    "body/shape": _optional(NUM_SHAPES),
    "body/model": tf.io.FixedLenFeature((), tf.string, ""),
    "mosh/gt3d": _optional(3 * BODY_JOINTS),
    "mosh/pose": _optional(POSE_SIZE),
    "mosh/shape": _optional(NUM_SHAPES),
    "meta/has_3d": tf.io.FixedLenFeature((), tf.int64, 0),
}

# Lists of any length: in a batch they are filled up with NaN, which no writer stores.
_ANY_FLOATS = tf.io.FixedLenSequenceFeature((), tf.float32, allow_missing=True, default_value=float("nan"))

# What only a joint set that `cocoplus19` does not cover asks for.
_OWN_JOINTS = {
    "image/skeleton": tf.io.FixedLenFeature((), tf.string, ""),
    "keypoints/xyv": _ANY_FLOATS,
    "keypoints3d/skeleton": tf.io.FixedLenFeature((), tf.string, ""),
    "keypoints3d/xyzc": _ANY_FLOATS,
}


def _joints2d(record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns joints (..., 19, 2) in pixels and their visibility (..., 19), 0 or 1."""
    joints2d = tf.stack([record["image/x"], record["image/y"]], axis=-1)
    face = _split(record["image/face_pts"], (3, FACE_POINTS))
    visibility = tf.concat([tf.cast(record["image/visibility"], tf.float32), face[..., 2, :]], axis=-1)
    joints2d = tf.concat([joints2d, tf.linalg.matrix_transpose(face[..., :2, :])], axis=-2)
    return joints2d, tf.cast(visibility > 0, tf.float32)


def _joints3d(record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns joints (..., 19, 3), confidences (..., 19) from our keys, else from HMR's 14 joints, else zeros."""
    own, hmr = record["joints3d/xyz"], record["mosh/gt3d"]
    has_own, has_hmr = _is_present(own), _is_present(hmr)
    unlabelled = tf.zeros_like(own[..., 3 * BODY_JOINTS :])
    joints3d = _first_of((has_own, own), (has_hmr, tf.concat([hmr, unlabelled], axis=-1)))
    hmr_confidence = tf.constant([1.0] * BODY_JOINTS + [0.0] * FACE_POINTS)
    confidence = _first_of((has_own, record["joints3d/confidence"]), (has_hmr, hmr_confidence))
    return _split(joints3d, (KEYPOINTS, 3)), confidence


def _body(record: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns pose (..., 72), shape (..., 10), has_body (...) and the name of the body model (...).

    HMR writes -1 into all values where `meta/has_3d` is 0.
    """
    has_own = _is_present(record["body/pose"]) & _is_present(record["body/shape"])
    has_hmr = _is_present(record["mosh/pose"]) & _is_present(record["mosh/shape"])
    has_hmr &= record["meta/has_3d"] > 0
    pose = _first_of((has_own, record["body/pose"]), (has_hmr, record["mosh/pose"]))
    shape = _first_of((has_own, record["body/shape"]), (has_hmr, record["mosh/shape"]))
    # Body parameters of HMR were fitted with the neutral SMPL model.
    body_model = tf.where(has_own, record["body/model"], tf.where(has_hmr, SMPL_NAME, ""))
    return pose, shape, tf.cast(has_own | has_hmr, tf.float32), body_model


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


def _known_joints(name: str, skeleton_name: str, joints, weights, size: int) -> np.ndarray:
    """Returns coordinates and weights (J, size + 1) float32; what is not finite is 0."""
    length = len(skeletons.get(skeleton_name))
    joints = _array(name, f"joints of {skeleton_name}", joints, (length, size))
    weights = _array(name, f"weights of {skeleton_name}", weights, (length,))
    values = np.concatenate([joints, weights[:, None]], axis=1).astype(np.float32)
    return np.where(np.isfinite(values).all(axis=1, keepdims=True), values, 0)


def _to_keypoints(skeleton_name: str, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns coordinates (19, C) and weights (19,) in `cocoplus19` of joints (J, C + 1); what is unknown is 0."""
    conversion = _to_cocoplus(skeleton_name)
    return conversion.coordinates(joints[:, :-1]), conversion.confidences(joints[:, -1])


@functools.cache
def _to_cocoplus(skeleton_name: str) -> skeletons.Conversion:
    return skeletons.convert(skeletons.get(skeleton_name), skeletons.COCOPLUS19, missing=True)


def _array(name: str, what: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"{name}: {what} must have shape {shape}. Received: shape={values.shape}")
    return values


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _floats(values) -> tf.train.Feature:
    values = np.asarray(values, np.float32).ravel().tolist()
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(values) -> tf.train.Feature:
    values = np.asarray(values).astype(np.int64).ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

"""Samples become image records, by what the table of fields says; `hpe.records.schema` lists the keys."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import tensorflow as tf

from hpe import fields, skeletons
from hpe.datasets.sample import Sample
from hpe.fields import Codec, Field, Kind
from hpe.records.maps import encode_map
from hpe.records.pictures import BACK, ENCODED
from hpe.records.schema import BODY_JOINTS

GENDERS = ("", "male", "female", "neutral")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode_sample(sample: Sample, *, back: int = 0) -> bytes:
    """Returns a Sample as a serialized `tf.train.Example`; equal samples give equal bytes.

    Joints stay in their own joint set; for the originals' keys they are brought to `cocoplus19` by their names.
    Joints whose coordinates or weights are not finite are written as 0 with weight 0.

    Args:
        sample: the person to write.
        back: how many records before this one the same picture is stored, see `hpe.records.pictures`; 0 stores it.

    Returns:
        The serialized record.

    Raises:
        ValueError: if the Sample contradicts itself: unknown skeleton or field, arrays of another shape.
    """
    values = _values(sample)
    feature = _original_keys(sample, values["joints2d"])
    for key, value in values.items():
        field = fields.get(key)
        if field.stored is None:
            raise ValueError(f"{sample.name}: records do not keep the field {key}.")
        feature[field.stored.key] = _encode(field, value, sample)
    if any(fields.get(key).kind is Kind.POINTS3D for key in values):
        feature["keypoints3d/skeleton"] = _bytes(_skeleton3d(sample).encode())
    if back:
        del feature[ENCODED]
        feature[BACK] = _ints([back])
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    return example.SerializeToString(deterministic=True)


def fields_of(sample: Sample) -> tuple[str, ...]:
    """Returns the keys of the fields that the record of a sample will have."""
    return tuple(_values(sample))


def _values(sample: Sample) -> dict[str, Any]:
    """Returns what the sample has of each field by its key; joints as coordinates and weight, (J, C + 1)."""
    if sample.gender not in GENDERS:
        raise ValueError(f"{sample.name}: gender must be one of {', '.join(GENDERS[1:])} or empty.")
    values = {
        "image": sample.image,
        "silhouette": sample.mask,
        "part_labels": sample.part_labels,
        "depth": sample.depth,
        "pose": sample.pose,
        "shape": sample.shape,
        "body_model": sample.body_model,
        "gender": sample.gender,
        "camera": sample.camera,
        "head_size": sample.head_size,
        "name": sample.name,
        "subject": sample.subject,
        "action": sample.action,
        "sequence": sample.sequence,
        "frame": sample.frame,
        "frames_per_second": sample.frames_per_second or None,
        "camera_name": sample.camera_name,
    }
    if (lens := sample.pinhole) is not None:
        values |= {
            "intrinsics": lens.matrix,
            "camera_rotation": lens.rotation,
            "camera_translation": lens.translation,
        }
        if lens.k is not None or lens.p is not None:
            parts = (np.zeros(3) if lens.k is None else lens.k, np.zeros(2) if lens.p is None else lens.p)
            values["distortion"] = np.concatenate(parts)
    values |= sample.extra
    values["joints2d"] = _joints(sample, fields.get("joints2d"), sample.joints2d, sample.visibility)
    if sample.joints3d is not None:
        values["joints3d"] = _joints(sample, fields.get("joints3d"), sample.joints3d, sample.confidence3d)
    for field in fields.all_fields():
        if field.key in sample.extra and field.stored and field.stored.codec is Codec.JOINTS:
            weight = values.pop(field.weight, None)
            values[field.key] = _joints(sample, field, values[field.key], weight)
    return {key: value for key, value in values.items() if value is not None and not _is_empty(value)}


def _is_empty(value) -> bool:
    return isinstance(value, str) and not value


def _skeleton3d(sample: Sample) -> str:
    return sample.skeleton3d or sample.skeleton


def _joints(sample: Sample, field: Field, joints, weights) -> np.ndarray:
    """Returns coordinates and weights (J, C + 1) float32; what is not finite, or has no weight in 3D, is 0."""
    skeleton = sample.skeleton if field.kind is Kind.POINTS2D else _skeleton3d(sample)
    length = len(skeletons.get(skeleton))
    joints = _array(sample, f"{field.key} of {skeleton}", joints, (length, field.shape[1]))
    if weights is None:
        weights = np.ones(length, np.float32)
    weights = _array(sample, f"weights of {field.key} of {skeleton}", weights, (length,))
    values = np.concatenate([joints, weights[:, None]], axis=1).astype(np.float32)
    known = np.isfinite(values).all(axis=1)
    if field.kind is Kind.POINTS3D:
        known &= weights > 0
    return np.where(known[:, None], values, 0)


def _original_keys(sample: Sample, own: np.ndarray) -> dict[str, tf.train.Feature]:
    """Returns what the original hybrid HMR and HMR read, and the person's box."""
    conversion = _to_cocoplus(sample.skeleton)
    joints2d, visible = conversion.coordinates(own[:, :2]), conversion.confidences(own[:, 2]) > 0
    center = _array(sample, "center", sample.center, (2,))
    if not np.isfinite(center).all():
        raise ValueError(f"{sample.name}: center must be finite. Received: {center}")
    feature = {
        "image/format": _bytes(b"PNG" if sample.image.startswith(_PNG_SIGNATURE) else b"JPEG"),
        "image/height": _ints([sample.height]),
        "image/width": _ints([sample.width]),
        "image/x": _floats(joints2d[:BODY_JOINTS, 0]),
        "image/y": _floats(joints2d[:BODY_JOINTS, 1]),
        "image/visibility": _ints(visible[:BODY_JOINTS]),
        "image/face_pts": _floats(np.concatenate([joints2d[BODY_JOINTS:].T, visible[None, BODY_JOINTS:]])),
        "image/center": _ints(np.rint(center)),
        "image/box_center": _floats(center),
        "image/skeleton": _bytes(sample.skeleton.encode()),
    }
    if sample.scale is not None:
        feature["image/scale"] = _floats([sample.scale])
    return feature


@functools.cache
def _to_cocoplus(skeleton_name: str) -> skeletons.Conversion:
    return skeletons.convert(skeletons.get(skeleton_name), skeletons.COCOPLUS19, missing=True)


def _encode(field: Field, value, sample: Sample) -> tf.train.Feature:
    codec = field.stored.codec
    if codec in (Codec.MASK, Codec.PNG) and not isinstance(value, bytes):
        _array(sample, field.key, value, (sample.height, sample.width, *field.shape[2:]))
        value = encode_map(field, value)
    if codec in (Codec.IMAGE, Codec.MASK, Codec.PNG):
        return _bytes(value)
    if codec is Codec.TEXT:
        return _bytes(value.encode())
    if codec is Codec.JOINTS:
        return _floats(value)
    value = _array(sample, field.key, value, field.shape)
    return _ints(value) if codec is Codec.INTS else _floats(value)


def _array(sample: Sample, what: str, values, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(values)
    if values.shape != shape:
        raise ValueError(f"{sample.name}: {what} must have shape {shape}. Received: shape={values.shape}")
    return values


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _floats(values) -> tf.train.Feature:
    values = np.asarray(values, np.float32).ravel().tolist()
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _ints(values) -> tf.train.Feature:
    values = np.asarray(values).astype(np.int64).ravel().tolist()
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

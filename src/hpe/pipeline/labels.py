"""Labels of image records on their way into a crop: packed as one tensor, and mapped for a whole batch at once."""

from __future__ import annotations

import math

import tensorflow as tf

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.pipeline import augmentation
from hpe.pipeline.augmentation import Placement
from hpe.skeletons import Skeleton


def pack(record: dict[str, tf.Tensor], skeleton: Skeleton) -> tf.Tensor:
    """Returns all labels that are numbers of N records of `parse_example` as one tensor (N, L) float32."""
    values = [tf.reshape(record[key], (-1, math.prod(shape))) for key, shape in _shapes(skeleton).items()]
    return tf.concat(values, axis=-1)


def to_crop(
    packed: tf.Tensor, image_shape: tf.Tensor, placement: Placement, *, size: int, skeleton: Skeleton
) -> dict[str, tf.Tensor]:
    """Maps the labels of a batch into their crops.

    Args:
        packed: (B, L) float32 of `pack`.
        image_shape: (B, 2) int32, heights and widths of the images.
        placement: where the crops lie, (B).
        size: side of the crops in pixels.
        skeleton: of the joints.

    Returns:
        The keys of a batch that are labels, see `hpe.pipeline.images`.
    """
    labels = _unpack(packed, skeleton)
    confidence = augmentation.mirror_confidence(labels["confidence3d"], placement.mirror, skeleton=skeleton)
    joints3d = augmentation.joints3d_to_crop(labels["joints3d"], placement, skeleton=skeleton)
    camera = augmentation.camera_to_crop(labels["camera"], image_shape, placement, size=size)
    keypoints = augmentation.keypoints_to_crop(
        labels["joints2d"], labels["visibility"], placement, size=size, skeleton=skeleton
    )
    return {
        "joints2d": keypoints[..., :2],
        "joints2d_weight": keypoints[..., 2],
        "joints3d": tf.where(confidence[..., None] > 0, joints3d, 0.0),
        "joints3d_weight": confidence,
        "head_size": augmentation.lengths_to_crop(labels["head_size"], placement, size=size),
        "pose": augmentation.pose_to_crop(labels["pose"], placement),
        "pose_weight": labels["has_body"],
        "shape": labels["shape"],
        "shape_weight": labels["has_body"],
        "camera": camera,
        "camera_weight": tf.cast(camera[:, 0] > 0, tf.float32),
    }


def _shapes(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Returns the labels of a parsed record that are numbers, with their shapes."""
    joints = len(skeleton)
    return {
        "joints2d": (joints, 2),
        "visibility": (joints,),
        "joints3d": (joints, 3),
        "confidence3d": (joints,),
        "head_size": (),
        "pose": (POSE_SIZE,),
        "shape": (NUM_SHAPES,),
        "has_body": (),
        "camera": (3,),
    }


def _unpack(labels: tf.Tensor, skeleton: Skeleton) -> dict[str, tf.Tensor]:
    """Returns the labels of a batch of `pack` by their names."""
    shapes = _shapes(skeleton)
    parts = tf.split(labels, [math.prod(shape) for shape in shapes.values()], axis=-1)
    return {
        key: tf.reshape(part, (-1, *shape)) for (key, shape), part in zip(shapes.items(), parts, strict=True)
    }

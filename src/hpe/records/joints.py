"""Joints of records in the joint set that is wanted, whatever sets the records of one batch are in. Graph code.

A record has its joints in the set of its sample; those of the originals in `cocoplus19`.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.skeletons import COCOPLUS19, Skeleton


def in_skeleton(
    target: Skeleton,
    keypoints: tf.Tensor,
    own: tf.Tensor,
    own_skeleton: tf.Tensor,
    *,
    joint_table: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Converts joints of one record or of several (`...`) by names: from their own set, else from `cocoplus19`.

    Args:
        target: the joint set that is wanted, J joints.
        keypoints: (..., 19, C + 1) float32 `cocoplus19`: coordinates and weight.
        own: (..., n) float32, the same of the own set, row after row; filled up with NaN.
        own_skeleton: (...) string, the own set. Where it is unknown or `own` does not have as many values as it
            says, `keypoints` are taken.
        joint_table: name of a published table that holds for the sets which it has an entry for.

    Returns:
        (..., J, C) float32 coordinates, 0 where the set has no such joint, and (..., J) float32 weights.
    """
    names = tuple(skeletons.SKELETONS)
    sources, weights, lengths = _tables(target, names, joint_table)
    most = int(lengths.max())
    columns = keypoints.shape[-1]
    count = tf.reduce_sum(tf.cast(tf.math.is_finite(own), tf.int32), axis=-1)
    fits = (own_skeleton[..., None] == tf.constant(names)) & (count[..., None] == columns * lengths)
    has_own = tf.reduce_any(fits, axis=-1)
    table = tf.where(has_own, tf.argmax(tf.cast(fits, tf.int32), axis=-1), names.index(COCOPLUS19.name))

    joints = tf.where(
        has_own[..., None, None],
        _split(_padded(own, most * columns), most, columns),
        _split(_padded(_joined(keypoints), most * columns), most, columns),
    )
    a, b, c, d = tf.unstack(
        tf.gather(joints, tf.gather(sources, table), batch_dims=keypoints.shape.rank - 2), axis=-2
    )
    # As `skeletons.Conversion` does it.
    coordinates = 0.5 * (0.5 * (a + b) + 0.5 * (c + d))[..., :-1]
    least = tf.minimum(tf.minimum(a, b), tf.minimum(c, d))[..., -1]
    known = tf.gather(weights, table)
    return coordinates * known[..., None], least * known


@functools.cache
def _tables(
    target: Skeleton, names: tuple[str, ...], joint_table: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns sources (K, J, 4) and weights (K, J) of the conversions from all K joint sets, and their lengths."""
    known = [skeletons.get(name) for name in names]
    conversions = [
        skeletons.convert(
            skeleton,
            target,
            missing=True,
            table=joint_table if skeletons.has_table(joint_table, skeleton, target) else None,
        )
        for skeleton in known
    ]
    return (
        np.stack([conversion.sources for conversion in conversions]),
        np.stack([conversion.weights for conversion in conversions]),
        np.array([len(skeleton) for skeleton in known], np.int32),
    )


def _padded(values: tf.Tensor, length: int) -> tf.Tensor:
    """Returns values (..., n) as (..., length): cut off, or filled up with zeros."""
    values = values[..., :length]
    missing = length - tf.shape(values)[-1]
    return tf.pad(values, [[0, 0]] * (values.shape.rank - 1) + [[0, missing]])


def _joined(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, (-1,) if values.shape.rank == 2 else (-1, values.shape[-2] * values.shape[-1]))


def _split(values: tf.Tensor, joints: int, columns: int) -> tf.Tensor:
    shape = (joints, columns)
    return tf.reshape(values, shape if values.shape.rank == 1 else (-1, *shape))

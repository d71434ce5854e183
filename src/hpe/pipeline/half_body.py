"""Crops around half a person, of whom only the upper or lower body is seen, as in HRNet's training on COCO."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hpe.geometry.crops import BOX_SHARE
from hpe.skeletons import Skeleton

# Of a person with no more visible joints than this, the whole is taken (HRNet).
_FEWEST_JOINTS = 8
# Joints of a half that is preferred, and joints that a half must have at all (HRNet).
_PREFERRED_JOINTS = 3
_NEEDED_JOINTS = 2
# Side of the crop over the longer side of the box of the half's joints (HRNet).
_ROOM = 1.5

_LOWER_BODY = ("pelvis", "hip", "knee", "ankle", "foot")


def halved_box(
    center: tf.Tensor,
    scale: tf.Tensor,
    joints2d: tf.Tensor,
    visibility: tf.Tensor,
    *,
    half: tf.Tensor,
    upper: tf.Tensor,
    skeleton: Skeleton,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Replaces the boxes of people by those of the visible joints of one half of their body. Graph code.

    Args:
        center: (N, 2) float32, centres of the boxes in pixels.
        scale: (N,) float32, sides of the boxes in pixels, see `hpe.pipeline.augmentation.place`.
        joints2d: (N, J, 2) float32 pixels, anything where not visible.
        visibility: (N, J) float32, above 0 where visible.
        half: (N,) bool, whose boxes are replaced if enough of their joints are visible.
        upper: (N,) bool, of whom the upper half is preferred.
        skeleton: of the joints.

    Returns:
        Centres (N, 2) and scales (N,).
    """
    is_lower = np.array([joint.split("_")[-1] in _LOWER_BODY for joint in skeleton.joints])
    visible = visibility > 0
    halves = [visible & ~is_lower, visible & is_lower]
    above, below = (_count(chosen) >= _PREFERRED_JOINTS for chosen in halves)
    take_upper = (upper & above) | ~below
    chosen = tf.where(take_upper[:, None], *halves)
    possible = (_count(visible) > _FEWEST_JOINTS) & (_count(chosen) >= _NEEDED_JOINTS)
    half = half & possible

    seen = chosen[..., None]
    middle = tf.math.divide_no_nan(
        tf.reduce_sum(tf.where(seen, joints2d, 0.0), axis=1), tf.cast(_count(chosen), tf.float32)[:, None]
    )
    low = tf.reduce_min(tf.where(seen, joints2d, np.inf), axis=1)
    high = tf.reduce_max(tf.where(seen, joints2d, -np.inf), axis=1)
    side = tf.maximum(tf.reduce_max(high - low, axis=-1), 1.0)
    return tf.where(half[:, None], middle, center), tf.where(half, _ROOM * BOX_SHARE * side, scale)


def _count(chosen: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(chosen, tf.int32), axis=-1)

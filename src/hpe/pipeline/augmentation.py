"""Where a crop lies in its image, and what that does to every label: one map for pixels, joints and camera.

A crop is a square window of whole source pixels, resampled to the crop size, and perhaps mirrored. Whole
pixels lose nothing - jitter, centre and box are no finer - and make the map exact: with zoom
z = size / extent, pixel p of the image (centres at integers) lands on

    u = z (p - corner) + (z - 1) / 2,        mirrored: size - 1 - u.

Where crops are also turned, that happens about their centre, before they are mirrored: see `hpe.pipeline.rotation`.
Image, mask, joints and camera all go through this map and no other. All functions are TensorFlow graph code; `...`
stands for leading batch axes, which may be absent.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from hpe import skeletons
from hpe.geometry.cameras import pixels_to_normalized
from hpe.geometry.crops import BOX_SHARE
from hpe.pipeline import rotation
from hpe.pipeline.config import PipelineConfig
from hpe.skeletons import COCOPLUS19, Skeleton

# HMR and LSP scale people to about 150 pixels and crop 224 pixels around them.
REFERENCE_SIZE = 224

# Reductions that JPEG decoding does for free; beyond two-fold minification, plain bilinear sampling aliases.
REDUCTIONS = (1, 2, 4, 8)

# Mirroring a rotation across the plane x = 0 keeps the x component of its axis-angle vector.
_MIRRORED_AXIS_ANGLE = (1.0, -1.0, -1.0)

# HRNet turns three crops in five, by angles from a normal distribution that is cut at two deviations.
_TURNED_SHARE = 0.6
_DEVIATIONS = 2.0


class Jitter(NamedTuple):
    """The random part of a crop.

    Attributes:
        shift: (..., 2) float32, how far the crop's centre moves, in pixels of a 224 crop before zoom.
        zoom: (...) float32, how much larger the person becomes.
        mirror: (...) bool, whether the crop is mirrored.
        angle: (...) float32 radians by which the crop is turned; None where no crop ever is.
        half: (...) bool, whether the crop is of half the body; None where no crop ever is.
        upper: (...) bool, whether the upper half is preferred.
    """

    shift: tf.Tensor
    zoom: tf.Tensor
    mirror: tf.Tensor
    angle: tf.Tensor | None = None
    half: tf.Tensor | None = None
    upper: tf.Tensor | None = None

    def rows(self, chosen: slice) -> Jitter:
        """Returns the jitter of some rows of a batch."""
        return Jitter(*(None if values is None else values[chosen] for values in self))


class Placement(NamedTuple):
    """Where a crop lies in its image.

    Attributes:
        corner: (..., 2) int32, x and y of the first source pixel; may lie outside the image.
        extent: (...) int32, side of the window in source pixels.
        reduction: (...) int32, one of REDUCTIONS; divides corner and extent.
        mirror: (...) bool, whether the crop is mirrored after resampling.
        angle: (...) float32 radians by which the crop is turned before that; None where no crop ever is.
    """

    corner: tf.Tensor
    extent: tf.Tensor
    reduction: tf.Tensor
    mirror: tf.Tensor
    angle: tf.Tensor | None = None


def no_jitter(count: int | tf.Tensor) -> Jitter:
    """Returns the jitter of `count` samples of an evaluation: none."""
    return Jitter(tf.zeros([count, 2]), tf.ones([count]), tf.zeros([count], tf.bool))


def draw_jitter(config: PipelineConfig, key: tf.Tensor, count: int) -> Jitter:
    """Draws the jitter of a batch of training samples, a pure function of `key`.

    Args:
        config: bounds; shifts are whole numbers in [-trans_max, trans_max), zooms are uniform, angles normal.
        key: (2,) int64.
        count: number of samples.

    Returns:
        A Jitter with the batch axis (count,).
    """
    uniform = tf.random.stateless_uniform((count, 4), seed=key, alg="philox")
    shift = tf.floor(uniform[:, :2] * (2 * config.trans_max)) - config.trans_max
    zoom = config.scale_min + uniform[:, 2] * (config.scale_max - config.scale_min)
    mirror = uniform[:, 3] < (0.5 if config.flip else 0.0)
    jitter = Jitter(shift, zoom, mirror)
    if config.rotation_max > 0:
        chosen, normal = _uniform(key, 1, (count,)), _normal(key, 2, (count,))
        deviation = math.radians(config.rotation_max) / _DEVIATIONS
        angle = deviation * tf.clip_by_value(normal, -_DEVIATIONS, _DEVIATIONS)
        jitter = jitter._replace(angle=tf.where(chosen < _TURNED_SHARE, angle, 0.0))
    if config.half_body_probability > 0:
        uniform = _uniform(key, 3, (count, 2))
        half, upper = uniform[:, 0] < config.half_body_probability, uniform[:, 1] < 0.5
        jitter = jitter._replace(half=half, upper=upper)
    return jitter


def _uniform(key: tf.Tensor, part: int, shape: tuple[int, ...]) -> tf.Tensor:
    """Draws from a stream beside that of the key itself, which must not change with what else is drawn."""
    return tf.random.stateless_uniform(shape, seed=_part(key, part), alg="philox")


def _normal(key: tf.Tensor, part: int, shape: tuple[int, ...]) -> tf.Tensor:
    return tf.random.stateless_normal(shape, seed=_part(key, part), alg="philox")


def _part(key: tf.Tensor, part: int) -> tf.Tensor:
    return tf.random.fold_in(key, part, alg="philox")


def place(center: tf.Tensor, scale: tf.Tensor, jitter: Jitter, *, size: int) -> Placement:
    """Chooses the window of an image that becomes the crop.

    Args:
        center: (..., 2) float32, centre of the person box in pixels; it lands on size / 2 without jitter.
        scale: (...) float32, side of the person box in pixels, which then takes 0.8 of the crop; 0 for a
            person who is about 150 pixels tall, of whom 224 pixels around the centre are taken.
        jitter: what is added at random.
        size: side of the crop in pixels.

    Returns:
        A Placement.
    """
    unit = tf.where(scale > 0, scale / (BOX_SHARE * REFERENCE_SIZE), 1.0)
    extent = REFERENCE_SIZE * unit / jitter.zoom
    reduction = tf.ones_like(extent)
    for candidate in REDUCTIONS[1:]:
        reduction = tf.where(extent >= candidate * size, float(candidate), reduction)
    extent = tf.maximum(tf.round(extent / reduction), 1.0) * reduction
    corner = center + jitter.shift * unit[..., None] - extent[..., None] / 2
    corner = tf.floor(corner / reduction[..., None] + 0.5) * reduction[..., None]
    corner, extent, reduction = (tf.cast(values, tf.int32) for values in (corner, extent, reduction))
    return Placement(corner, extent, reduction, jitter.mirror, jitter.angle)


def turned_window(placement: Placement) -> Placement:
    """Returns the upright window that holds a turned one and a pixel around it; one that is not turned stays."""
    reach = tf.abs(tf.cos(placement.angle)) + tf.abs(tf.sin(placement.angle)) - 1
    block = placement.reduction
    more = tf.math.ceil(tf.cast(placement.extent, tf.float32) * reach / 2 / tf.cast(block, tf.float32))
    more = tf.where(placement.angle == 0, 0, tf.cast(more, tf.int32) + 1) * block
    return placement._replace(
        corner=placement.corner - more[..., None], extent=placement.extent + 2 * more, angle=None
    )


def points_to_crop(points: tf.Tensor, placement: Placement, *, size: int) -> tf.Tensor:
    """Maps image pixels to crop pixels.

    Args:
        points: (..., J, 2) float32 pixels of the image.
        placement: Placement with the same batch axes.
        size: side of the crop in pixels.

    Returns:
        (..., J, 2) float32 pixels of the crop; they may lie outside it.
    """
    zoom = _zoom(placement, size)[..., None, None]
    corner = tf.cast(placement.corner, tf.float32)[..., None, :]
    points = zoom * (points - corner) + (zoom - 1) / 2
    if placement.angle is not None:
        points = rotation.turn_points(points, placement.angle, size=size)
    mirrored = tf.stack([size - 1 - points[..., 0], points[..., 1]], axis=-1)
    return tf.where(placement.mirror[..., None, None], mirrored, points)


def keypoints_to_crop(
    joints2d: tf.Tensor,
    visibility: tf.Tensor,
    placement: Placement,
    *,
    size: int,
    skeleton: Skeleton = COCOPLUS19,
) -> tf.Tensor:
    """Maps keypoints to normalised crop coordinates; mirrored ones change sides by name.

    A visible joint that falls outside the crop stays visible, as in the originals: where it is remains true.

    Args:
        joints2d: (..., J, 2) float32 pixels of the image; anything where not visible.
        visibility: (..., J) float32, above 0 where visible.
        placement: Placement with the same batch axes.
        size: side of the crop in pixels.
        skeleton: of the keypoints.

    Returns:
        (..., J, 3) float32 x, y in [-1, 1] inside the crop and visibility 1; (0, 0, 0) where not visible.
    """
    normalised = pixels_to_normalized(points_to_crop(joints2d, placement, size=size), size)
    visible = (visibility > 0)[..., None]
    keypoints = tf.concat([normalised, tf.ones_like(normalised[..., :1])], axis=-1)
    keypoints = tf.where(visible, keypoints, 0.0)
    swapped = tf.gather(keypoints, skeleton.flip, axis=-2)
    return tf.where(placement.mirror[..., None, None], swapped, keypoints)


def joints3d_to_crop(
    joints3d: tf.Tensor, placement: Placement, *, skeleton: Skeleton = COCOPLUS19
) -> tf.Tensor:
    """Turns joints (..., J, 3) of the camera frame about z and mirrors them across x = 0, as their crop."""
    if placement.angle is not None:
        joints3d = rotation.turn(joints3d, placement.angle)
    return mirror_joints3d(joints3d, placement.mirror, skeleton=skeleton)


def mirror_joints3d(joints3d: tf.Tensor, mirror: tf.Tensor, *, skeleton: Skeleton = COCOPLUS19) -> tf.Tensor:
    """Mirrors joints (..., J, 3) of the camera frame across x = 0 where `mirror` (...) is true."""
    swapped = tf.gather(joints3d, skeleton.flip, axis=-2) * tf.constant([-1.0, 1.0, 1.0])
    return tf.where(mirror[..., None, None], swapped, joints3d)


def mirror_confidence(
    confidence: tf.Tensor, mirror: tf.Tensor, *, skeleton: Skeleton = COCOPLUS19
) -> tf.Tensor:
    """Exchanges left and right in confidences (..., J) where `mirror` (...) is true."""
    return tf.where(mirror[..., None], tf.gather(confidence, skeleton.flip, axis=-1), confidence)


def pose_to_crop(pose: tf.Tensor, placement: Placement) -> tf.Tensor:
    """Turns and mirrors an axis-angle body pose (..., 72) as its crop; zeros, which say nothing, stay."""
    if placement.angle is not None:
        known = tf.reduce_any(pose != 0, axis=-1, keepdims=True)
        pose = tf.where(known, rotation.turn_pose(pose, placement.angle), pose)
    return mirror_pose(pose, placement.mirror)


def mirror_pose(pose: tf.Tensor, mirror: tf.Tensor) -> tf.Tensor:
    """Mirrors an axis-angle body pose across x = 0 of the camera frame.

    Args:
        pose: (..., 72) float32, root rotation first.
        mirror: (...) bool, where to do so.

    Returns:
        (..., 72) float32: left and right joints exchanged, every axis-angle vector times (1, -1, -1).
    """
    triples = tf.reshape(pose, tf.concat([tf.shape(pose)[:-1], [len(skeletons.SMPL24), 3]], axis=0))
    swapped = tf.gather(triples, skeletons.SMPL24.flip, axis=-2) * tf.constant(_MIRRORED_AXIS_ANGLE)
    return tf.where(mirror[..., None], tf.reshape(swapped, tf.shape(pose)), pose)


def camera_to_crop(camera: tf.Tensor, image_size: tf.Tensor, placement: Placement, *, size: int) -> tf.Tensor:
    """Makes the weak-perspective camera of a crop from that of its image.

    Follows from p = s (X + t) = 2 px / size - 1 on both sides and the map of the module docstring; a turned crop
    shows a turned body, a mirrored one a mirrored body, X -> -X.

    Args:
        camera: (..., 3) float32 (s, tx, ty) in coordinates of the image, normalised by its longer side.
        image_size: (..., 2) int32, height and width of the image.
        placement: Placement with the same batch axes.
        size: side of the crop in pixels.

    Returns:
        (..., 3) float32 (s, tx, ty) in normalised crop coordinates; zeros where s is not above 0.
    """
    zoom = _zoom(placement, size)
    side = tf.cast(tf.reduce_max(image_size, axis=-1), tf.float32)
    corner = tf.cast(placement.corner, tf.float32)
    known = camera[..., 0] > 0
    gain = tf.where(known, camera[..., 0], 1.0) * zoom * side / size
    offset = (zoom * (side + 1))[..., None] - 2 * zoom[..., None] * corner - 1
    translation = camera[..., 1:] + (offset / size - 1) / gain[..., None]
    if placement.angle is not None:
        upright = tf.concat([gain[..., None], translation], axis=-1)
        translation = rotation.turn_camera(upright, placement.angle, size=size)[..., 1:]
    mirrored_x = -translation[..., 0] - 2 / (size * gain)
    tx = tf.where(placement.mirror, mirrored_x, translation[..., 0])
    return tf.where(known[..., None], tf.stack([gain, tx, translation[..., 1]], axis=-1), 0.0)


def lengths_to_crop(lengths: tf.Tensor, placement: Placement, *, size: int) -> tf.Tensor:
    """Converts lengths (...) from pixels of the image to pixels of the crop."""
    return lengths * _zoom(placement, size)


def _zoom(placement: Placement, size: int) -> tf.Tensor:
    return size / tf.cast(placement.extent, tf.float32)

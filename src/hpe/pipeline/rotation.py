"""What turning a crop about its centre does to labels: to points, 3D joints, the body's root and the camera.

By an angle a, a point at (x, y) from the centre goes to R (x, y), R = [[cos a, -sin a], [sin a, cos a]]: clockwise,
since y points down. In the camera frame that is the rotation about the optical axis z by the same R. All functions
are TensorFlow graph code; `...` stands for leading batch axes, which may be absent.
"""

from __future__ import annotations

import tensorflow as tf

# Below this length, in radians or of a quaternion's vector part, a rotation vector is a multiple of that part.
_SMALL = 1e-6


def turn(points: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turns points or joints about the origin in the plane of x and y.

    Args:
        points: (..., J, C) float32, C at least 2.
        angle: (...) float32, radians.

    Returns:
        (..., J, C) float32; columns beyond the second stay.
    """
    cos, sin = tf.cos(angle)[..., None], tf.sin(angle)[..., None]
    x, y = points[..., 0], points[..., 1]
    turned = tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return tf.concat([turned, points[..., 2:]], axis=-1)


def turn_points(points: tf.Tensor, angle: tf.Tensor, *, size: int) -> tf.Tensor:
    """Turns pixels (..., J, 2) of a crop of `size` about its centre, which lies at (size - 1) / 2."""
    middle = (size - 1) / 2
    return turn(points - middle, angle) + middle


def turn_camera(camera: tf.Tensor, angle: tf.Tensor, *, size: int) -> tf.Tensor:
    """Returns the weak-perspective camera of a turned crop, for joints that are turned by `turn`.

    The centre of the crop is -1 / size in normalised coordinates n = s (X + t), so that
    n' + 1 / size = R (n + 1 / size) = s (R X + t') + 1 / size with t' = R (t + 1 / (size s)) - 1 / (size s).

    Args:
        camera: (..., 3) float32 (s, tx, ty), s above 0.
        angle: (...) float32, radians.
        size: side of the crop in pixels.

    Returns:
        (..., 3) float32 (s, tx, ty).
    """
    middle = 1.0 / (size * camera[..., :1])
    translation = turn((camera[..., 1:] + middle)[..., None, :], angle)[..., 0, :] - middle
    return tf.concat([camera[..., :1], translation], axis=-1)


def turn_pose(pose: tf.Tensor, angle: tf.Tensor) -> tf.Tensor:
    """Turns the root of an axis-angle body pose about the optical axis; all other joints are relative to it.

    Args:
        pose: (..., 72) float32, root rotation in the camera frame first.
        angle: (...) float32, radians.

    Returns:
        (..., 72) float32, the root as a vector of at most pi.
    """
    root = pose[..., :3]
    length = tf.norm(root, axis=-1)
    gain = tf.where(length > _SMALL, tf.sin(length / 2) / tf.maximum(length, _SMALL), 0.5)
    w = tf.cos(length / 2)
    x, y, z = tf.unstack(root * gain[..., None], axis=-1)
    # The product of the quaternions (cos a/2, 0, 0, sin a/2) and (w, x, y, z).
    cos, sin = tf.cos(angle / 2), tf.sin(angle / 2)
    vector = tf.stack([cos * x - sin * y, cos * y + sin * x, cos * z + sin * w], axis=-1)
    w = cos * w - sin * z
    vector = tf.where(w[..., None] < 0, -vector, vector)
    sine = tf.norm(vector, axis=-1)
    gain = tf.where(sine > _SMALL, 2 * tf.atan2(sine, tf.abs(w)) / tf.maximum(sine, _SMALL), 2.0)
    return tf.concat([vector * gain[..., None], pose[..., 3:]], axis=-1)

"""Augmentation of pairs of 2D and 3D poses, on raw coordinates: what is done to one is done to the other.

2D joints are X / Z and Y / Z, what a camera without a lens sees, 3D joints metres in the camera frame. In pixels of
a lens a mirrored or turned person is not the mirrored or turned picture: tangential distortion has no mirror image,
and focal lengths across and down differ. All functions are TensorFlow graph code on whole batches and return what
they were given where they change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.pipeline.pose_config import PosePipelineConfig

# Nobody is shifted closer to the camera than this, metres.
NEAREST = 2.0

_JOINTS3D = skeletons.H36M17

# Bones by the joint at their end, left and right as one, and which of them every joint ends; the pelvis ends none.
_ENDS = [min(joint, skeletons.mirror_name(joint)) for joint in _JOINTS3D.joints]
_BONES = tuple(dict.fromkeys(_ENDS))
_BONE_OF_JOINT = [_BONES.index(joint) for joint in _ENDS]


def _chains() -> np.ndarray:
    """Returns the matrix (17, 17) that adds up the bones from the pelvis to every joint."""
    chains = np.eye(len(_JOINTS3D), dtype=np.float32)
    for child, parent in _JOINTS3D.bones:
        # Parents come before their children.
        chains[child] += chains[parent]
    return chains


_CHAINS = _chains()

# Uniform numbers that `augment` takes per pose.
DRAWS = 7 + len(_BONES)


def augment(
    joints2d,
    joints3d,
    up,
    uniform,
    *,
    configs: Sequence[PosePipelineConfig],
    numbers: tf.Tensor | None = None,
):
    """Augments poses as the configurations say.

    Args:
        joints2d: (B, J, 2) in the joint set of the configurations.
        joints3d: (B, 17, 3) from the camera's centre; from any point where nothing is projected again.
        up: (B, 3), the vertical in the camera frame; only used where a configuration projects again.
        uniform: (B, DRAWS) random numbers in [0, 1).
        configs: which augmentations, and how much, of every dataset.
        numbers: (B,) int32, which dataset each pose is of; None where there is one.

    Returns:
        The augmented joints2d and joints3d, and who was mirrored, (B,) bool.
    """
    draws = tf.unstack(uniform, axis=-1)
    signed = [2.0 * draw - 1.0 for draw in draws]
    numbers = tf.zeros_like(draws[0], tf.int32) if numbers is None else numbers
    skeleton = skeletons.get(configs[0].skeleton)

    def bound(name: str) -> tf.Tensor:
        table = np.array([getattr(config, name) for config in configs], np.float32)
        return tf.gather(tf.constant(table), numbers)

    if any(config.reproject for config in configs):
        turned = tf.cast(draws[6] < bound("turn_share"), tf.float32)
        again2d, again3d = project_again(
            joints2d,
            joints3d,
            up,
            angle=math.pi / 180 * bound("turn_max") * signed[0] * turned,
            shift=bound("shift_max")[:, None] * tf.stack(signed[1:4], axis=-1),
            bones=1.0 + bound("bone_max")[:, None] * tf.stack(signed[7:], axis=-1),
            skeleton=skeleton,
        )
        chosen = bound("reproject")[:, None, None] > 0
        joints2d, joints3d = tf.where(chosen, again2d, joints2d), tf.where(chosen, again3d, joints3d)
    if any(config.rotation_max for config in configs):
        angle = math.pi / 180 * bound("rotation_max") * signed[4]
        joints2d, joints3d = turn(joints2d, angle), turn(joints3d, angle)
    mirrored = draws[5] < 0.5 * bound("flip")
    if any(config.flip for config in configs):
        chosen = mirrored[:, None, None]
        mirrored2d, mirrored3d = mirror(joints2d, joints3d, skeleton=skeleton)
        joints2d = tf.where(chosen, mirrored2d, joints2d)
        joints3d = tf.where(chosen, mirrored3d, joints3d)
    return joints2d, joints3d, mirrored


def turn(points, angle):
    """Turns points or joints about the optical axis.

    By an angle a, (x, y) goes to R (x, y), R = [[cos a, -sin a], [sin a, cos a]]: clockwise, since y points down.

    Args:
        points: (..., J, C), C at least 2.
        angle: (...) radians.

    Returns:
        (..., J, C); columns beyond the second stay.
    """
    cos, sin = tf.cos(angle)[..., None], tf.sin(angle)[..., None]
    x, y = points[..., 0], points[..., 1]
    turned = tf.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
    return tf.concat([turned, points[..., 2:]], axis=-1)


def mirror(joints2d, joints3d, *, skeleton: skeletons.Skeleton):
    """Mirrors poses left to right, about the optical axis; left joints become right ones."""
    joints2d = tf.gather(joints2d, skeleton.flip, axis=-2) * tf.constant([-1.0, 1.0])
    joints3d = tf.gather(joints3d, _JOINTS3D.flip, axis=-2) * tf.constant([-1.0, 1.0, 1.0])
    return joints2d, joints3d


def project_again(joints2d, joints3d, up, *, angle, shift, bones, skeleton: skeletons.Skeleton):
    """Turns and shifts people on the ground, changes their bones, and projects them again.

    What a 2D joint differs by from the projection of its 3D joint - a detector's error, or that it means another
    point of the body - is added to the new projection, as many times as large as the person is nearer.

    Args:
        joints2d: (B, J, 2).
        joints3d: (B, 17, 3) metres from the camera's centre.
        up: (B, 3), the vertical in the camera frame.
        angle: (B,) radians about the vertical through the pelvis.
        shift: (B, 3) metres; what of it is vertical is left out. Nobody comes nearer than `NEAREST` by it.
        bones: (B, N) factors on the lengths of bones, in the order in which the joints at their ends first come in
            `h36m17`, left and right as one.
        skeleton: of the 2D joints.

    Returns:
        joints2d and joints3d after it.
    """
    up = up[:, None]
    pelvis = joints3d[:, :1]
    offsets = _turn_about(up, angle[:, None, None], _stretch(joints3d, bones))
    shift = shift[:, None]
    moved = pelvis + shift - up * tf.reduce_sum(shift * up, axis=-1, keepdims=True)
    moved = tf.where(moved[..., 2:] > NEAREST, moved, pelvis)
    changed = moved + offsets
    # An arm that reaches behind the camera has no projection.
    sound = tf.reduce_all(changed[..., 2:] > 0.1, axis=1, keepdims=True)
    changed = tf.where(sound, changed, joints3d)
    before, depth_before = _project(joints3d, skeleton)
    after, depth_after = _project(changed, skeleton)
    return after + (joints2d - before) * (depth_before / depth_after), changed


def _stretch(joints3d, bones):
    """Returns joints (B, 17, 3) from the pelvis, every bone as many times as long."""
    parents = [max(parent, 0) for parent in _JOINTS3D.parents]
    vectors = (joints3d - tf.gather(joints3d, parents, axis=1)) * tf.gather(bones, _BONE_OF_JOINT, axis=1)[
        ..., None
    ]
    return tf.einsum("ij,bjc->bic", tf.constant(_CHAINS), vectors)


def _turn_about(axis, angle, points):
    """Turns points about an axis of length 1 through the origin (Rodrigues' formula)."""
    cos, sin = tf.cos(angle), tf.sin(angle)
    along = tf.reduce_sum(points * axis, axis=-1, keepdims=True)
    cross = tf.linalg.cross(tf.broadcast_to(axis, tf.shape(points)), points)
    return points * cos + cross * sin + axis * along * (1.0 - cos)


def _project(joints3d, skeleton):
    """Returns projections (B, J, 2) in the joint set, and their depths (B, J, 1)."""
    conversion = skeletons.convert(_JOINTS3D, skeleton)
    points = tf.reduce_mean(tf.gather(joints3d, conversion.sources, axis=1), axis=2)
    return points[..., :2] / points[..., 2:], points[..., 2:]

"""The critic of the hybrid HMR: one sub-critic each for the skeleton, the shape and the joint rotations."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from hpe import skeletons
from hpe.body.data import NUM_SHAPES

NUM_BODY_ROTATIONS = 23

# Widths and slope of the original critic, but for the shape's: see `ShapeCritic`.
_SKELETON_UNITS = 100
_SHAPE_UNITS = (64, 32)
_ROTATION_UNITS = (300, 100)
_LEAKY_SLOPE = 0.2


def kinematic_chain_space(joints, skeleton):
    """Computes the kinematic chain space matrix Psi = B^T B of the bones B = X C (Wandt et al., 2018).

    Args:
        joints: (..., J, 3) in the order of `skeleton`, metres.
        skeleton: a Skeleton; its (child, parent) pairs are the bones.

    Returns:
        (..., b, b), square metres: bone lengths squared on the diagonal, inner products of bones beside it.
        Invariant to rotation and translation of the joints.
    """
    incidence = ops.convert_to_tensor(bone_incidence(skeleton), dtype=joints.dtype)
    bones = ops.matmul(ops.transpose(incidence), joints)
    return ops.matmul(bones, ops.swapaxes(bones, -1, -2))


def bone_incidence(skeleton) -> np.ndarray:
    """Returns C (J, b), float32: column b holds +1 at the bone's child joint and -1 at its parent."""
    incidence = np.zeros((len(skeleton), len(skeleton.bones)), dtype=np.float32)
    for bone, (child, parent) in enumerate(skeleton.bones):
        incidence[child, bone] = 1.0
        incidence[parent, bone] = -1.0
    return incidence


def _leaky(x):
    return ops.leaky_relu(x, negative_slope=_LEAKY_SLOPE)


class _Branch(keras.Model):
    """A sub-critic with a single input of known shape, so that its weights exist from the start.

    It computes in float32 under every dtype policy: the penalty differentiates its gradient, and it is small.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def _dense(self, units, **kwargs):
        return keras.layers.Dense(units, dtype=self.dtype_policy, **kwargs)

    def _hidden(self, all_units):
        return [
            self._dense(units, activation=_leaky, name=f"hidden_{i}") for i, units in enumerate(all_units)
        ]

    def _build_chain(self, layers, width):
        # In this scope weights are named after their branch, too: all have a `score`.
        with keras.name_scope(self.name):
            for layer in layers:
                layer.build((None, width))
                width = layer.units
        self.built = True


@keras.saving.register_keras_serializable(package="hpe")
class SkeletonCritic(_Branch):
    """Scores raw joints (N, J, 3), metres; the kinematic chain space is computed inside.

    Since it is inside, the gradient penalty sees the whole dependence of the score on the joints.

    Args:
        skeleton: name of the skeleton of the joints.
    """

    def __init__(self, skeleton=skeletons.LSP14.name, **kwargs):
        super().__init__(**kwargs)
        self.skeleton = skeletons.get(skeleton)
        self._chain = self._dense(_SKELETON_UNITS, activation=_leaky, name="chain_space")
        self._pose = self._dense(_SKELETON_UNITS, activation=_leaky, name="joints")
        self._score = self._dense(1, name="score")
        self._build_chain([self._chain], len(self.skeleton.bones) ** 2)
        self._build_chain([self._pose], 3 * len(self.skeleton))
        self._build_chain([self._score], 2 * _SKELETON_UNITS)

    def call(self, joints):
        """Returns scores (N, 1) of joints (N, J, 3)."""
        chains = kinematic_chain_space(joints, self.skeleton)
        branches = [self._chain(_flatten(chains)), self._pose(_flatten(joints))]
        return self._score(ops.concatenate(branches, axis=-1))

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "skeleton": self.skeleton.name}


@keras.saving.register_keras_serializable(package="hpe")
class ShapeCritic(_Branch):
    """Scores shape coefficients (N, 10).

    The original has ten and five rectified units. Ten units in ten dimensions leave a cone of directions in which
    all of them are off, so that the score is flat there: shapes that drift into it are not called back, however
    the critic is trained. (To surround the origin takes eleven half-spaces.) This one is wider, and its units leak.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._layers_in_order = self._hidden(_SHAPE_UNITS)
        self._layers_in_order.append(self._dense(1, name="score"))
        self._build_chain(self._layers_in_order, NUM_SHAPES)

    def call(self, shapes):
        """Returns scores (N, 1) of shapes (N, 10)."""
        for layer in self._layers_in_order:
            shapes = layer(shapes)
        return shapes


@keras.saving.register_keras_serializable(package="hpe")
class RotationCritic(_Branch):
    """Scores the rotation matrices (N, 23, 3, 3) of all joints but the root."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._layers_in_order = self._hidden(_ROTATION_UNITS)
        self._layers_in_order.append(self._dense(1, name="score"))
        self._build_chain(self._layers_in_order, 9 * NUM_BODY_ROTATIONS)

    def call(self, rotations):
        """Returns scores (N, 1) of rotations (N, 23, 3, 3)."""
        x = _flatten(rotations)
        for layer in self._layers_in_order:
            x = layer(x)
        return x


@keras.saving.register_keras_serializable(package="hpe")
class Critic(keras.Model):
    """The independent sub-critics side by side.

    Args:
        skeleton: name of the skeleton of the joints.
        use_rotations: whether there is a sub-critic for the rotations.

    Attributes:
        branches: (SkeletonCritic, ShapeCritic, RotationCritic), in the order of the inputs and of the scores;
            the last only with `use_rotations`.
    """

    def __init__(self, skeleton=skeletons.LSP14.name, *, use_rotations=True, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.skeleton_critic = SkeletonCritic(skeleton, name="skeleton", dtype=self.dtype_policy)
        self.shape_critic = ShapeCritic(name="shape", dtype=self.dtype_policy)
        self.use_rotations = use_rotations
        if use_rotations:
            self.rotation_critic = RotationCritic(name="rotation", dtype=self.dtype_policy)
        self.built = True

    @property
    def branches(self):
        """The sub-critics in the order of the inputs."""
        always = (self.skeleton_critic, self.shape_critic)
        return (*always, self.rotation_critic) if self.use_rotations else always

    def call(self, joints, shapes, rotations=None):
        """Scores bodies; a high score means that a sub-critic takes its input for real.

        Args:
            joints: (N, 14, 3), metres, root-centred and free of the root rotation.
            shapes: (N, 10).
            rotations: (N, 23, 3, 3), without the root; None without `use_rotations`.

        Returns:
            (N, 3) scores: skeleton, shape, rotations; (N, 2) without `use_rotations`.
        """
        inputs = (joints, shapes, rotations)[: len(self.branches)]
        scores = [branch(x) for branch, x in zip(self.branches, inputs, strict=True)]
        return ops.concatenate(scores, axis=-1)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {
            **super().get_config(),
            "skeleton": self.skeleton_critic.skeleton.name,
            "use_rotations": self.use_rotations,
        }


def _flatten(x):
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))

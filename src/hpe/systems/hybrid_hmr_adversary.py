"""The critic's side of the hybrid HMR: bodies of mocap data against bodies that the generator makes up.

Both sides are shown in the same frame: joints are computed without the root rotation and centred on the hips, so
that the critic judges the body and neither its heading nor the camera. The original compared mocap joints in
the global frame of the recording with joints in the camera frame, which a critic tells apart at a glance.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from hpe import skeletons
from hpe.body.body_model import BodyModel
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.losses import adversarial
from hpe.networks.critic import Critic
from hpe.networks.randomness import seeded_normal, seeded_uniform
from hpe.systems.base import Losses

_LSP = skeletons.LSP14
# Added to the run's seed, so that no two uses of randomness in one step share a draw.
_EPSILON_STREAM = 7919
_SHAPE_STREAM = 7927

_HIPS = (_LSP.index("right_hip"), _LSP.index("left_hip"))


class KinematicAdversary:
    """WGAN-GP over skeletons (with their kinematic chain space), shapes and body rotations.

    Args:
        body: the body model that turns mocap poses into joints.
        num_stages: stages of the generator; the critic sees the bodies of all of them.
        use_rotations: whether the critic has a branch for the 23 body rotations.
        penalty_weight: weight of the gradient penalty; 0 leaves it out.
        generator_weight: weight of the critic's score in the generator's loss.
        normal_shapes: real shapes are drawn from the unit normal distribution instead of taken from the mocap
            files: the coefficients in the files belong to SMPL.
    """

    def __init__(
        self,
        body: BodyModel,
        *,
        num_stages: int,
        use_rotations: bool = True,
        penalty_weight: float = 10.0,
        generator_weight: float = 0.01,
        normal_shapes: bool = False,
    ):
        self.body = body
        self.num_stages = num_stages
        self.penalty_weight = penalty_weight
        self.generator_weight = generator_weight
        self.normal_shapes = normal_shapes
        self.critic = Critic(use_rotations=use_rotations)
        self.networks = {"critic": self.critic}

    @property
    def trainable_variables(self):
        """Variables of the critic."""
        return self.critic.trainable_variables

    def real_examples_per_image(self) -> int:
        """One mocap frame for the body of each stage."""
        return self.num_stages

    def _bodies(self, rotmats, shape):
        """Returns the critic's inputs: joints (N, 14, 3) in metres, shape (N, 10), rotations (N, 23, 3, 3)."""
        body_rotations = rotmats[:, 1:]
        no_rotation = ops.broadcast_to(ops.eye(3), ops.shape(rotmats[:, :1]))
        upright = ops.concatenate([no_rotation, body_rotations], axis=1)
        joints = self.body(upright, shape, vertices=False)["keypoints"][:, : len(_LSP)]
        hips = 0.5 * (joints[:, _HIPS[0]] + joints[:, _HIPS[1]])
        inputs = (joints - hips[:, None], shape, body_rotations)
        return inputs[: len(self.critic.branches)]

    def fake_bodies(self, outputs: Mapping):
        """Returns the critic's inputs for the bodies of every stage, stage by stage."""
        thetas = ops.concatenate(outputs["stages"], axis=0)
        rotmats = axis_angle_to_rotmat(ops.reshape(thetas[:, 3:75], (-1, 24, 3)))
        return self._bodies(rotmats, thetas[:, 75:])

    def real_bodies(self, real: Mapping, *, seed):
        """Returns the critic's inputs for mocap frames with `pose` (N, 72) and `shape` (N, 10)."""
        shape = real["shape"]
        if self.normal_shapes:
            shape = seeded_normal(ops.shape(shape), _stream(seed, _SHAPE_STREAM))
        return self._bodies(axis_angle_to_rotmat(ops.reshape(real["pose"], (-1, 24, 3))), shape)

    def generator_losses(self, outputs: Mapping) -> Losses:
        """-sum over branches of the mean score of the last stage's bodies."""
        last_only = {"stages": outputs["stages"][-1:]}
        loss = adversarial.generator_loss(self.critic(*self.fake_bodies(last_only)))
        return Losses(self.generator_weight * loss, {"generator_critic_loss": loss})

    def critic_losses(self, outputs: Mapping, real: Mapping, *, seed) -> Losses:
        """Wasserstein distance estimate and gradient penalty, summed over the branches."""
        fakes = [ops.stop_gradient(tensor) for tensor in self.fake_bodies(outputs)]
        reals = [ops.stop_gradient(tensor) for tensor in self.real_bodies(real, seed=seed)]
        network_loss = adversarial.critic_loss(self.critic(*reals), self.critic(*fakes))
        parts = {"critic_network_loss": network_loss}
        total = network_loss
        if self.penalty_weight:
            # One draw per sample, shared by the branches; the offset keeps it apart from the dropout's.
            epsilon = seeded_uniform((ops.shape(reals[0])[0], 1), _stream(seed, _EPSILON_STREAM))
            penalty = sum(
                adversarial.gradient_penalty(branch, real_input, fake_input, epsilon)
                for branch, real_input, fake_input in zip(self.critic.branches, reals, fakes, strict=True)
            )
            parts["penalty"] = penalty
            total = total + self.penalty_weight * penalty
        return Losses(total, parts)

    def measurements(self, outputs: Mapping, real: Mapping, *, seed) -> dict:
        """Mean over bodies of the summed bone lengths in metres, of the last stage and of the mocap frames."""
        last_only = {"stages": outputs["stages"][-1:]}
        return {
            "bones/avg_total_bone_length_pred": _total_bone_length(self.fake_bodies(last_only)[0]),
            "bones/avg_total_bone_length_gt": _total_bone_length(self.real_bodies(real, seed=seed)[0]),
        }


def _stream(seed, offset: int):
    seed = ops.convert_to_tensor(seed)
    return seed + ops.array([offset, 0], dtype=seed.dtype)


def _total_bone_length(joints):
    children, parents = (list(ends) for ends in zip(*_LSP.bones, strict=True))
    bones = ops.take(joints, children, axis=1) - ops.take(joints, parents, axis=1)
    return ops.mean(ops.sum(ops.sqrt(ops.sum(ops.square(bones), axis=-1)), axis=-1))

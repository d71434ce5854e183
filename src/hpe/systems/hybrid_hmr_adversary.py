"""The critic's side of the hybrid HMR: bodies of mocap data against bodies that the generator makes up.

Both sides are shown in the same frame: joints are computed without the root rotation and centred on the hips, so
that the critic judges the body and neither its heading nor the camera. The original compared mocap joints in
the global frame of the recording with joints in the camera frame, which a critic tells apart at a glance.
"""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from hpe import skeletons
from hpe.backends.choice import xla_compiled
from hpe.body.body_model import BodyModel
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.losses import adversarial
from hpe.losses.means import Mean, mean_of
from hpe.networks.critic import Critic
from hpe.networks.randomness import as_batch_seed, batch_normal, batch_uniform
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
        measure_bones: whether the critic's losses bring the bone lengths of both sides along.
        compile_body: whether the joints of the bodies are computed by a function that XLA compiled.
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
        measure_bones: bool = True,
        compile_body: bool = False,
    ):
        self.num_stages = num_stages
        self.penalty_weight = penalty_weight
        self.generator_weight = generator_weight
        self.normal_shapes = normal_shapes
        self.measure_bones = measure_bones
        self.critic = Critic(use_rotations=use_rotations, name="critic")
        self.networks = {"critic": self.critic}

        def keypoints(rotmats, shape):
            return body(rotmats, shape, vertices=False)["keypoints"]

        self._keypoints = xla_compiled(keypoints, wanted=compile_body)

    @property
    def loss_names(self):
        """Names of what the critic minimises."""
        return ("critic_network_loss", "penalty") if self.penalty_weight else ("critic_network_loss",)

    def real_examples_per_image(self) -> int:
        """One mocap frame for the body of each stage."""
        return self.num_stages

    def bodies(self, rotmats, shape, keypoints):
        """Returns the critic's inputs for posed bodies, without their heading and position.

        Turning the root turns the whole body about its pelvis, so that the body without it is had by turning back.

        Args:
            rotmats: (N, 24, 3, 3), the root's first.
            shape: (N, 10).
            keypoints: (N, K, 3) of these bodies, metres, the LSP joints first.

        Returns:
            Joints (N, 14, 3) in metres, centred on the hips, shape (N, 10) and rotations (N, 23, 3, 3), as many as
            the critic has branches for.
        """
        joints = keypoints[:, : len(_LSP)]
        hips = 0.5 * (joints[:, _HIPS[0]] + joints[:, _HIPS[1]])
        inputs = (ops.matmul(joints - hips[:, None], rotmats[:, 0]), shape, rotmats[:, 1:])
        return inputs[: len(self.critic.branches)]

    def fake_and_real_bodies(self, outputs: Mapping, real: Mapping, *, seed):
        """Returns the critic's inputs for the bodies of all stages, and for mocap frames; no gradient flows back.

        The bodies of one image stand next to each other, stage by stage. One call of the body model poses all
        that are not posed yet: those of the earlier stages and the real ones.
        """
        stages = [ops.stop_gradient(stage) for stage in outputs["stages"]]
        pose = ops.convert_to_tensor(real["pose"])
        shape = self.real_shapes(ops.convert_to_tensor(real["shape"]), seed, real.get("shape_weight"))
        number = ops.shape(pose)[0]
        if len(stages) > 1:
            early = _flat(stages[:-1])
            pose = ops.concatenate([pose, early[:, 3:75]], axis=0)
            shape = ops.concatenate([shape, early[:, 75:]], axis=0)
        rotmats = axis_angle_to_rotmat(ops.reshape(pose, (-1, 24, 3)))
        posed = self.bodies(rotmats, shape, self._keypoints(rotmats, shape))
        last = (ops.stop_gradient(outputs[name]) for name in ("rotmats", "shape", "joints3d"))
        fakes = []
        for own, others in zip(self.bodies(*last), posed, strict=True):
            size = tuple(own.shape[1:])
            early = ops.reshape(others[number:], (ops.shape(own)[0], len(stages) - 1, *size))
            fakes.append(ops.reshape(ops.concatenate([early, own[:, None]], axis=1), (-1, *size)))
        return fakes, [tensor[:number] for tensor in posed]

    def real_shapes(self, shape, seed, weight=None):
        """Returns what the critic takes for real shapes, (N, 10): those of the mocap files, or draws."""
        if not self.normal_shapes and weight is None:
            return shape
        # Coefficients of a body are normal with unit variance: its principal components are scaled to be so.
        normal = self._draw(batch_normal, ops.shape(shape)[0], tuple(shape.shape[1:]), seed, _SHAPE_STREAM)
        if self.normal_shapes:
            return normal
        return ops.where(ops.convert_to_tensor(weight)[:, None] > 0, shape, normal)

    def _draw(self, draw, number: int, shape, seed, stream: int):
        """Draws for `number` bodies, some per image, so that an image gets the same wherever it is computed."""
        images = number // self.num_stages
        drawn = draw(images, (self.num_stages, *shape), as_batch_seed(seed).stream(stream))
        return ops.reshape(drawn, (number, *shape))

    def generator_losses(self, outputs: Mapping) -> Losses:
        """-sum over branches of the mean score of the last stage's bodies."""
        scores = self.critic(*self.bodies(outputs["rotmats"], outputs["shape"], outputs["joints3d"]))
        return Losses(
            {"generator_critic_loss": adversarial.generator_loss(scores)},
            {"generator_critic_loss": self.generator_weight},
        )

    def critic_losses(self, outputs: Mapping, real: Mapping, *, seed) -> Losses:
        """Wasserstein distance estimate and gradient penalty, summed over the branches.

        Args:
            outputs: of the generator: `stages`, and of the last one `rotmats`, `shape` and `joints3d`.
            real: mocap frames, `pose` (N, 72) and `shape` (N, 10), N = B times the number of stages; where a
                `shape_weight` (N,) is 0 the shape is not known, and one is drawn.
            seed: `BatchSeed`, or its pair.

        Returns:
            Losses with the bone lengths of predicted (last stage) and real bodies, the mean over bodies of their
            sum in metres, as `measured`.
        """
        fakes, reals = self.fake_and_real_bodies(outputs, real, seed=seed)
        parts = {"critic_network_loss": adversarial.critic_loss(self.critic(*reals), self.critic(*fakes))}
        weights = {"critic_network_loss": 1.0}
        if self.penalty_weight:
            # One draw per sample, shared by the branches.
            epsilon = self._draw(batch_uniform, ops.shape(fakes[0])[0], (1,), seed, _EPSILON_STREAM)
            penalties = [
                adversarial.gradient_penalty(branch, real_input, fake_input, epsilon)
                for branch, real_input, fake_input in zip(self.critic.branches, reals, fakes, strict=True)
            ]
            parts["penalty"] = Mean(sum(penalty.total for penalty in penalties), penalties[0].count)
            weights["penalty"] = self.penalty_weight
        measured = {}
        if self.measure_bones:
            last = fakes[0][self.num_stages - 1 :: self.num_stages]
            measured["bones/avg_total_bone_length_pred"] = mean_of(_total_bone_lengths(last))
            measured["bones/avg_total_bone_length_gt"] = mean_of(_total_bone_lengths(reals[0]))
        return Losses(parts, weights, measured, heading="critic")


def _flat(stages):
    """Joins tensors (B, D), one per stage, to (B * stages, D), those of one image next to each other."""
    return ops.reshape(ops.stack(stages, axis=1), (-1, stages[0].shape[-1]))


def _total_bone_lengths(joints):
    """Sums the bone lengths of joints (N, 14, 3): (N,) metres."""
    children, parents = (list(ends) for ends in zip(*_LSP.bones, strict=True))
    bones = ops.take(joints, children, axis=1) - ops.take(joints, parents, axis=1)
    return ops.sum(ops.sqrt(ops.sum(ops.square(bones), axis=-1)), axis=-1)

"""The hybrid HMR: encoder, iterative regressor and body model, trained by keypoints, silhouettes and a critic.

After Kanazawa et al., "End-to-end Recovery of Human Shape and Pose" (HMR, 2018), with a mesh reprojection loss
against person masks and a WGAN-GP critic that sees the kinematic chain space (Wandt & Rosenhahn, RepNet, 2019).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.backends.choice import xla_compiled
from hpe.body.body_model import BodyModel
from hpe.body.data import NUM_SHAPES, BodyModelData, load_body_model
from hpe.body.mean_parameters import MeanParameters, load_mean_parameters
from hpe.fields import Needs
from hpe.geometry.cameras import normalized_to_pixels, weak_perspective_project
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.losses.body_parameters import body_parameter_mse, joints3d_mse
from hpe.losses.keypoints import keypoint_l1
from hpe.losses.means import Mean
from hpe.losses.silhouette import distances_of_pairs, mesh_reprojection
from hpe.networks.backbones import build_encoder
from hpe.networks.regressor import IterativeRegressor
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.hybrid_hmr_adversary import KinematicAdversary
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.hybrid_hmr import HybridHmrConfig, MocapShapes

# HMR starts from a camera that shows a person of 1.7 m at three quarters of the crop's height.
MEAN_CAMERA = (0.9, 0.0, 0.0)


class HybridHmr:
    """The hybrid HMR: predicts and trains, see `hpe.systems.base`.

    Args:
        config: networks and loss weights.
        body_data: the body model.
        image_size: side of the square input in pixels.
        build_critic: False builds no critic, for prediction alone.
    """

    name = "hybrid_hmr"
    input_key = "image"
    skeleton = skeletons.COCOPLUS19.name

    def __init__(
        self,
        config: HybridHmrConfig,
        body_data: BodyModelData,
        *,
        image_size: int,
        build_critic: bool = True,
    ):
        self.config = config
        self.image_size = image_size
        self.input_shape = (image_size, image_size, 3)
        self.body = BodyModel(body_data, keypoints=self.skeleton)
        self.body_models = (body_data.name,)
        mean = load_mean_parameters(config.mean_params) if config.mean_params else None
        self.encoder = build_encoder(
            config.encoder,
            image_size=image_size,
            weights=config.encoder_weights,
            batch_norm_momentum=config.encoder_bn_momentum,
            dtype="mixed_bfloat16" if config.mixed_precision else "float32",
        )
        self.regressor = IterativeRegressor(
            mean_theta(body_data, mean),
            num_stages=config.num_stage,
            dropout=config.dropout,
            name="regressor",
        )
        self.regressor(ops.zeros((1, self.encoder.output_shape[-1])))
        self.networks = {"encoder": self.encoder, "regressor": self.regressor}
        self.adversary = None
        if build_critic and not config.encoder_only:
            self.adversary = KinematicAdversary(
                self.body,
                num_stages=config.num_stage,
                use_rotations=config.critic_use_rotations,
                penalty_weight=config.gradient_penalty_weight if config.use_gradient_penalty else 0.0,
                generator_weight=config.critic_loss_weight,
                normal_shapes=_normal_shapes(config.mocap_shapes, body_data),
                measure_bones=config.do_bone_evaluation,
                compile_body=config.compile_body,
            )
        self.training_networks = {} if self.adversary is None else self.adversary.networks
        # One function for each choice: what is compiled takes tensors alone.
        compile_if = functools.partial(xla_compiled, wanted=config.compile_body)
        self._distances = compile_if(distances_of_pairs)
        self._posed = {
            vertices: compile_if(functools.partial(self._pose_body, vertices=vertices))
            for vertices in (False, True)
        }

    @property
    def needs(self) -> Needs:
        """The fields that the losses which are on compare with, and the critic's mocap frames."""
        config = self.config
        optional = {
            "silhouette": config.use_mesh_repro_loss,
            "joints3d": config.joints3d_loss_weight,
            "pose": config.body_loss_weight,
            "shape": config.body_loss_weight,
        }
        streams = {}
        if self.adversary is not None:
            streams = {"mocap": config.critic_steps * self.adversary.real_examples_per_image()}
        return Needs(
            fields=("image", "joints2d", *(name for name, wanted in optional.items() if wanted)),
            skeleton2d=self.skeleton,
            body_models=self.body_models,
            streams=streams,
        )

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """That of encoder and regressor, the learned mean included, and that of the critic."""
        config = self.config
        on = {
            "kpr_loss": config.use_kpr_loss,
            "mr_loss": config.use_mesh_repro_loss,
            "body_loss": config.body_loss_weight,
            "joints3d_loss": config.joints3d_loss_weight,
            "generator_critic_loss": self.adversary is not None,
        }
        variables = [*self.encoder.trainable_variables, *self.regressor.trainable_variables]
        named = {MAIN: Optimizer(variables, loss_names=tuple(name for name, value in on.items() if value))}
        if self.adversary is not None:
            named["critic"] = Optimizer(
                self.adversary.critic.trainable_variables,
                loss_names=self.adversary.loss_names,
                losses=self.critic_losses,
                updates=config.critic_steps,
                learning_rate=config.critic_lr,
            )
        return named

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics of the encoder."""
        return [*self.encoder.non_trainable_variables, *self.regressor.non_trainable_variables]

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs encoder, regressor and body model; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `stages` (num_stage tensors of (B, 85)), and for the last stage `camera` (B, 3), `rotmats`
            (B, 24, 3, 3), `shape` (B, 10), `joints2d` (B, 19, 2) in [-1, 1], `joints3d` (B, 19, 3) in metres,
            and `vertices` (B, V, 3) where the configuration needs them.
        """
        features = self.encoder(inputs, training=training and "encoder" not in frozen)
        features = ops.cast(features, "float32")
        if "encoder" in frozen:
            features = ops.stop_gradient(features)
        stages = self.regressor(features, training=training and "regressor" not in frozen, seed=seed)
        vertices = not training or self.config.use_mesh_repro_loss
        return {"stages": stages, **self.pose_body(stages[-1], vertices=vertices)}

    def pose_body(self, theta, *, vertices: bool = True) -> dict:
        """Poses the body by theta (B, 85) and projects its joints; see `forward` for what is returned."""
        return self._posed[vertices](theta)

    def _pose_body(self, theta, *, vertices: bool) -> dict:
        camera, pose, shape = split_theta(theta)
        rotmats = axis_angle_to_rotmat(ops.reshape(pose, (-1, 24, 3)))
        body = self.body(rotmats, shape, vertices=vertices)
        posed = {
            "camera": camera,
            "rotmats": rotmats,
            "shape": shape,
            "joints3d": body["keypoints"],
            "joints2d": weak_perspective_project(body["keypoints"], camera),
        }
        if vertices:
            posed["vertices"] = body["vertices"]
        return posed

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Compares the last stage with the truth in the batch, and adds the critic's score if there is a critic."""
        config = self.config
        parts = {"kpr_loss": keypoint_l1(outputs["joints2d"], batch["joints2d"], batch["joints2d_weight"])}
        weights = {"kpr_loss": config.kpr_loss_weight} if config.use_kpr_loss else {}
        if config.use_mesh_repro_loss:
            points = normalized_to_pixels(
                weak_perspective_project(outputs["vertices"], outputs["camera"]), self.image_size
            )
            distance, _ = mesh_reprojection(
                points, batch["silhouette"], batch["silhouette_weight"], measure=self._distances
            )
            # In pixels of a 224-pixel crop, so that one weight serves all image sizes.
            parts["mr_loss"] = Mean(distance.total * (224.0 / self.image_size), distance.count)
            weights["mr_loss"] = config.mr_loss_weight
        if config.body_loss_weight:
            parts["body_loss"] = body_parameter_mse(
                outputs["rotmats"],
                outputs["shape"],
                axis_angle_to_rotmat(ops.reshape(batch["pose"], (-1, 24, 3))),
                batch["shape"],
                batch["pose_weight"],
                batch["shape_weight"],
            )
            weights["body_loss"] = config.body_loss_weight
        if config.joints3d_loss_weight:
            parts["joints3d_loss"] = joints3d_mse(
                outputs["joints3d"], batch["joints3d"], batch["joints3d_weight"]
            )
            weights["joints3d_loss"] = config.joints3d_loss_weight
        if self.adversary is not None:
            term = self.adversary.generator_losses(outputs)
            parts, weights = {**parts, **term.parts}, {**weights, **term.weights}
        return Losses(parts, weights)

    def critic_losses(self, outputs: Mapping, batch: Mapping, *, seed) -> Losses:
        """What the critic minimises, see `KinematicAdversary.critic_losses`.

        Args:
            outputs: of `forward`.
            batch: holds the stream `mocap`, one frame for each stage of each sample: `mocap/pose`
                (B, stages, 72), `mocap/shape` (B, stages, 10) and its weight (B, stages).
            seed: a `BatchSeed`, or its pair.
        """
        real = {
            key.removeprefix("mocap/"): ops.reshape(value, (-1, *value.shape[2:]))
            for key, value in batch.items()
            if key.startswith("mocap/")
        }
        return self.adversary.critic_losses(outputs, real, seed=seed)

    def infer(self, inputs) -> dict:
        """Runs the networks without training and keeps the last stage; see `forward` for the tensors."""
        outputs = self.forward(inputs, training=False)
        outputs.pop("stages")
        return outputs

    def true_vertices(self, pose, shape) -> np.ndarray:
        """Returns the vertices (B, V, 3) of body parameters, axis-angle pose (B, 72) and shape (B, 10)."""
        rotmats = axis_angle_to_rotmat(ops.reshape(ops.convert_to_tensor(pose), (-1, 24, 3)))
        return ops.convert_to_numpy(self.body(rotmats, ops.convert_to_tensor(shape))["vertices"])

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays["joints3d"],
            camera=arrays["camera"],
            vertices=arrays.get("vertices"),
            faces=self.body.data.faces,
            vertex_colors=self.body.data.vertex_colors,
            pose=arrays["rotmats"],
            shape=arrays["shape"],
        )


def build_hybrid_hmr(
    config: HybridHmrConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> HybridHmr:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments.

    Raises:
        UserError: a file of weights, means or the body model is missing or unfit.
    """
    body_data = load_body_model(config.smpl_model_path)
    if not pretrained:
        # Neither file has to be there then: the checkpoint holds both.
        config = dataclasses.replace(config, encoder_weights="none", mean_params=None)
    return HybridHmr(config, body_data, image_size=input.img_size, build_critic=build_critic)


def _normal_shapes(choice: MocapShapes, body_data: BodyModelData) -> bool:
    if choice is MocapShapes.AUTO:
        return not body_data.is_smpl
    return choice is MocapShapes.NORMAL


def mean_theta(body_data: BodyModelData, mean: MeanParameters | None = None) -> np.ndarray:
    """Returns the (85,) float32 start of the iteration: mean camera, mean pose facing the camera, mean shape.

    Args:
        body_data: the body model, whose own means are taken; a body of fewer than 10 shape components has
            zeros for the others.
        mean: means that replace them.
    """
    camera = MEAN_CAMERA
    pose, shape = np.array(body_data.mean_pose, np.float32), np.zeros(NUM_SHAPES, np.float32)
    shape[: len(body_data.mean_shape)] = body_data.mean_shape
    if mean is not None:
        pose, shape = mean.pose.copy(), mean.shape
        camera = MEAN_CAMERA if mean.camera is None else mean.camera
    pose[:3] = (np.pi, 0.0, 0.0)
    return np.concatenate([np.float32(camera), pose, shape])


def split_theta(theta):
    """Splits theta (B, 85) into camera (B, 3), axis-angle pose (B, 72) and shape (B, 10)."""
    return theta[:, :3], theta[:, 3:75], theta[:, 75:]

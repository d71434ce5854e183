"""PARE: pose and shape of a body from parts that the network looks for by itself, hidden ones from the others.

After Kocabas et al., "PARE: Part Attention Regressor for 3D Human Body Estimation" (2021), with the losses of SPIN
(Kolotouros et al., 2019) on pictures with 2D joints, with 3D joints and with bodies, mixed; see
`hpe.networks.pare`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from keras import ops

from hpe.backends.choice import xla_compiled
from hpe.body.body_model import BodyModel
from hpe.body.data import BodyModelData, load_body_model
from hpe.body.mean_parameters import load_mean_parameters
from hpe.body.spin_joints import with_spin_joints
from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.geometry.cameras import crop_project
from hpe.geometry.rotations import axis_angle_to_rotmat, rot6d_to_rotmat, rotmat_to_rot6d
from hpe.losses.body_parameters import joints3d_mse, rotation_mse, shape_mse
from hpe.losses.keypoints import keypoint_mse
from hpe.losses.part_segmentation import camera_prior, part_cross_entropy
from hpe.networks.pare import MeanBody, attention_of, build_baseline
from hpe.networks.pare_encoders import build_pare_networks
from hpe.skeletons import SPIN49, get
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.hybrid_hmr import mean_theta, split_theta
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.pare import NO_WEIGHTS, Method, PareConfig

_DETECTED = "op_"


class Pare:
    """PARE: predicts and trains, see `hpe.systems.base`.

    Args:
        config: networks and loss weights.
        body_data: the body model.
        image_size: side of the square input in pixels.
        gendered: the body models of men and women, by which their records are judged.

    Raises:
        UserError: the size does not suit the networks, or weights cannot be had.
    """

    name = "pare"
    input_key = "image"
    training_networks: Mapping = MappingProxyType({})

    def __init__(
        self,
        config: PareConfig,
        body_data: BodyModelData,
        *,
        image_size: int,
        gendered: Sequence[BodyModelData] = (),
    ):
        self.config = config
        self.image_size = image_size
        self.input_shape = (image_size, image_size, 3)
        self.skeleton = config.skeleton
        self._joints = get(self.skeleton)
        self._bodies = {data.name: _JointedBody(data, config) for data in (body_data, *gendered)}
        self._own = self._bodies[body_data.name]
        self.body = self._own.body
        self.body_models = tuple(self._bodies)
        mean = _mean_body(body_data, config.mean_params) if config.start_at_mean else None
        if config.method is Method.BASELINE:
            self._chain = {"baseline": build_baseline(image_size, mean=mean)}
        else:
            self._chain = build_pare_networks(config, image_size=image_size, mean=mean)
        # What only enlarges maps has no weights, so that checkpoints know nothing of it.
        self.networks = {name: network for name, network in self._chain.items() if network.variables}
        compile_if = functools.partial(xla_compiled, wanted=config.compile_body)
        self._posed = {
            vertices: compile_if(functools.partial(self._pose_body, vertices=vertices))
            for vertices in (False, True)
        }

    @property
    def needs(self) -> Needs:
        """The fields that the losses which are on compare with."""
        config = self.config
        optional = {
            "joints3d": config.joints3d_loss_weight,
            "pose": config.pose_loss_weight,
            "shape": config.shape_loss_weight,
            "part_labels": config.learns_parts,
        }
        return Needs(
            fields=("image", "joints2d", *(name for name, wanted in optional.items() if wanted)),
            skeleton2d=self.skeleton,
            # Those of men and women are what evaluation compares with; their shapes are not what is predicted.
            body_models=(self.body.data.name,),
        )

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """One, of the variables of all networks."""
        variables = [
            variable for network in self.networks.values() for variable in network.trainable_variables
        ]
        return {MAIN: Optimizer(variables, loss_names=tuple(self._loss_weights()))}

    def _loss_weights(self) -> dict[str, float]:
        config = self.config
        weights = {
            "keypoint_loss": config.keypoint_loss_weight,
            "joints3d_loss": config.joints3d_loss_weight,
            "pose_loss": config.pose_loss_weight,
            "shape_loss": config.shape_loss_weight,
            "part_loss": config.part_loss_weight if config.learns_parts else 0.0,
            "camera_loss": config.camera_prior_weight,
        }
        return {name: config.loss_scale * weight for name, weight in weights.items() if weight}

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics."""
        return [
            variable for network in self.networks.values() for variable in network.non_trainable_variables
        ]

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs the networks and the body model; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `rotmats` (B, 24, 3, 3), `shape` (B, 10), `camera` (B, 3), `joints3d` (B, J, 3) in metres,
            `joints2d` (B, J, 2) in [-1, 1]; without training `vertices` (B, V, 3); with attention `part_logits`
            (B, H, W, 25).
        """
        x = ops.cast(inputs, "float32")
        for name, network in self._chain.items():
            x = network(x, training=training and name not in frozen)
            if name in frozen:
                x = _stopped(x)
        outputs = {key: ops.cast(x[key], "float32") for key in ("rot6d", "shape", "camera")}
        posed = self._posed[not training](outputs["rot6d"], outputs["shape"], outputs["camera"])
        if "part_logits" in x:
            posed["part_logits"] = x["part_logits"]
        return posed

    def _pose_body(self, rot6d, shape, camera, *, vertices: bool) -> dict:
        rotmats = rot6d_to_rotmat(rot6d)
        body, joints3d = self._own(rotmats, shape, vertices=vertices)
        focal = self.config.focal_length
        relative = focal / self.image_size if focal else None
        posed = {
            "rotmats": rotmats,
            "shape": shape,
            "camera": camera,
            "joints3d": joints3d,
            "joints2d": crop_project(joints3d, camera, relative_focal=relative),
        }
        if vertices:
            posed["vertices"] = body["vertices"]
        return posed

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Compares joints, rotations, shape and maps of parts with the truth in the batch."""
        weights = self._loss_weights()
        compared = {
            "keypoint_loss": self._keypoint_loss,
            "joints3d_loss": lambda outputs, batch: joints3d_mse(
                outputs["joints3d"], batch["joints3d"], batch["joints3d_weight"], skeleton=self._joints
            ),
            "pose_loss": lambda outputs, batch: rotation_mse(
                outputs["rotmats"],
                axis_angle_to_rotmat(ops.reshape(batch["pose"], (-1, 24, 3))),
                batch["pose_weight"],
            ),
            "shape_loss": lambda outputs, batch: shape_mse(
                outputs["shape"], batch["shape"], batch["shape_weight"]
            ),
            "part_loss": lambda outputs, batch: part_cross_entropy(
                outputs["part_logits"], batch["part_labels"], batch["part_labels_weight"]
            ),
            "camera_loss": lambda outputs, batch: camera_prior(outputs["camera"]),
        }
        return Losses({name: compared[name](outputs, batch) for name in weights}, weights)

    def _keypoint_loss(self, outputs, batch):
        weight = batch["joints2d_weight"]
        if self._joints is SPIN49:
            detected = [joint.startswith(_DETECTED) for joint in self._joints.joints]
            weight = weight * np.where(detected, np.float32(self.config.openpose_weight), np.float32(1.0))
        return keypoint_mse(outputs["joints2d"], batch["joints2d"], weight)

    def infer(self, inputs) -> dict:
        """Runs the networks without training; `attention` (B, H, W, 24) in the place of the maps of parts."""
        outputs = self.forward(inputs, training=False)
        logits = outputs.pop("part_logits", None)
        if logits is not None:
            outputs["attention"] = attention_of(logits, self.config.attention_act.value)
        return outputs

    def true_vertices(self, pose, shape, models=None) -> np.ndarray:
        """Returns the vertices (B, V, 3) of true bodies; see `true_joints` for the arguments."""
        return self._true(pose, shape, models)[0]

    def true_joints(self, pose, shape, models=None) -> np.ndarray:
        """Returns the joints (B, J, 3) of true bodies in the system's joint set.

        Args:
            pose: (B, 72) axis-angle.
            shape: (B, 10).
            models: (B,) names of the body models, bytes; None for the system's own. Those that it does not have
                are taken for its own.
        """
        return self._true(pose, shape, models)[1]

    def _true(self, pose, shape, models) -> tuple[np.ndarray, np.ndarray]:
        pose, shape = np.asarray(pose, np.float32), np.asarray(shape, np.float32)
        names = np.full(len(pose), b"") if models is None else np.asarray(models)
        vertices = np.zeros((len(pose), self.body.num_vertices, 3), np.float32)
        joints = np.zeros((len(pose), len(self._joints), 3), np.float32)
        left = np.ones(len(pose), bool)
        for name, body in reversed(self._bodies.items()):
            rows = np.flatnonzero(left & ((names == name.encode()) | (body is self._own)))
            left[rows] = False
            if len(rows):
                rotmats = axis_angle_to_rotmat(pose[rows].reshape(-1, 24, 3))
                posed, found = body(rotmats, ops.convert_to_tensor(shape[rows]), vertices=True)
                vertices[rows] = ops.convert_to_numpy(posed["vertices"])
                joints[rows] = ops.convert_to_numpy(found)
        return vertices, joints

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        maps = {"attention": arrays["attention"]} if "attention" in arrays else {}
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
            maps=maps,
        )


class _JointedBody:
    """A body model with the joints of the system's joint set, some of which are joints of its skeleton."""

    def __init__(self, data: BodyModelData, config: PareConfig):
        self._from_joints = None
        if config.skeleton == SPIN49.name:
            data, made = with_spin_joints(data, config.joint_regressor_extra)
            self._from_joints = made.from_joints
        self.body = BodyModel(data, keypoints=config.skeleton)

    def __call__(self, rotmats, shape, *, vertices: bool):
        """Returns the outputs of the body model, and the joints (B, J, 3)."""
        posed = self.body(rotmats, shape, vertices=vertices)
        joints = posed["keypoints"]
        if self._from_joints is not None:
            joints = joints + ops.matmul(ops.convert_to_tensor(self._from_joints), posed["joints"])
        return posed, joints


def build_pare(
    config: PareConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> Pare:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments.

    Raises:
        UserError: a file of weights, means or a body model is missing or unfit.
    """
    body_data = load_body_model(config.smpl_model_path)
    gendered = []
    for setting in ("body_model_male", "body_model_female"):
        if path := getattr(config, setting):
            gendered.append(_gendered(setting, path, body_data))
    if not pretrained:
        # None of these files has to be there then: the checkpoint holds what they did.
        config = dataclasses.replace(config, encoder_weights=NO_WEIGHTS, mean_params=None)
    return Pare(config, body_data, image_size=input.img_size, gendered=gendered)


def _gendered(setting: str, path: str, body_data: BodyModelData) -> BodyModelData:
    """Reads the body model of men or of women."""
    gender = setting.rpartition("_")[2]
    data = load_body_model(path)
    if data.gender and data.gender != gender:
        raise SettingError(setting, f"is a body of {data.gender}.", path)
    if len(data.v_template) != len(body_data.v_template):
        raise SettingError(
            setting,
            f"has {len(data.v_template)} vertices, but `smpl_model_path` has {len(body_data.v_template)}.",
            path,
        )
    return dataclasses.replace(data, name=f"{body_data.name}_{gender}", gender=gender)


def _mean_body(body_data: BodyModelData, path: str | None) -> MeanBody:
    mean = load_mean_parameters(path) if path else None
    camera, pose, shape = split_theta(mean_theta(body_data, mean)[None])
    rot6d = rotmat_to_rot6d(axis_angle_to_rotmat(np.reshape(pose, (24, 3))))
    return MeanBody(ops.convert_to_numpy(rot6d), shape[0], camera[0])


def _stopped(x):
    if isinstance(x, Mapping):
        return {key: ops.stop_gradient(value) for key, value in x.items()}
    return [ops.stop_gradient(value) for value in x] if isinstance(x, list) else ops.stop_gradient(x)

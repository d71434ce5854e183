"""MoveNet's joints, and the body that goes with them: 3D pose and shape from a picture in two networks.

The first finds 17 joints with scores in the picture, the second, which learned from projected postures alone, the
body that has them. So the second serves any detector's joints, too, and neither needs pictures with 3D truth.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.backends.choice import xla_compiled
from hpe.body.body_model import BodyModel
from hpe.body.data import BodyModelData, load_body_model
from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.geometry.cameras import pixels_to_normalized, weak_perspective_project
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.losses.body_parameters import body_parameter_mse, joints3d_mse
from hpe.losses.keypoints import keypoint_l1
from hpe.networks.body_lifter import build_body_lifter, normalize_joints, projector
from hpe.networks.movenet import NUM_JOINTS, SIZE_MULTIPLE, MoveNet
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.fitting import fit
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.movenet import MoveNetBodyConfig

_JOINTS = skeletons.COCO17
_KEYPOINTS = skeletons.COCOPLUS19


class MoveNetBody:
    """The two networks as a system: predicts and trains, see `hpe.systems.base`.

    MoveNet is taken as it is: training reaches the network from joints to the body.

    Attributes:
        detected_skeleton: name of the joint set of `infer_joints2d`.

    Args:
        config: networks and loss weights.
        body_data: the body model.
        image_size: side of the square input in pixels.
    """

    name = "movenet"
    input_key = "image"
    skeleton = _KEYPOINTS.name
    detected_skeleton = _JOINTS.name
    training_networks: Mapping = MappingProxyType({})
    non_trainable_variables: Sequence = ()

    def __init__(self, config: MoveNetBodyConfig, body_data: BodyModelData, *, image_size: int):
        if image_size % SIZE_MULTIPLE:
            raise SettingError("img_size", f"must be a multiple of {SIZE_MULTIPLE} for MoveNet.", image_size)
        self.config = config
        self.image_size = image_size
        self.input_shape = (image_size, image_size, 3)
        self.body = BodyModel(body_data, keypoints=self.skeleton)
        self.body_models = (body_data.name,)
        self.movenet = MoveNet(config.movenet.value, name="movenet")
        self.lifter = build_body_lifter(
            body_data,
            NUM_JOINTS,
            width=config.lifter_size,
            num_blocks=config.lifter_blocks,
            num_stages=config.num_stage,
            name="lifter",
        )
        # MoveNet is a constant, like the body: it lies in the package, not in checkpoints.
        self.networks = {"lifter": self.lifter}
        compile_if = xla_compiled if config.compile_body else lambda function: function
        self._seen = np.array([_KEYPOINTS.index(joint) for joint in _JOINTS.joints])
        project = projector(self.body, self._seen)
        self._project = compile_if(project)
        self._fit = compile_if(functools.partial(fit, project=project, steps=config.refine))
        self._posed = {
            vertices: compile_if(_posing(self.body, vertices=vertices)) for vertices in (False, True)
        }

    @property
    def needs(self) -> Needs:
        """2D joints, and body parameters and 3D joints where their losses are on."""
        config = self.config
        fields = ["image", "joints2d"]
        fields += ["pose", "shape"] if config.body_loss_weight else []
        fields += ["joints3d"] if config.joints3d_loss_weight else []
        return Needs(fields=tuple(fields), skeleton2d=self.skeleton, body_models=self.body_models)

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """That of the network from joints to the body."""
        config = self.config
        on = {
            "kpr_loss": config.kpr_loss_weight,
            "body_loss": config.body_loss_weight,
            "joints3d_loss": config.joints3d_loss_weight,
        }
        names = tuple(name for name, value in on.items() if value)
        return {MAIN: Optimizer(self.lifter.trainable_variables, loss_names=names)}

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def detect(self, images):
        """Returns MoveNet's joints (B, 17, 3), normalised crop coordinates and score, of crops (B, S, S, 3)."""
        joints = self.movenet(ops.cast(images, "float32") / 127.5 - 1.0)
        points = pixels_to_normalized(joints[..., :2], self.image_size)
        scores = joints[..., 2:]
        scores = ops.where(scores >= self.config.min_score, scores, 0.0)
        return ops.concatenate([points, scores], axis=-1)

    def lift(self, detections, *, training: bool = False) -> list[dict]:
        """Finds the bodies of joints.

        Args:
            detections: (B, 17, 3) x, y in any unit, and the score; a joint with score 0 is missing.
            training: of the lifter.

        Returns:
            Per stage rotmats (B, 24, 3, 3), shape (B, 10) and camera (B, 3) in the unit of the joints; without
            training the fitted ones last, if the configuration has them fitted.
        """
        inside, box = normalize_joints(detections)
        stages = self.lifter(inside, project=self._project_seen, training=training)
        stages = [_tensors(stage) for stage in stages]
        if self.config.refine and not training:
            stages.append(self._fit(stages[-1], inside))
        return [stage | {"camera": camera_of_box(stage["camera"], box)} for stage in stages]

    def _project_seen(self, parameters):
        return self._project(_tensors(parameters))

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs both networks and the body model; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `detections` (B, 17, 3), see `detect`, and `stages`, per stage `camera` (B, 3), `rotmats`
            (B, 24, 3, 3), `shape` (B, 10), `joints2d` (B, 19, 2) in [-1, 1] and `joints3d` (B, 19, 3) in metres.
        """
        detections = ops.stop_gradient(self.detect(inputs))
        stages = self.lift(detections, training=training and "lifter" not in frozen)
        return {"detections": detections, "stages": [self._posed[False](stage) for stage in stages]}

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Keypoint losses, and where the batch has the truth, body and 3D losses: means over the stages."""
        config, parts, weights = self.config, {}, {}
        stages = outputs["stages"]
        if config.kpr_loss_weight:
            parts["kpr_loss"] = _summed(
                keypoint_l1(stage["joints2d"], batch["joints2d"], batch["joints2d_weight"])
                for stage in stages
            )
            weights["kpr_loss"] = config.kpr_loss_weight
        if config.body_loss_weight:
            truth = axis_angle_to_rotmat(ops.reshape(batch["pose"], (-1, 24, 3)))
            parts["body_loss"] = _summed(
                body_parameter_mse(
                    stage["rotmats"],
                    stage["shape"],
                    truth,
                    batch["shape"],
                    batch["pose_weight"],
                    batch["shape_weight"],
                )
                for stage in stages
            )
            weights["body_loss"] = config.body_loss_weight
        if config.joints3d_loss_weight:
            parts["joints3d_loss"] = _summed(
                joints3d_mse(stage["joints3d"], batch["joints3d"], batch["joints3d_weight"])
                for stage in stages
            )
            weights["joints3d_loss"] = config.joints3d_loss_weight
        return Losses(parts, weights)

    def infer(self, inputs) -> dict:
        """Runs both networks without training; the last stage's tensors, see `forward`, and `vertices`."""
        return self.infer_joints2d(self.detect(inputs))

    def infer_joints2d(self, detections) -> dict:
        """Returns what `infer` returns, of the joints (B, 17, 3) of any detector: x, y and score; 0 is missing."""
        detections = ops.convert_to_tensor(detections, "float32")
        return {"detections": detections, **self._posed[True](self.lift(detections)[-1])}

    def true_vertices(self, pose, shape) -> np.ndarray:
        """Returns the vertices (B, V, 3) of body parameters, axis-angle pose (B, 72) and shape (B, 10)."""
        rotmats = axis_angle_to_rotmat(ops.reshape(ops.convert_to_tensor(pose), (-1, 24, 3)))
        return ops.convert_to_numpy(self.body(rotmats, ops.convert_to_tensor(shape))["vertices"])

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction; joints that MoveNet does not know have no confidence."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        confidence = np.zeros(arrays["joints2d"].shape[:2], np.float32)
        confidence[:, self._seen] = arrays["detections"][..., 2]
        return Prediction(
            skeleton=self.skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays["joints3d"],
            camera=arrays["camera"],
            vertices=arrays["vertices"],
            faces=self.body.data.faces,
            vertex_colors=self.body.data.vertex_colors,
            pose=arrays["rotmats"],
            shape=arrays["shape"],
            confidence=confidence,
        )


def camera_of_box(camera, box):
    """Moves weak-perspective cameras (B, 3) out of the boxes (B, 3) of `normalize_joints`."""
    # half s (X + t) + middle = half s (X + t + middle / (half s))
    scale = box[:, 2:] * camera[:, :1]
    return ops.concatenate([scale, camera[:, 1:] + box[:, :2] / scale], axis=-1)


def _posing(body, *, vertices):
    def pose(parameters):
        posed = body(parameters["rotmats"], parameters["shape"], vertices=vertices)
        outputs = parameters | {
            "joints3d": posed["keypoints"],
            "joints2d": weak_perspective_project(posed["keypoints"], parameters["camera"]),
        }
        return outputs | ({"vertices": posed["vertices"]} if vertices else {})

    return pose


def _tensors(stage):
    return {name: stage[name] for name in ("rotmats", "shape", "camera")}


def _summed(means):
    """Returns one Mean over all stages."""
    first, *others = means
    for mean in others:
        first = type(first)(first.total + mean.total, first.count + mean.count)
    return first


def build_movenet_body(
    config: MoveNetBodyConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> MoveNetBody:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments."""
    return MoveNetBody(config, load_body_model(config.smpl_model_path), image_size=input.img_size)

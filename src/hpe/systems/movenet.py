"""MoveNet's joints, the body that goes with them, and what the picture says of it besides.

The first network finds 17 joints with scores in the picture, the second, which learned from projected postures, the
body that has them: it serves any detector's joints, too. Further ones, if wanted, read MoveNet's own maps along the
limbs of that body and correct it.
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
from hpe.losses.silhouette import distances_of_pairs
from hpe.networks.body_lifter import build_body_lifter, normalize_joints, projector
from hpe.networks.evidence import BodyCorrection, EvidenceMaps, peaks
from hpe.networks.movenet import NUM_FEATURES, NUM_JOINTS, SIZE_MULTIPLE, MoveNet, decode_maps
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet_losses import body_losses, evidence_losses, outline_loss
from hpe.systems.movenet_ready import prediction_of
from hpe.systems.prediction import Prediction
from hpe.systems.refinement import camera_of_box
from hpe.systems.settings.movenet import MoveNetBodyConfig

_JOINTS = skeletons.COCO17
_KEYPOINTS = skeletons.COCOPLUS19
_LABELLED = skeletons.LSP14
# Of where a joint lies, the detector's share beside the evidence. On LSP validation Lightning's bodies are best
# with a half, Thunder's, whose joints are better than Lightning's maps, with all of it.
_DETECTED_SHARE = 0.7


class MoveNetBody:
    """The networks as a system: predicts and trains, see `hpe.systems.base`.

    MoveNet is taken as it is: training reaches the networks behind it.

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
        self.seen_joints = np.array([_KEYPOINTS.index(joint) for joint in _JOINTS.joints])
        # Whose maps are the evidence: mostly those that are computed for the joints anyway.
        self.observer = self.movenet
        if config.uses_evidence and config.evidence.value != config.movenet.value:
            self.observer = MoveNet(config.evidence.value, name="observer")
        self._observed = self.observer.with_taps()
        # MoveNet is a constant, like the body: it lies in the package, not in checkpoints.
        self.networks = {"lifter": self.lifter}
        if config.uses_evidence:
            self.evidence_maps = EvidenceMaps(
                self.observer.num_tapped, self.detected_skeleton, name="evidence_maps"
            )
            self.correction = BodyCorrection(
                NUM_FEATURES,
                self.seen_joints,
                width=config.correction_size,
                num_corrections=config.corrections,
                name="correction",
            )
            self.networks |= {"evidence_maps": self.evidence_maps, "correction": self.correction}
        compile_if = functools.partial(xla_compiled, wanted=config.compile_body)
        self._project = compile_if(projector(self.body, self.seen_joints))
        self._project_all = compile_if(projector(self.body, range(len(_KEYPOINTS))))
        self.distances = compile_if(distances_of_pairs)
        self._posed = {
            vertices: compile_if(_posing(self.body, vertices=vertices)) for vertices in (False, True)
        }

    @property
    def refine(self) -> int:
        """Steps of fitting where nobody says otherwise, see `hpe.systems.refinement`."""
        return self.config.refine

    @property
    def needs(self) -> Needs:
        """2D joints, and what the losses which are on compare with."""
        config = self.config
        optional = {
            "pose": config.body_loss_weight,
            "shape": config.body_loss_weight,
            "joints3d": config.joints3d_loss_weight,
            "silhouette": config.mr_loss_weight or (config.uses_evidence and config.maps_loss_weight),
        }
        fields = ("image", "joints2d", *(name for name, wanted in optional.items() if wanted))
        return Needs(fields=fields, skeleton2d=self.skeleton, body_models=self.body_models)

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """That of all networks behind MoveNet."""
        config = self.config
        on = {
            "kpr_loss": config.kpr_loss_weight,
            "body_loss": config.body_loss_weight,
            "joints3d_loss": config.joints3d_loss_weight,
            "mr_loss": config.mr_loss_weight,
            "shape_loss": config.shape_loss_weight,
            "stay_loss": config.uses_evidence and config.stay_loss_weight,
            "hold_loss": config.uses_evidence and config.hold_loss_weight,
            "joint_maps_loss": config.uses_evidence and config.maps_loss_weight,
            "mask_loss": config.uses_evidence and config.maps_loss_weight,
        }
        variables = [
            variable for network in self.networks.values() for variable in network.trainable_variables
        ]
        return {MAIN: Optimizer(variables, tuple(name for name, value in on.items() if value))}

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def detect(self, images):
        """Returns MoveNet's joints (B, 17, 3), normalised crop coordinates and score, of crops (B, S, S, 3)."""
        return self._joints(self.movenet.maps(_scaled(images)))

    def observe(self, images) -> dict:
        """Finds joints and evidence in crops (B, S, S, 3).

        Returns:
            Dict of `detections` (B, 17, 3), see `detect`, `maps` (B, h, w, C), the observer's features and logits
            at its stride of 4, and `pooled` (B, 1280), the mean of its last features.
        """
        if self.observer is not self.movenet:
            return {"detections": self.detect(images), **self.look(images)}
        maps = self._observed(_scaled(images))
        return {"detections": self._joints(maps), **_evidence(maps)}

    def look(self, images) -> dict:
        """Returns what `observe` returns but the detections: the observer's evidence."""
        scaled, side = _scaled(images), self.observer.size.picture
        if side != self.image_size:
            scaled = ops.image.resize(scaled, (side, side), data_format="channels_last")
        return _evidence(self._observed(scaled))

    def _joints(self, maps):
        joints = decode_maps(maps)
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
            Per stage rotmats (B, 24, 3, 3), shape (B, 10) and camera (B, 3) in the unit of the joints.
        """
        inside, box = normalize_joints(detections)
        stages = self.lifter(inside, project=self._project_seen, training=training)
        return [_tensors(stage) | {"camera": camera_of_box(stage["camera"], box)} for stage in stages]

    def correct(self, stage, seen: Mapping, *, training: bool = False) -> tuple[list[dict], dict]:
        """Corrects bodies by what MoveNet's maps hold.

        Args:
            stage: rotmats, shape and camera in normalised crop coordinates, such as the last one of `lift`.
            seen: of `observe`.
            training: of the networks.

        Returns:
            The corrected stages, and the evidence: `heatmaps`, `mask` and `features` of `EvidenceMaps`, and
            `joints` (B, 14, 3), between the heat maps' peaks and the detections.
        """
        evidence = self.evidence_maps(seen["maps"], seen["detections"], training=training)
        evidence["joints"] = _between(ops.stop_gradient(peaks(evidence["heatmaps"])), seen["detections"])
        known = evidence | {"pooled": seen["pooled"], "detections": seen["detections"]}
        project = self._project_every
        stages = self.correction(stage, known, project=project, training=training)
        return [_tensors(corrected) for corrected in stages], evidence

    def _project_seen(self, parameters):
        return self._project(_tensors(parameters))

    def _project_every(self, parameters):
        return self._project_all(_tensors(parameters))

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs all networks and the body model; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `detections` (B, 17, 3), see `observe`, and `stages`, per stage `camera` (B, 3), `rotmats`
            (B, 24, 3, 3), `shape` (B, 10), `joints2d` (B, 19, 2) in [-1, 1] and `joints3d` (B, 19, 3) in metres,
            of the last stage `vertices`, too, where a loss needs them; with evidence `evidence`, see `correct`.
        """
        seen = self.observe(inputs) if self.config.uses_evidence else {"detections": self.detect(inputs)}
        vertices = bool(self.config.mr_loss_weight)
        return self.forward_seen(seen, training=training, frozen=frozen, vertices=vertices)

    def forward_seen(
        self, seen: Mapping, *, training: bool = True, frozen: Sequence[str] = (), vertices: bool
    ) -> dict:
        """Returns what `forward` returns of what `observe` has found.

        Args:
            seen: of `observe`, or `detections` alone without evidence.
            training: of the networks.
            frozen: names of those that are held.
            vertices: whether those of the last stage are wanted.
        """
        seen = {
            name: ops.stop_gradient(seen[name]) for name in ("detections", "maps", "pooled") if name in seen
        }
        outputs = {"detections": seen["detections"]}
        stages = self.lift(seen["detections"], training=training and "lifter" not in frozen)
        if self.config.uses_evidence:
            last = {name: ops.stop_gradient(value) for name, value in stages[-1].items()}
            corrected, outputs["evidence"] = self.correct(last, seen, training=training)
            stages += corrected
        last = len(stages) - 1
        outputs["stages"] = [
            self._posed[vertices and index == last](stage) for index, stage in enumerate(stages)
        ]
        return outputs

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Keypoint losses, and those of what else the batch has the truth of; see `hpe.systems.movenet_losses`."""
        parts, weights = body_losses(self.config, outputs["stages"], batch)
        if self.config.mr_loss_weight:
            stage = outputs["stages"][-1]
            parts["mr_loss"] = outline_loss(stage, batch, self.image_size, measure=self.distances)
            weights["mr_loss"] = self.config.mr_loss_weight
        if self.config.uses_evidence:
            more, their_weights = evidence_losses(self.config, outputs, batch)
            parts, weights = parts | more, weights | their_weights
        return Losses(parts, weights)

    def infer(self, inputs) -> dict:
        """Runs the networks without training; the last stage's tensors, see `forward`, and `vertices`."""
        if not self.config.uses_evidence:
            return self.infer_joints2d(self.detect(inputs))
        return self.infer_seen(self.observe(inputs))

    def infer_seen(self, seen: Mapping) -> dict:
        """Returns what `infer` returns, of joints and evidence, see `observe`."""
        corrected, _ = self.correct(self.lift(seen["detections"])[-1], seen)
        return self._finish(corrected[-1], seen["detections"])

    def infer_joints2d(self, detections) -> dict:
        """Returns what `infer` returns, of the joints (B, 17, 3) of any detector: x, y and score; 0 is missing.

        There is no picture, so there is no other evidence.
        """
        detections = ops.convert_to_tensor(detections, "float32")
        return self._finish(self.lift(detections)[-1], detections)

    def _finish(self, stage, detections):
        return {"detections": detections, **self._posed[True](stage)}

    def true_vertices(self, pose, shape) -> np.ndarray:
        """Returns the vertices (B, V, 3) of body parameters, axis-angle pose (B, 72) and shape (B, 10)."""
        rotmats = axis_angle_to_rotmat(ops.reshape(ops.convert_to_tensor(pose), (-1, 24, 3)))
        return ops.convert_to_numpy(self.body(rotmats, ops.convert_to_tensor(shape))["vertices"])

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction; joints that MoveNet does not know have no confidence."""
        return prediction_of(inferred, self.body.data)


def _scaled(images):
    """Returns crops as MoveNet takes them."""
    return ops.cast(images, "float32") / 127.5 - 1.0


def _between(joints, detections):
    """Moves lsp14's joints (B, 14, 3) that COCO has, too, towards these; how much they count stays."""
    names = _LABELLED.joints
    places = np.array([_JOINTS.index(name) if name in _JOINTS.joints else 0 for name in names], np.int32)
    share = np.array([_DETECTED_SHARE * (name in _JOINTS.joints) for name in names], np.float32)[:, None]
    points = share * ops.take(detections[..., :2], places, axis=1) + (1.0 - share) * joints[..., :2]
    return ops.concatenate([points, joints[..., 2:]], axis=-1)


def _evidence(maps):
    stacked = ops.concatenate([maps[name] for name in ("encoder", "pyramid", "heatmaps")], axis=-1)
    return {"maps": stacked, "pooled": ops.mean(maps["features"], axis=(1, 2))}


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


def build_movenet_body(
    config: MoveNetBodyConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> MoveNetBody:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments."""
    return MoveNetBody(config, load_body_model(config.smpl_model_path), image_size=input.img_size)

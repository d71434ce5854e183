"""Weakly supervised 3D pose: heat maps and maps of depth from a picture, taught by 2D and 3D people together.

After Zhou et al., "Towards 3D Human Pose Estimation in the Wild: a Weakly-supervised Approach" (2017), in the
version with a ResNet. People in the wild have 2D joints alone: what is known of their depth is that a body's bones
have proportions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.errors import SettingError
from hpe.fields import Needs
from hpe.formats.torch_files import load_torch_file
from hpe.losses.depth_maps import bone_geometry, depth_smooth_l1, depth_targets, has_bones, read_maps
from hpe.losses.heatmaps import heatmap_accuracy, heatmap_mse
from hpe.networks import heatmap_network
from hpe.networks.heatmaps import decode_heatmaps, draw_heatmaps, find_peaks, mirror_heatmaps
from hpe.networks.pytorch_weights import assign_state
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction, is_found
from hpe.systems.settings.weakly_supervised import NO_WEIGHTS, Task, WeaklySupervisedConfig

# `heatmap_mse` halves the mean square, as HRNet does; the published loss does not.
_HEATMAP_WEIGHT = 2.0
_HALF_SIDES = 2.0
# A convolution that every ResNet of PyTorch has.
_LANDMARK = "layer1.0.conv1.weight"
# A quarter, as in the published network.
_MAP_SHARE = 4

# Distances of joints in metres: means over the subjects 1, 5, 6, 7, 8 and 9 of Human3.6M. A picture does not tell
# how large people are; they are taken to be as large as these.
LENGTHS = (
    *((f"{side}_ankle", f"{side}_knee", 0.45) for side in ("left", "right")),
    *((f"{side}_knee", f"{side}_hip", 0.455) for side in ("left", "right")),
    *((f"{side}_wrist", f"{side}_elbow", 0.25) for side in ("left", "right")),
    *((f"{side}_elbow", f"{side}_shoulder", 0.285) for side in ("left", "right")),
    ("left_hip", "right_hip", 0.267),
    ("left_shoulder", "right_shoulder", 0.29),
)


class WeaklySupervised:
    """Heat maps and maps of depth as a system: predicts and trains, see `hpe.systems.base`.

    Args:
        config: networks and losses.
        image_size: side of the square input in pixels.

    Raises:
        UserError: sizes and encoder do not suit each other, or weights cannot be had.
    """

    name = "weakly_supervised"
    input_key = "image"
    body_models = ()
    training_networks: Mapping = MappingProxyType({})

    def __init__(self, config: WeaklySupervisedConfig, *, image_size: int):
        self.config = config
        self.input_shape = (image_size, image_size, 3)
        self.skeleton = config.skeleton
        self._joints = skeletons.get(config.skeleton)
        self.root = _root_of(self._joints)
        self._lengths = _lengths_of(self._joints)
        self._check()
        # What is wrong with a file is said before anything is built.
        loaded = _load_encoder_weights(config)
        self._size = config.heatmap_size or image_size // _MAP_SHARE
        self.encoder = heatmap_network.build_map_encoder(
            config.encoder,
            image_size=image_size,
            weights=config.encoder_weights if loaded is None else NO_WEIGHTS,
            stride=config.encoder_stride,
            published=config.published_preprocessing,
        )
        if loaded is not None:
            assign_state(
                loaded,
                {"encoder": self.encoder},
                source=f"encoder_weights={config.encoder_weights}",
                landmark=_LANDMARK,
                what=config.encoder,
            )
        shape = self.encoder.output_shape[1:]
        count = heatmap_network.doublings(shape[0], self._size)
        self.upsampling = heatmap_network.build_upsampling(shape, count=count, width=config.deconv_width)
        heads = {"heatmap_head": "hm"} | ({"depth_head": "depth"} if self.has_depth else {})
        width = self.upsampling.output_shape[-1]
        self.heads = {
            key: heatmap_network.build_map_head(width, len(self._joints), name=name)
            for key, name in heads.items()
        }
        self.networks = {"encoder": self.encoder, "upsampling": self.upsampling, **self.heads}
        fields = ("image", "joints2d", *(("joints3d",) if self.has_depth else ()))
        self.needs = Needs(fields, skeleton2d=self.skeleton, skeleton3d=self.skeleton)

    @property
    def has_depth(self) -> bool:
        """Whether there are maps of depth."""
        return self.config.task is Task.HUMAN3D

    def _check(self) -> None:
        """Raises SettingError if the joint set does not serve the task."""
        if not self.has_depth:
            return
        for setting, suits, needs in (
            (
                "skeleton",
                self.root and len(self._lengths[0]),
                "the hips and limbs that 3D joints are measured by",
            ),
            (
                "weight_var",
                not self.config.weight_var or has_bones(self.skeleton),
                "bones for the geometry loss",
            ),
        ):
            if not suits:
                raise SettingError(setting, f"{self.skeleton} lacks {needs}; take another `skeleton`.")

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """One, of all variables."""
        variables = [v for network in self.networks.values() for v in network.trainable_variables]
        return {MAIN: Optimizer(variables, loss_names=tuple(self._loss_weights))}

    @property
    def _loss_weights(self) -> dict[str, float]:
        config = self.config
        weights = {"heatmap_loss": _HEATMAP_WEIGHT}
        if self.has_depth:
            weights |= {"depth_loss": config.weight_3d, "geometry_loss": config.weight_var}
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics."""
        return [v for network in self.networks.values() for v in network.non_trainable_variables]

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs the networks; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `heatmaps` (B, H, H, J) and, of 3D, `depth` (B, H, H, J), in sides of the crop, float32.
        """
        features = self.encoder(inputs, training=training and "encoder" not in frozen)
        if "encoder" in frozen:
            features = ops.stop_gradient(features)
        x = self.upsampling(features, training=training and "upsampling" not in frozen)
        outputs = {"heatmaps": self.heads["heatmap_head"](x)}
        if self.has_depth:
            outputs["depth"] = self.heads["depth_head"](x)
        return outputs

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Heat maps, and depths where the joints are: against 3D joints, or else against proportions."""
        joints2d, weight2d = batch["joints2d"], batch["joints2d_weight"]
        target, drawn = draw_heatmaps(joints2d, weight2d, self._size, sigma=self.config.heatmap_sigma)
        weights = self._loss_weights
        parts = {"heatmap_loss": heatmap_mse(outputs["heatmaps"], target, drawn)}
        measured = {"heatmaps/accuracy": heatmap_accuracy(outputs["heatmaps"], target)}
        if self.has_depth:
            depth, seen = read_maps(outputs["depth"], joints2d, weight2d)
            truth, known = depth_targets(
                joints2d, weight2d, batch["joints3d"], batch["joints3d_weight"], root=self.root
            )
            known = ops.logical_and(known, seen)
            if "depth_loss" in weights:
                parts["depth_loss"] = depth_smooth_l1(depth, truth, known)
            if "geometry_loss" in weights:
                taught = ops.any(known, axis=1, keepdims=True)
                parts["geometry_loss"] = bone_geometry(
                    ops.cast(joints2d, "float32") / _HALF_SIDES,
                    depth,
                    ops.logical_and(seen, ops.logical_not(taught)),
                    skeleton=self.skeleton,
                )
        return Losses(parts, weights, measured)

    def infer(self, inputs) -> dict:
        """Predicts crops (B, S, S, 3).

        Returns:
            Dict with `joints2d` (B, J, 2) in [-1, 1], `confidence` (B, J) and, of 3D, `joints3d` (B, J, 3), metres
            from the pelvis.
        """
        maps = self.forward(inputs, training=False)
        if self.config.flip_test:
            mirrored = self.forward(ops.flip(ops.convert_to_tensor(inputs), axis=2), training=False)
            maps = {
                key: 0.5 * (value + mirror_heatmaps(mirrored[key], self._joints.flip))
                for key, value in maps.items()
            }
        joints2d, confidence = decode_heatmaps(maps["heatmaps"])
        inferred = {"joints2d": joints2d, "confidence": confidence}
        if self.has_depth:
            inferred["joints3d"] = self._joints3d(maps, joints2d, confidence)
        return inferred

    def _joints3d(self, maps, joints2d, confidence):
        """Puts the depths at the peaks behind the 2D joints, and makes the people as large as people are."""
        cells, _ = find_peaks(maps["heatmaps"])
        places = cells * (_HALF_SIDES / self._size) - 1.0
        depth, _ = read_maps(maps["depth"], places, ops.ones_like(confidence))
        joints = ops.concatenate([joints2d / _HALF_SIDES, depth[..., None]], axis=-1)
        joints = joints - ops.mean(ops.take(joints, list(self.root), axis=1), axis=1, keepdims=True)
        ends, metres = self._lengths
        first, second = (ops.take(joints, ends[:, end], axis=1) for end in (0, 1))
        found = is_found(confidence)
        both = ops.logical_and(*(ops.take(found, ends[:, end], axis=1) for end in (0, 1)))
        # Of somebody of whom nothing was found all lengths serve.
        counts = ops.cast(
            ops.logical_or(both, ops.logical_not(ops.any(both, axis=1, keepdims=True))), "float32"
        )
        lengths = ops.sqrt(ops.sum(ops.square(first - second), axis=-1))
        total = ops.sum(counts * lengths, axis=1)
        scale = ops.sum(counts * metres, axis=1) / ops.where(total > 0, total, 1.0)
        return joints * scale[:, None, None]

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays.get("joints3d"),
            confidence=arrays["confidence"],
        )


def _root_of(joints: skeletons.Skeleton) -> tuple[int, ...]:
    """Returns the pelvis of a joint set, else both hips, else nothing."""
    for names in (("pelvis",), ("right_hip", "left_hip")):
        if all(name in joints.joints for name in names):
            return tuple(joints.index(name) for name in names)
    return ()


def _lengths_of(joints: skeletons.Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Returns pairs of joints (E, 2) of `LENGTHS`, and the metres (E,) between them."""
    rows = [row for row in LENGTHS if row[0] in joints.joints and row[1] in joints.joints]
    ends = np.array([[joints.index(first), joints.index(second)] for first, second, _ in rows], np.int32)
    return ends.reshape(-1, 2), np.array([metres for *_, metres in rows], np.float32)


def _load_encoder_weights(config: WeaklySupervisedConfig):
    """Reads the PyTorch file of an encoder of ours, None without one; UserError if it does not suit."""
    weights = config.encoder_weights
    is_torch = weights.endswith(heatmap_network.PYTORCH_SUFFIXES)
    if heatmap_network.own_depth(config.encoder) is None:
        if is_torch:
            raise SettingError(
                "encoder_weights",
                f"a PyTorch file, which fits {', '.join(heatmap_network.own_names())}, not {config.encoder}.",
                weights,
            )
        return None
    if weights == NO_WEIGHTS:
        return None
    if not is_torch:
        raise SettingError(
            "encoder_weights",
            f"{config.encoder} takes none, or a PyTorch file of such a ResNet (.pth), such as torchvision's.",
            weights,
        )
    return load_torch_file(weights)


def build_weakly_supervised(
    config: WeaklySupervisedConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> WeaklySupervised:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments.

    Raises:
        UserError: the crop size does not suit the encoder, or the weights cannot be had.
    """
    if not pretrained:
        # The file does not have to be there then: the checkpoint holds the weights.
        config = dataclasses.replace(config, encoder_weights=NO_WEIGHTS)
    return WeaklySupervised(config, image_size=input.img_size)

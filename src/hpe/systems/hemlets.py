"""HEMlets: 3D joints of one person from volumes, taught by maps that say which joint of a part is nearer.

After Zhou et al., "HEMlets Pose: Learning Part-Centric Heatmap Triplets for Accurate 3D Human Pose
Estimation" (2019). A picture with 3D joints teaches all; one with 2D joints alone teaches its joints' maps
and where they lie in the picture, and its triplets, too, where somebody has said which joints are nearer (the
field `part_order`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.fields import Needs
from hpe.losses.heatmaps import heatmap_accuracy
from hpe.losses.triplets import draw_triplets, heatmap_sse, part_states, triplet_sse
from hpe.losses.volumes import VOLUME_DEPTH, volume_coordinates, volume_l1
from hpe.networks.heatmaps import draw_heatmaps, find_peaks
from hpe.networks.hemlets import build_networks, split_maps
from hpe.networks.soft_argmax import volumetric_soft_argmax
from hpe.skeletons.parts import DEFAULT_BODY_BONES, H36M_BONES, UNKNOWN
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.hemlets import NO_WEIGHTS, Bones, HemletsConfig, MapOrder, TripletOrder

_JOINTS = skeletons.H36M18
_ROOT = _JOINTS.index("pelvis")
_BONES = {Bones.H36M: H36M_BONES, Bones.DEFAULT_BODY: DEFAULT_BODY_BONES}
# Volumes reach from -1/2 to 1/2, crops from -1 to 1.
_HALF_SIDES = 2.0

# Metres that the side of a crop may measure, how many between are tried at once, and how often.
_SIDES, _TRIED, _ROUNDS = (0.3, 12.0), 24, 3


class Hemlets:
    """HEMlets as a system: predicts and trains, see `hpe.systems.base`.

    Args:
        config: networks and losses.
        image_size: side of the square input in pixels.

    Raises:
        UserError: sizes and encoder do not suit each other, or weights cannot be had.
    """

    name = "hemlets"
    input_key = "image"
    skeleton = _JOINTS.name
    body_models = ()
    # Where the camera is known, x and y in space follow from it.
    judged_with = ("intrinsics",)
    training_networks: Mapping = MappingProxyType({})

    def __init__(self, config: HemletsConfig, *, image_size: int):
        self.config = config
        self.input_shape = (image_size, image_size, 3)
        self.networks = build_networks(
            config.encoder,
            image_size=image_size,
            cells=config.volume_size,
            depth_cells=config.volume_depth or config.volume_size,
            branch_width=config.branch_width,
            feature_width=config.feature_width,
            weights=config.encoder_weights,
            stride=config.encoder_stride,
        )
        self.bones = _BONES[config.bones]

    @property
    def needs(self) -> Needs:
        """Joints, and what somebody has said of parts where triplets are learned."""
        parts = ("part_order",) if self.config.triplet_loss_weight else ()
        return Needs(
            ("image", "joints2d", "joints3d", *parts), skeleton2d=self.skeleton, skeleton3d=self.skeleton
        )

    @property
    def _loss_weights(self) -> dict[str, float]:
        config = self.config
        weights = {
            "joints_loss": config.joints_loss_weight,
            "triplet_loss": config.triplet_loss_weight,
            "heatmap_loss": config.heatmap_loss_weight,
        }
        return {name: weight for name, weight in weights.items() if weight}

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """One, of all variables."""
        variables = [v for network in self.networks.values() for v in network.trainable_variables]
        return {MAIN: Optimizer(variables, loss_names=tuple(self._loss_weights))}

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics."""
        return [v for network in self.networks.values() for v in network.non_trainable_variables]

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs the networks; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `places` (B, 18, 3), x, y, z in [-1/2, 1/2] of the volume; `heatmaps` (B, C, C, 18) of
            joints and `triplets` (B, C, C, 14, 3) of parts.
        """

        def run(name, *given):
            given = given[0] if len(given) == 1 else list(given)
            return self.networks[name](given, training=training and name not in frozen)

        encoded = run("encoder", inputs)
        features, maps = run("features", encoded), run("maps", encoded)
        places = volumetric_soft_argmax(run("volume", features, maps), len(_JOINTS))
        heatmaps, triplets = split_maps(
            ops.cast(maps, "float32"),
            joints_first=self.config.map_order is MapOrder.JOINTS_FIRST,
            by_part=self.config.triplet_order is TripletOrder.BY_PART,
        )
        return {"places": places, "heatmaps": heatmaps, "triplets": triplets}

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Compares places and maps with those of the batch; the maps' accuracy is only shown."""
        config, weights = self.config, self._loss_weights
        joints2d, weight2d = batch["joints2d"], batch["joints2d_weight"]
        target, known = volume_coordinates(
            joints2d, batch["joints3d"], weight2d, batch["joints3d_weight"], root=_ROOT
        )
        parts = {}
        if "joints_loss" in weights:
            parts["joints_loss"] = volume_l1(outputs["places"], target, known)
        cells, sigma = config.volume_size, config.heatmap_sigma
        measured = {}
        if "heatmap_loss" in weights:
            drawn, seen = draw_heatmaps(joints2d, weight2d, cells, sigma=sigma)
            parts["heatmap_loss"] = heatmap_sse(outputs["heatmaps"], drawn, seen)
            measured["heatmaps/accuracy"] = heatmap_accuracy(outputs["heatmaps"], drawn)
        if "triplet_loss" in weights:
            drawn, labelled = draw_triplets(joints2d, weight2d, self.part_states(batch), cells, sigma=sigma)
            parts["triplet_loss"] = triplet_sse(outputs["triplets"], drawn, labelled)
        return Losses(parts, weights, measured)

    def part_states(self, batch: Mapping):
        """Returns the states (B, 14) of parts: by 3D joints, else as somebody has labelled them, else UNKNOWN."""
        states = part_states(
            batch["joints3d"][..., 2], batch["joints3d_weight"], tolerance=self.config.triplet_tolerance
        )
        return ops.where(ops.equal(states, UNKNOWN), ops.cast(batch["part_order"], "int32"), states)

    def infer(self, inputs) -> dict:
        """Finds the joints of images (B, S, S, 3).

        Returns:
            Dict with `joints2d` (B, 18, 2) in [-1, 1]; `joints3d` (B, 18, 3) in metres from the pelvis, as a
            weak-perspective `camera` (B, 3) sees them, of whose scale the bones have their average length; and
            `confidence` (B, 18), if the configuration has it.
        """
        inputs = ops.convert_to_tensor(inputs)
        outputs = self.forward(inputs, training=False)
        places, heights = outputs["places"], find_peaks(outputs["heatmaps"])[1]
        if self.config.flip_test:
            mirrored = self.forward(ops.flip(inputs, axis=2), training=False)
            places = 0.5 * (places + self.mirror(mirrored["places"]))
            flip = list(_JOINTS.flip)
            heights = 0.5 * (heights + ops.take(find_peaks(mirrored["heatmaps"])[1], flip, axis=1))
        joints2d = _HALF_SIDES * places[..., :2]
        from_root = places - places[:, _ROOT : _ROOT + 1]
        depths = VOLUME_DEPTH * from_root[..., 2:]
        side = side_in_metres(from_root[..., :2], depths, self.bones)
        inferred = {
            "joints2d": joints2d,
            "joints3d": ops.concatenate([side[:, None, None] * from_root[..., :2], depths], axis=-1),
            # p = s (X + t), where X is 0 at the root.
            "camera": ops.concatenate(
                [_HALF_SIDES / side[:, None], side[:, None] * places[:, _ROOT, :2]], axis=-1
            ),
        }
        if self.config.joint_confidence:
            inferred["confidence"] = ops.clip(heights, 0.0, 1.0)
        return inferred

    def mirror(self, places):
        """Turns places (B, 18, 3) in mirrored crops into places in the crops themselves.

        Mirroring a crop of S pixels takes pixel p to S - 1 - p.
        """
        exchanged = ops.take(places, list(_JOINTS.flip), axis=1)
        x = -exchanged[..., :1] - 1.0 / self.input_shape[0]
        return ops.concatenate([x, exchanged[..., 1:]], axis=-1)

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.skeleton,
            joints2d=arrays["joints2d"],
            joints3d=arrays["joints3d"],
            camera=arrays["camera"],
            confidence=arrays.get("confidence"),
            bones=self.bones,
        )


def side_in_metres(places, depths, bones):
    """Finds how many metres the side of a crop measures: those with which bones have their average length.

    Args:
        places: (B, J, 2) of joints, in sides of the crop.
        depths: (B, J, 1) metres.
        bones: a `hpe.skeletons.parts.BoneLengths`.

    Returns:
        (B,) the side, of ever finer ones between 0.3 and 12 m, with the smallest mean absolute difference.
    """
    ends = np.array(bones.bones)
    across, along = (
        ops.take(values, ends[:, 0], axis=1) - ops.take(values, ends[:, 1], axis=1)
        for values in (places, depths)
    )
    across, along = ops.sum(ops.square(across), axis=-1), ops.square(along[..., 0])
    wanted = np.array(bones.metres, np.float32)
    # Logarithms of the sides that are tried, between two ends of each person's own.
    low = ops.zeros_like(across[:, 0]) + np.float32(np.log(_SIDES[0]))
    high = ops.zeros_like(across[:, 0]) + np.float32(np.log(_SIDES[1]))
    steps = np.linspace(0.0, 1.0, _TRIED, dtype=np.float32)
    for _ in range(_ROUNDS):
        tried = ops.exp(low[:, None] + (high - low)[:, None] * steps)
        lengths = ops.sqrt(ops.square(tried)[..., None] * across[:, None] + along[:, None])
        best = ops.argmin(ops.mean(ops.abs(lengths - wanted), axis=-1), axis=1)
        side = ops.take_along_axis(tried, best[:, None], axis=1)[:, 0]
        width = (high - low) / (_TRIED - 1)
        low, high = ops.log(side) - width, ops.log(side) + width
    return side


def build_hemlets(
    config: HemletsConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> Hemlets:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments.

    Raises:
        UserError: the crop size does not suit the encoder, or the weights cannot be had.
    """
    if not pretrained:
        # The file does not have to be there then: the checkpoint holds the weights.
        config = dataclasses.replace(config, encoder_weights=NO_WEIGHTS)
    return Hemlets(config, image_size=input.img_size)

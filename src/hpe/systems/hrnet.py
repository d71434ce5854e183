"""HRNet: 2D joints of one person from heat maps.

After Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (2019), for square crops.
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
from hpe.losses.heatmaps import heatmap_accuracy, heatmap_mse
from hpe.networks import hrnet_weights
from hpe.networks.heatmaps import decode_heatmaps, draw_heatmaps, mirror_heatmaps
from hpe.networks.hrnet import STRIDE, build_heatmap_head, build_hrnet
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction
from hpe.systems.settings.hrnet import NO_WEIGHTS, HrnetConfig


class Hrnet:
    """HRNet: predicts and trains, see `hpe.systems.base`.

    Args:
        config: network and targets.
        image_size: side of the square input in pixels, a multiple of 32.

    Raises:
        UserError: the size does not suit the network, or the weights cannot be had.
    """

    name = "hrnet"
    input_key = "image"
    body_models = ()
    training_networks: Mapping = MappingProxyType({})

    def __init__(self, config: HrnetConfig, *, image_size: int):
        self.config = config
        self.input_shape = (image_size, image_size, 3)
        self.skeleton = config.skeleton
        self._joints = skeletons.get(config.skeleton)
        # Building a wide network takes a while: what is wrong with the file is said before.
        weights = self._read_weights() if config.hrnet_weights != NO_WEIGHTS else None
        self.backbone = build_hrnet(
            config.hrnet_width,
            image_size=image_size,
            dtype="mixed_bfloat16" if config.mixed_precision else "float32",
        )
        self.head = build_heatmap_head(config.hrnet_width, len(self._joints))
        self._size = image_size // STRIDE
        self.networks = {"backbone": self.backbone, "head": self.head}
        self.needs = Needs(fields=("image", "joints2d"), skeleton2d=self.skeleton)
        if weights is not None:
            taken = (self.backbone,) if config.backbone_only else (self.backbone, self.head)
            hrnet_weights.assign(weights, *taken, source=f"hrnet_weights={config.hrnet_weights}")

    def _read_weights(self) -> hrnet_weights.HrnetWeights:
        """Reads the file of weights; UserError if it does not suit the configuration."""
        config, path = self.config, self.config.hrnet_weights
        if path.endswith((".pth", ".pt", ".tar")):
            raise SettingError(
                "hrnet_weights",
                "a PyTorch file; convert it by hpe convert-hrnet `input=THIS` `output=hrnet.npz`.",
                path,
            )
        weights = hrnet_weights.load(path)
        if weights.width != config.hrnet_width:
            raise SettingError(
                "hrnet_weights",
                f"weights of HRNet-W{weights.width}; use `hrnet_width={weights.width}` or another file.",
                path,
            )
        if not config.backbone_only and weights.skeleton != self.skeleton:
            holds = f"heat maps of {weights.skeleton}" if weights.skeleton else "no heat maps"
            use = f"`skeleton={weights.skeleton}`, or " if weights.skeleton else ""
            raise SettingError(
                "hrnet_weights",
                f"{holds}, not of `skeleton={self.skeleton}`; use {use}`backbone_only` for a new head.",
                path,
            )
        return weights

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """One, of the variables of backbone and head."""
        variables = [*self.backbone.trainable_variables, *self.head.trainable_variables]
        return {MAIN: Optimizer(variables, loss_names=("heatmap_loss",))}

    @property
    def non_trainable_variables(self):
        """Batch normalisation statistics."""
        return list(self.backbone.non_trainable_variables)

    def adapt(self, statistics: Mapping) -> None:
        """Needs nothing of the training data; see `hpe.systems.base.Trains`."""

    def forward(self, inputs, *, training: bool, seed=None, frozen: Sequence[str] = ()) -> dict:
        """Runs backbone and head; see `hpe.systems.base.Trains` for the arguments.

        Returns:
            Dict with `heatmaps` (B, S/4, S/4, J) float32.
        """
        features = self.backbone(inputs, training=training and "backbone" not in frozen)
        return {"heatmaps": self.head(ops.cast(features, "float32"))}

    def losses(self, outputs: Mapping, batch: Mapping) -> Losses:
        """Compares heat maps with those drawn around the joints of the batch."""
        predicted = outputs["heatmaps"]
        target, weights = draw_heatmaps(
            batch["joints2d"], batch["joints2d_weight"], self._size, sigma=self.config.heatmap_sigma
        )
        return Losses(
            {"heatmap_loss": heatmap_mse(predicted, target, weights)},
            {"heatmap_loss": 1.0},
            {"heatmaps/accuracy": heatmap_accuracy(predicted, target)},
        )

    def infer(self, inputs) -> dict:
        """Returns `joints2d` (B, J, 2) in [-1, 1] and `confidence` (B, J) of images (B, S, S, 3)."""
        heatmaps = self.forward(inputs, training=False)["heatmaps"]
        if self.config.flip_test:
            mirrored = ops.flip(ops.convert_to_tensor(inputs), axis=2)
            others = self.forward(mirrored, training=False)["heatmaps"]
            heatmaps = 0.5 * (heatmaps + mirror_heatmaps(others, self._joints.flip))
        joints2d, confidence = decode_heatmaps(heatmaps)
        return {"joints2d": joints2d, "confidence": confidence}

    def to_prediction(self, inferred: Mapping) -> Prediction:
        """Turns the tensors of `infer` into a Prediction."""
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in inferred.items()}
        return Prediction(
            skeleton=self.skeleton, joints2d=arrays["joints2d"], confidence=arrays["confidence"]
        )


def build_hrnet_system(
    config: HrnetConfig, input: ImageInput, *, build_critic: bool = True, pretrained: bool = True
) -> Hrnet:
    """Builds the system for crops of `input.img_size`; see `hpe.systems.SystemEntry` for the arguments.

    Raises:
        UserError: the crop size does not suit HRNet, or the file of weights is missing or unfit.
    """
    if not pretrained:
        # The file does not have to be there then: the checkpoint holds the weights.
        config = dataclasses.replace(config, hrnet_weights=NO_WEIGHTS, backbone_only=False)
    return Hrnet(config, image_size=input.img_size)

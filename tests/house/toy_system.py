"""A system in one file: crops to 2D joints and a map of distances, which is a field of its own."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from keras import ops

from hpe import fields, skeletons, systems
from hpe.losses.means import Mean
from hpe.options import option
from hpe.systems.base import MAIN, Losses, Optimizer
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction

DISTANCE = fields.register(
    fields.Field(
        key="toy_distance",
        shape=("S", "S"),
        dtype="float32",
        kind=fields.Kind.MAP,
        doc="Distance of what a pixel shows",
        unit="m",
        frame="camera",
        weight="toy_distance_weight",
        stored=fields.Stored("toy/distance", fields.Codec.PNG, scale=0.01),
    )
)
_SKELETON = skeletons.LSP14


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """Settings of the toy."""

    toy_width: int = option(8, "Channels of the convolutions.")
    toy_distance_weight: float = option(1.0, "Weight of the distances' loss.")


class Toy:
    """See the module; `hpe.systems.base.Trains` says what each member is."""

    name = "toy"
    input_key = "image"
    skeleton = _SKELETON.name
    body_models = ()

    def __init__(self, config: ToyConfig, input: ImageInput):
        self.config = config
        self.input_shape = (input.img_size, input.img_size, 3)
        image = keras.Input(self.input_shape)
        x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scaled")(image)
        x = keras.layers.Conv2D(config.toy_width, 3, padding="same", activation="relu", name="first")(x)
        distance = keras.layers.Conv2D(1, 1, name="distance")(x)
        x = keras.layers.Conv2D(config.toy_width, 3, strides=4, activation="relu", name="second")(x)
        joints = keras.layers.Dense(2 * len(_SKELETON), name="joints")(keras.layers.Flatten(name="flat")(x))
        self.network = keras.Model(image, [joints, distance], name="toy")
        self.networks = {"toy": self.network}
        self.training_networks = {}
        self.needs = fields.Needs(("image", "joints2d", DISTANCE.key), _SKELETON.name)
        self.optimizers = {
            MAIN: Optimizer(self.network.trainable_variables, ("joints_loss", "distance_loss"))
        }
        self.non_trainable_variables = self.network.non_trainable_variables

    def adapt(self, statistics) -> None:
        """Needs nothing of the data."""

    def forward(self, inputs, *, training, seed=None, frozen=()):
        """Runs the network; it draws nothing at random."""
        joints, distance = self.network(ops.cast(inputs, "float32"), training=training)
        return {
            "joints2d": ops.reshape(joints, (-1, len(_SKELETON), 2)),
            "distance": ops.squeeze(distance, -1),
        }

    def losses(self, outputs, batch) -> Losses:
        """Absolute differences of joints, and of distances in metres where the record has them."""
        error = ops.sum(ops.abs(outputs["joints2d"] - batch["joints2d"]), axis=-1)
        weight = batch["joints2d_weight"]
        distance = ops.mean(ops.abs(outputs["distance"] - batch[DISTANCE.key]), axis=(1, 2))
        known = batch[DISTANCE.weight]
        return Losses(
            {
                "joints_loss": Mean(ops.sum(error * weight), ops.sum(weight)),
                "distance_loss": Mean(ops.sum(distance * known), ops.sum(known)),
            },
            {"joints_loss": 1.0, "distance_loss": self.config.toy_distance_weight},
        )

    def infer(self, inputs):
        """Runs the network without training."""
        return self.forward(inputs, training=False)

    def to_prediction(self, inferred) -> Prediction:
        """Joints alone; the distances are for training."""
        return Prediction(skeleton=self.skeleton, joints2d=np.asarray(inferred["joints2d"], np.float32))


def build_toy(config, input, *, build_critic=True, pretrained=True) -> Toy:
    """Builds it; there is neither a critic nor a file of weights."""
    return Toy(config, input)


systems.register(
    systems.SystemEntry(
        "toy",
        ToyConfig,
        ImageInput,
        build_toy,
        "image",
        defaults={"img_size": 32, "datasets": ("toy_train",), "val_datasets": ("toy_val",)},
        exports=("saved_model",),
        metrics=("keypoint_loss@lsp14", "pck0.2torso@lsp14"),
    )
)

"""Settings of the lifter, see `hpe.systems.lifter`."""

from __future__ import annotations

import dataclasses
import enum

from hpe.errors import SettingError
from hpe.options import option, require_at_least
from hpe.systems import judged_by
from hpe.systems.inputs import JointsInput
from hpe.systems.registry import EXPORTS, SystemEntry, build_in


class LifterLoss(enum.Enum):
    """What is minimised: squares of standardised coordinates, or distances of joints."""

    MSE = "mse"
    MPJPE = "mpjpe"


class InputFrame(enum.Enum):
    """What coordinates the network sees: of the image, of the own box, or of a camera that looks at the person."""

    IMAGE = "image"
    CROP = "crop"
    RAY = "ray"


@dataclasses.dataclass(frozen=True)
class LifterConfig:
    """Network and loss of the lifter; the names are those of the command line."""

    linear_size: int = option(1024, "Width of the hidden layers.")
    num_blocks: int = option(2, "Residual blocks, of two hidden layers each.")
    residual: bool = option(True, "Add the input of every block to its output.")
    batch_norm: bool = option(True, "Use batch normalisation.")
    dropout: float = option(0.5, "Dropout rate of every hidden layer.")
    max_norm: bool = option(
        False, "Hold the Frobenius norm of every whole kernel at 1 or below, as Martinez et al. do."
    )
    mixed_precision: bool = option(
        False, "Compute matrix products of the hidden layers in bfloat16 in training; all else is float32."
    )
    lifter_loss: LifterLoss = option(
        LifterLoss.MSE,
        "Loss: mse, the mean square of standardised coordinates, or mpjpe, the mean distance of joints in metres.",
    )
    input_frame: InputFrame = option(
        InputFrame.IMAGE,
        "Frame of the 2D joints: image, pixels from the principal point, for the cameras that it was trained with "
        "(Martinez et al. count them from the picture's corner); "
        "crop, the box around the person's own 2D joints, for any picture; or ray (with `undistort`), what a "
        "camera sees that looks straight at the pelvis; 3D joints are predicted in its frame and turned back.",
    )
    input_relative: bool = option(
        False,
        "Show the network all 2D joints but the pelvis relative to the pelvis; they need a pelvis then.",
    )
    flip_test: bool = option(
        False, "Predict the mean of a pose and of its mirror image, mirrored back; takes twice the time."
    )

    def __post_init__(self):
        require_at_least(self, 1, "linear_size", "num_blocks")
        if not 0 <= self.dropout < 1:
            raise SettingError("dropout", "must be in [0, 1).", self.dropout)


def lifter_coordinates(config: LifterConfig, input: JointsInput) -> dict[str, str]:
    """Says what 2D joints the networks are shown; see `hpe.systems.SystemEntry`."""
    shown = (
        f"`input_skeleton={input.skeleton}` `input_frame={config.input_frame.value}` "
        f"`input_relative={config.input_relative}`"
    )
    return {"lifter": shown, "standardization": shown}


ENTRY = SystemEntry(
    "lifter",
    LifterConfig,
    JointsInput,
    build_in("hpe.systems.lifter", "build_lifter"),
    "joints2d",
    metrics=judged_by.LIFTED,
    defaults={
        "datasets": ("h36m_train",),
        "val_datasets": ("h36m_val",),
        "batch_size": 1024,
        "num_epochs": 36,
        "generator_lr": 1.5e-3,
        "lr_schedule": "cosine",
        "warmup_epochs": 1.0,
        "ema_decay": 0.999,
        "freeze_networks": ("lifter",),
    },
    coordinates=lifter_coordinates,
    shown={"loss/train_mpjpe": "mm"},
    exports=EXPORTS,
)

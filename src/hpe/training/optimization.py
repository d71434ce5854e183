"""How weights are updated: learning rates and their course, clipping, averaging, freezing, weights of losses."""

from __future__ import annotations

import dataclasses
import enum
import math

from hpe.errors import SettingError
from hpe.options import option
from hpe.training.schedules import parse_factors


class LearningRateSchedule(enum.Enum):
    """How the learning rates run from the end of the warm-up to the last step."""

    CONSTANT = "constant"
    COSINE = "cosine"
    STEP = "step"


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """Settings of the updates; names are flag names. Epochs may be fractions."""

    generator_lr: float = option(1e-4, "Learning rate of the system's networks (Adam).")
    lr_schedule: LearningRateSchedule = option(
        LearningRateSchedule.CONSTANT,
        "Learning rates: constant, falling to 0 along half a cosine, or multiplied by `lr_step_factor` at "
        "`lr_step_epochs`.",
    )
    warmup_epochs: float = option(0.0, "Learning rates rise linearly from 0 in these first epochs.")
    lr_step_epochs: tuple[str, ...] = option((), "Epochs after which the step schedule lowers the rates.")
    lr_step_factor: float = option(0.1, "Factor of the step schedule.")
    clip_norm: float = option(
        0.0,
        "Gradients of a larger norm, over all networks of one optimizer, are scaled down to it; 0 is off.",
    )
    ema_decay: float = option(
        0.0,
        "Keep an exponential moving average of the weights with this decay per step, such as 0.999, and "
        "validate and predict with it; 0 is off.",
    )
    freeze_epochs: float = option(0.0, "Hold the networks of `freeze_networks` for these first epochs.")
    freeze_networks: tuple[str, ...] = option(("encoder",), "Networks that `freeze_epochs` holds.")
    loss_schedules: tuple[str, ...] = option(
        (),
        "Factors on the weights of losses over the epochs, such as mr_loss=0@0:1@5,generator_critic_loss=0@2:1@4: "
        "linear between the points, constant outside.",
    )

    def __post_init__(self):
        for name in (
            "generator_lr",
            "warmup_epochs",
            "clip_norm",
            "freeze_epochs",
            "lr_step_factor",
        ):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise SettingError(name, "must be finite and not negative.", value)
        if not 0 <= self.ema_decay < 1:
            raise SettingError("ema_decay", "must be in [0, 1).", self.ema_decay)
        if self.lr_schedule is LearningRateSchedule.STEP and not self.lr_step_epochs:
            raise SettingError("lr_schedule", "needs `lr_step_epochs`, such as 60,90.", "step")
        if self.lr_schedule is not LearningRateSchedule.STEP and self.lr_step_epochs:
            raise SettingError(
                "lr_step_epochs",
                f"needs `lr_schedule=step`, not {self.lr_schedule.value}.",
                self.lr_step_epochs,
            )
        if self.freeze_epochs and not self.freeze_networks:
            raise SettingError("freeze_epochs", "needs `freeze_networks`.")
        _ = self.step_epochs
        parse_factors(self.loss_schedules)

    @property
    def step_epochs(self) -> tuple[float, ...]:
        """The epochs of the step schedule as numbers."""
        try:
            epochs = tuple(float(epoch) for epoch in self.lr_step_epochs)
        except ValueError:
            epochs = (math.nan,)
        if not all(0 < epoch < math.inf for epoch in epochs) or list(epochs) != sorted(set(epochs)):
            raise SettingError(
                "lr_step_epochs", "must be rising positive numbers.", ",".join(self.lr_step_epochs)
            )
        return epochs

    @property
    def fixes_length(self) -> bool:
        """Whether what a step computes depends on how long the run will be."""
        return self.lr_schedule is LearningRateSchedule.COSINE

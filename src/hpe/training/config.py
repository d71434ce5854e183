"""What a training run is told: data, lengths, how weights are updated, and how often it writes."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence

from hpe.errors import SettingError
from hpe.options import option


class Strategy(enum.Enum):
    """What a run computes on: one device, all of this machine, or those of the workers that TF_CONFIG names."""

    NONE = "none"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run that are not those of the networks or of the augmentation; names are flag names."""

    data_dir: str = option("data", "Folder of the records that create_datasets wrote.")
    datasets: tuple[str, ...] = option(("lsp_train", "lsp_ext"), "Training datasets by name, or shard files.")
    val_datasets: tuple[str, ...] = option(("lsp_val",), "Validation datasets by name, or shard files.")
    test_datasets: tuple[str, ...] = option(
        (), "Datasets that a finished run is measured on once, into `test.json` in the run directory."
    )
    mocap_datasets: tuple[str, ...] = option(
        ("CMU", "jointLim"), "Mocap sets of the critic: neutrSMPL_<NAME>_*.tfrecord in data_dir."
    )
    logs: str = option("runs", "Folder in which runs are created.")
    model_dir: str | None = option(None, "Run directory; by default a new one in `logs`.")
    num_epochs: int = option(120, "Passes over the training data.")
    max_steps: int | None = option(None, "End after this many steps even if epochs are left.")
    batch_size: int = option(8, "Images per step, of all devices together.")
    strategy: Strategy = option(
        Strategy.NONE,
        "Compute on one device, on all of this machine, or on those of all workers in TF_CONFIG.",
    )
    num_devices: int = option(
        0,
        "Devices of this machine that `strategy` uses; 0 takes all GPUs. mirrored without a GPU divides the CPU.",
    )
    seed: int = option(0, "All randomness is a function of this and the step.")
    use_validation: bool = option(True, "Validate during and after training.")
    validation_epochs: int = option(1, "Validate every this many epochs.")
    validation_step_size: int = option(0, "Validate also every this many steps; 0 leaves it at whole epochs.")
    log_every: int = option(10, "Write scalars every this many steps.")
    log_img_step: int = option(1000, "Write image panels every this many steps.")
    checkpoint_steps: int = option(500, "Save every this many steps, beside the end of every epoch.")
    keep_checkpoints: int = option(3, "How many of the latest checkpoints to keep.")
    early_stopping_metric: str | None = option(
        None, "Stop when this metric of the validation, such as silhouette_iou, stops improving."
    )
    early_stopping_patience: int = option(5, "Validations without improvement that are too many.")
    early_stopping_min_delta: float = option(0.0, "How much better a value must be to be an improvement.")
    keep_best_metric: str | None = option(
        None, "Keep the networks with the best value of this metric in `best` in the run directory."
    )
    init_from: str | None = option(
        None,
        "Start from the networks of another run: its directory, or one checkpoint in it. What fits is taken.",
    )
    init_networks: tuple[str, ...] = option(
        (), "Networks that `init_from` takes, such as encoder,critic; all if empty."
    )
    max_bad_steps: int = option(
        10,
        "Stop when a log finds this many steps in a row with a loss that is not finite; all of them are skipped.",
    )
    fast_dev_run: bool = option(
        False,
        "Try everything out: one batch each of training, validation and test, and all files, pictures included.",
    )
    eager: bool = option(
        False, "Run step by step instead of compiled, for debugging; with `compile_body=False` the body too."
    )
    deterministic: bool = option(True, "Use deterministic kernels, so that a resumed run ends bit-identical.")

    def __post_init__(self):
        for name in ("num_epochs", "batch_size", "log_every", "log_img_step", "checkpoint_steps"):
            if getattr(self, name) < 1:
                raise SettingError(name, "must be at least 1.", getattr(self, name))
        for name in ("validation_epochs", "keep_checkpoints", "max_bad_steps", "early_stopping_patience"):
            if getattr(self, name) < 1:
                raise SettingError(name, "must be at least 1.", getattr(self, name))
        if not 0 <= self.seed < 2**31:
            raise SettingError("seed", "must be in [0, 2147483648).", self.seed)
        if self.init_networks and self.init_from is None:
            raise SettingError("init_networks", "needs `init_from`.", ",".join(self.init_networks))
        for name in ("early_stopping_metric", "keep_best_metric"):
            if getattr(self, name) is not None:
                _require_metric(name, getattr(self, name))
        if not 0 <= self.early_stopping_min_delta < math.inf:
            raise SettingError(
                "early_stopping_min_delta", "must be finite and not negative.", self.early_stopping_min_delta
            )
        if self.validation_step_size < 0:
            raise SettingError("validation_step_size", "must not be negative.", self.validation_step_size)
        if self.num_devices < 0:
            raise SettingError("num_devices", "must not be negative.", self.num_devices)
        if self.strategy is Strategy.MULTI_WORKER and self.model_dir is None:
            raise SettingError(
                "strategy", "needs `model_dir`, one folder that all workers reach.", "multi_worker"
            )
        if self.max_steps is not None and self.max_steps < 1:
            raise SettingError("max_steps", "must be at least 1.", self.max_steps)
        if not self.datasets:
            raise SettingError("datasets", "must name at least one dataset.")

    def shortened(self) -> TrainingConfig:
        """Returns what a run that only tries everything out does: one step, which is logged, drawn and saved."""
        if not self.fast_dev_run:
            return self
        once = dict.fromkeys(("max_steps", "log_every", "log_img_step", "checkpoint_steps"), 1)
        # Whoever names no test set is to see the test, too.
        return dataclasses.replace(self, test_datasets=self.test_datasets or self.val_datasets, **once)


def _require_metric(setting: str, metric: str) -> None:
    """Raises SettingError unless there is a metric of this name that a run can be judged by."""
    # Only here: what metrics there are is not known without TensorFlow.
    from hpe.training.selection import direction

    try:
        direction(metric)
    except ValueError as error:
        raise SettingError(setting, str(error)) from None


class LearningRateSchedule(enum.Enum):
    """How the learning rates run from the end of the warm-up to the last step."""

    CONSTANT = "constant"
    COSINE = "cosine"
    STEP = "step"
    PLATEAU = "plateau"


@dataclasses.dataclass(frozen=True)
class OptimizationConfig:
    """Settings of the updates; names are flag names. Epochs may be fractions."""

    generator_lr: float = option(1e-4, "Learning rate of the system's networks (Adam).")
    lr_schedule: LearningRateSchedule = option(
        LearningRateSchedule.CONSTANT,
        "Learning rates: constant, falling to 0 along half a cosine, or multiplied by `lr_step_factor` at "
        "`lr_step_epochs`, or whenever `lr_plateau_metric` has not improved for `lr_plateau_patience` validations.",
    )
    warmup_epochs: float = option(0.0, "Learning rates rise linearly from 0 in these first epochs.")
    lr_step_epochs: tuple[str, ...] = option((), "Epochs after which the step schedule lowers the rates.")
    lr_step_factor: float = option(0.1, "Factor of the step and of the plateau schedule.")
    lr_plateau_metric: str | None = option(
        None,
        "Metric of the validation, such as pa_mpjpe, whose standstill lowers the rates of the plateau schedule.",
    )
    lr_plateau_patience: int = option(
        10, "Validations without improvement after which the plateau schedule lowers the rates."
    )
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
        if (self.lr_schedule is LearningRateSchedule.PLATEAU) != (self.lr_plateau_metric is not None):
            if self.lr_plateau_metric is None:
                raise SettingError("lr_schedule", "needs `lr_plateau_metric`, such as pa_mpjpe.", "plateau")
            raise SettingError(
                "lr_plateau_metric",
                f"needs `lr_schedule=plateau`, not {self.lr_schedule.value}.",
                self.lr_plateau_metric,
            )
        if self.lr_plateau_patience < 1:
            raise SettingError("lr_plateau_patience", "must be at least 1.", self.lr_plateau_patience)
        if self.lr_plateau_metric is not None:
            _require_metric("lr_plateau_metric", self.lr_plateau_metric)
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


def parse_factors(schedules: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Reads `NAME=FACTOR@EPOCH:FACTOR@EPOCH...` into points (epoch, factor) by name.

    Raises:
        SettingError: one cannot be read, a factor is negative, epochs do not rise, or a name comes twice.
    """
    parsed = {}
    for schedule in schedules:
        name, equals, points = schedule.partition("=")
        try:
            read = [tuple(map(float, point.split("@"))) for point in points.split(":")]
            values = [(epoch, factor) for factor, epoch in read]
        except ValueError:
            values = []
        epochs = [epoch for epoch, _ in values]
        finite = all(0 <= number < math.inf for point in values for number in point)
        if not (name and equals and values and finite) or epochs != sorted(set(epochs)) or name in parsed:
            raise SettingError(
                "loss_schedules",
                "must hold NAME=FACTOR@EPOCH:FACTOR@EPOCH, each name once, epochs rising, nothing "
                "negative, such as mr_loss=0@0:1@5.",
                schedule,
            )
        parsed[name] = values
    return parsed

"""What is trained: the settings of the report, the two sizes, and the flags of every run."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from collections.abc import Mapping

from hpe.errors import UserError
from hpe.options import option


@dataclasses.dataclass(frozen=True)
class Setting:
    """Which evidence a run uses.

    Attributes:
        name: of its folder, and in `--only`.
        title: in tables and pictures.
        flags: of train.
    """

    name: str
    title: str
    flags: tuple[str, ...]


_NO_CRITIC = "--encoder_only=True"
_NO_KEYPOINTS = "--use_kpr_loss=False"
_SILHOUETTE = "--use_mesh_repro_loss=True"
SETTINGS = (
    Setting("keypoints", "keypoints", (_NO_CRITIC,)),
    Setting("silhouette", "silhouette", (_NO_CRITIC, _NO_KEYPOINTS, _SILHOUETTE)),
    Setting("both", "both", (_NO_CRITIC, _SILHOUETTE)),
    Setting(
        "both-critic-norot", "both + critic, no rotations", (_SILHOUETTE, "--critic_use_rotations=False")
    ),
    Setting("both-critic", "both + critic", (_SILHOUETTE,)),
    Setting("keypoints-critic", "keypoints + critic", ()),
)


class Size(enum.Enum):
    """How much is trained."""

    OVERFIT = "overfit"
    FULL = "full"


# Images of the over-fit size, and how often their file repeats them: an epoch is this many steps of all of them,
# because checkpoints come with every epoch.
OVERFIT_IMAGES = 8
OVERFIT_REPEATS = 100
OVERFIT_TRAIN, OVERFIT_VALIDATION = "overfit_train.tfrecords", "overfit.tfrecords"


@dataclasses.dataclass(frozen=True)
class AblationConfig:
    """What is run and where it goes; None stands for the default of the size."""

    size: Size = option(Size.OVERFIT, "overfit: eight LSP images; full: LSP, and LSP with LSP-extended.")
    data_dir: str = option("data", "Folder of lsp_train, lsp_val, lsp_ext and mocap, of create_datasets.")
    output: str | None = option(None, "Where runs and tables go; by default runs/ablation/SIZE.")
    only: tuple[str, ...] | None = option(
        None, "Settings to run, of " + ", ".join(setting.name for setting in SETTINGS) + "; by default all."
    )
    data_sets: tuple[str, ...] | None = option(
        None, "Data sets of the full size to run, of lsp, lsp+ext; by default both."
    )
    summary: bool = option(False, "Train nothing: table, curves and pictures of the runs that are there.")
    resume: bool = option(False, "Go on with interrupted runs; finished ones are never repeated.")
    parallel: int = option(2, "Runs at a time; they share the processors evenly.")
    steps: int = option(2000, "Steps of every over-fit run.")
    epochs: int = option(120, "Passes over LSP train in every full run.")
    ext_epochs: int | None = option(
        None, "Passes over LSP train + LSP-extended in every full run; by default as many steps as on LSP."
    )
    batch_size: int | None = option(None, "Images per step; by default 8 (overfit) or 32 (full).")
    img_size: int | None = option(None, "Crop size; by default 128 (overfit) or 64 (full).")
    encoder: str = option("small", "Encoder of all runs.")
    encoder_weights: str | None = option(None, "Its first weights; by default none or synthetic (full).")
    generator_lr: float | None = option(None, "Learning rate; by default 3e-4 (overfit) or 7e-4 (full).")
    seed: int = option(0, "Seed of all runs.")
    extra: tuple[str, ...] = option((), "More flags of train for all runs: NAME=VALUE,NAME=VALUE; they win.")
    validations: int = option(6, "Points of the curves: validations during every run, evenly spaced.")
    pictures: int = option(8, "Rows of the picture grid.")

    def __post_init__(self):
        for name in ("parallel", "steps", "epochs", "validations", "pictures"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1. Received: {name}={getattr(self, name)}")
        for name in ("ext_epochs", "batch_size", "img_size"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1. Received: {name}={getattr(self, name)}")
        _require_known("only", self.only, [setting.name for setting in SETTINGS])
        _require_known("data_sets", self.data_sets, FULL_DATA_SETS)
        for item in self.extra:
            if "=" not in item or item.startswith("-"):
                raise ValueError(f"--extra takes NAME=VALUE, without dashes. Received: {item!r}")

    @property
    def directory(self) -> pathlib.Path:
        """The output folder."""
        return pathlib.Path(self.output or f"runs/ablation/{self.size.value}")


FULL_DATA_SETS = {"lsp": ("lsp_train",), "lsp+ext": ("lsp_train", "lsp_ext")}
OVERFIT_DATA_SET = "eight images"


@dataclasses.dataclass(frozen=True)
class Run:
    """One training and the validations after it.

    Attributes:
        setting: its evidence.
        data_set: what it is trained on, the heading of its table.
        directory: the run directory of train.
        flags: of train, without `--model_dir`.
        validations: dataset of each report, by the name of the report: `train` and `validation`.
    """

    setting: Setting
    data_set: str
    directory: pathlib.Path
    flags: tuple[str, ...]
    validations: Mapping[str, str]

    @property
    def name(self) -> str:
        """Data set and setting."""
        return f"{self.data_set}/{self.setting.name}"

    def report(self, kind: str) -> pathlib.Path:
        """The metrics of one validation."""
        return self.directory / kind / "metrics.json"


def data_sets(config: AblationConfig) -> dict[str, tuple[str, ...]]:
    """Returns the training datasets by the name of the data set."""
    if config.size is Size.OVERFIT:
        return {OVERFIT_DATA_SET: (str(config.directory / OVERFIT_TRAIN),)}
    return {name: FULL_DATA_SETS[name] for name in config.data_sets or FULL_DATA_SETS}


def plan(config: AblationConfig, records: Mapping[str, int]) -> list[Run]:
    """Returns every run of an experiment, in order.

    Args:
        config: the experiment.
        records: number of records by dataset name; of `lsp_train` and `lsp_ext`, for the full size.
    """
    overfit = config.size is Size.OVERFIT
    batch_size = config.batch_size or (OVERFIT_IMAGES if overfit else 32)
    learning_rate = config.generator_lr or (3e-4 if overfit else 7e-4)
    if overfit:
        # No augmentation, no dropout and no shuffling: the question is whether the evidence can be fitted.
        recipe = ["--trans_max=0", "--scale_min=1", "--scale_max=1", "--flip=False"]
        recipe += ["--dropout=0", "--shuffle_buffer=1"]
        seen = str(config.directory / OVERFIT_VALIDATION)
    else:
        # A critic that is slower than the generator is outrun: with 5e-4 shapes and angles drift.
        recipe = ["--lr_schedule=cosine", "--critic_lr=0.001"]
        seen = "lsp_train"
    common = [
        f"--data_dir={config.data_dir}",
        f"--encoder={config.encoder}",
        f"--encoder_weights={config.encoder_weights or ('none' if overfit else 'synthetic')}",
        f"--img_size={config.img_size or (128 if overfit else 64)}",
        f"--batch_size={batch_size}",
        f"--generator_lr={learning_rate}",
        f"--seed={config.seed}",
        # The curves of the over-fit are those of the images that are to be fitted.
        f"--val_datasets={seen if overfit else 'lsp_val'}",
        # Validations come by steps alone, so that curves of both data sets have the same points.
        "--validation_epochs=1000000000",
        "--log_img_step=1000000000",
        "--log_every=50",
        "--checkpoint_steps=500",
    ]
    runs = []
    for data_set, names in data_sets(config).items():
        if overfit:
            steps = config.steps
        else:
            passes = config.ext_epochs if config.ext_epochs and data_set != "lsp" else config.epochs
            paced_by = names if config.ext_epochs else ("lsp_train",)
            steps = passes * (sum(records[name] for name in paced_by) // batch_size)
        length = ["--num_epochs=1000000000", f"--max_steps={steps}"]
        length.append(f"--validation_step_size={max(1, steps // config.validations)}")
        for setting in SETTINGS:
            if config.only and setting.name not in config.only:
                continue
            extra = [f"--{item}" for item in config.extra]
            arguments = [f"--datasets={','.join(names)}", *common, *recipe, *length, *setting.flags, *extra]
            directory = config.directory / data_set.replace(" ", "-") / setting.name
            validations = {"train": seen, "validation": "lsp_val"}
            runs.append(Run(setting, data_set, directory, tuple(arguments), validations))
    return runs


def _require_known(flag: str, names, known) -> None:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise ValueError(f"--{flag}: {unknown[0]!r} is none of {', '.join(known)}.")


class State(enum.Enum):
    """How far a run has come."""

    NEW = "new"
    INTERRUPTED = "interrupted"
    TRAINED = "trained"
    FINISHED = "finished"


def state(run: Run, note: Mapping | None) -> State:
    """Returns how far a run has come, by its folder and by what the ablation noted about it.

    Args:
        run: of the plan.
        note: `flags` and `trained` of `ablation.json` in its folder, None where there is none.

    Raises:
        UserError: the folder holds a run of other flags.
    """
    if note is None:
        if (run.directory / "params.json").exists():
            raise UserError(f"{run.directory}: holds a run that is not of an ablation; set another --output.")
        return State.NEW
    changed = sorted(set(note["flags"]) ^ set(run.flags))
    if changed:
        raise UserError(
            f"{run.directory}: was trained with other flags ({', '.join(changed)}); set another --output, or "
            "remove that folder."
        )
    if not note["trained"]:
        return State.INTERRUPTED if (run.directory / "params.json").exists() else State.NEW
    reports = [run.report(kind).exists() for kind in run.validations]
    return State.FINISHED if all(reports) else State.TRAINED


def stages(run: Run, state: State) -> list[tuple[str, ...]]:
    """Returns what is left to do: arguments of Python, the training first."""
    left = []
    if state is State.INTERRUPTED:
        left.append(("-m", "train", "--resume", f"--model_dir={run.directory}"))
    elif state is State.NEW:
        left.append(("-m", "train", f"--model_dir={run.directory}", *run.flags))
    if state is not State.FINISHED:
        for kind, dataset in run.validations.items():
            if state is not State.TRAINED or not run.report(kind).exists():
                left.append(
                    (
                        *("-m", "validate_checkpoint", f"--checkpoint={run.directory}"),
                        *(f"--val_datasets={dataset}", f"--output={run.directory / kind}", "--num_panels=8"),
                    )
                )
    return left

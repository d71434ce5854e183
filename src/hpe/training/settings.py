"""The settings of a training run: all sections of its `params.json`, and the name of a new one."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import pathlib
import typing
from collections.abc import Mapping
from typing import Any

from hpe import pipeline, systems
from hpe.errors import SettingError, UserError
from hpe.options import UnfitError, from_plain, to_plain
from hpe.runs import RunDirectory, Settings
from hpe.runs.settings import section, system_of
from hpe.training.config import OptimizationConfig, TrainingConfig


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run: the settings of the system, the pipeline, the trainer and the updates.

    `model` is of the type that the system is configured by, `pipeline` of that of the pipeline for its input.
    """

    system: str
    model: Any
    pipeline: Any
    training: TrainingConfig
    optimization: OptimizationConfig = dataclasses.field(default_factory=OptimizationConfig)

    @property
    def settings(self) -> Settings:
        """What prediction needs to know of the run."""
        kind = systems.get(self.system).input
        shown = {field.name: getattr(self.pipeline, field.name) for field in dataclasses.fields(kind)}
        return Settings(self.system, self.model, kind(**shown))

    @property
    def input(self):
        """What the networks are shown, the part of the pipeline's settings that prediction needs, too."""
        return self.settings.input

    @property
    def coordinates(self) -> dict[str, str]:
        """Which joints in which frame the networks are for, see `hpe.systems.SystemEntry`."""
        return self.settings.coordinates

    def check_files(self) -> None:
        """Reads the small files that the system's settings name; raises UserError naming one that is damaged."""
        check = getattr(self.model, "check_files", None)
        if check is not None:
            check()

    def build_system(self, *, build_critic: bool = True, pretrained: bool = True):
        """Builds the system of this run, see `hpe.runs.Settings.build`."""
        return self.settings.build(build_critic=build_critic, pretrained=pretrained)


def write_config(
    run: RunDirectory, config: RunConfig, *, data: Mapping[str, int | str] | None = None
) -> None:
    """Writes the settings of a run into its directory; raises UserError if that cannot be.

    Args:
        run: the run.
        config: its settings.
        data: what its datasets hold, see `read_data`.
    """
    shown = to_plain(config.input)
    kept = {name: value for name, value in to_plain(config.pipeline).items() if name not in shown}
    sections = {
        "model": config.model,
        "input": shown,
        "pipeline": kept,
        "training": config.training,
        "optimization": config.optimization,
        **({} if data is None else {"data": dict(data)}),
    }
    run.write_sections(config.system, sections)


def read_config(run: RunDirectory) -> RunConfig:
    """Reads all settings of a run, to go on with it; UserError names what is missing, unknown or unfit."""
    content = run.read()
    system = system_of(content, source=run.params)
    kinds = {
        "model": systems.get(system).config,
        "pipeline": pipeline.CONFIGS[systems.get(system).input_key],
        "training": TrainingConfig,
        "optimization": OptimizationConfig,
    }
    content = _in_their_sections(content, kinds)
    return RunConfig(
        system, **{name: section(content, name, kind, source=run.params) for name, kind in kinds.items()}
    )


def read_data(run: RunDirectory) -> dict[str, int | str]:
    """Reads what the datasets of a run held when it began, counts and digests; empty of older runs."""
    data = run.read().get("data")
    if not isinstance(data, dict):
        return {}
    return {name: held for name, held in data.items() if isinstance(held, int | str)}


def read_training(run: RunDirectory | None) -> TrainingConfig:
    """Reads what a run was trained on, as far as this version understands it.

    Settings that it does not know or that do not fit are at their defaults, and so are all of them without a run:
    to measure a run does not take the trainer that it had.
    """
    given = run.read().get("training") if run is not None else None
    hints, values = typing.get_type_hints(TrainingConfig), {}
    for name, value in (given if isinstance(given, dict) else {}).items():
        with contextlib.suppress(KeyError, UnfitError):
            values[name] = from_plain(hints[name], value)
    try:
        return TrainingConfig(**values)
    except ValueError:
        return TrainingConfig()


def new_run_name(config: RunConfig, now: datetime.datetime) -> str:
    """Names a run after its system, data, evidence and start, such as `hybrid_hmr_lsp_train-lsp_ext_kp_mr_...`."""
    model, training = config.model, config.training
    parts = [config.system, "-".join(pathlib.Path(name).stem for name in training.datasets)]
    parts += systems.get(config.system).tags(model)
    return "_".join([*parts, now.strftime("%Y%m%d-%H%M%S")])


def new_run(config: RunConfig, now: datetime.datetime) -> RunDirectory:
    """Makes the directory of a new run in `logs`, of a name that no other run has, not even a concurrent one.

    Raises:
        UserError: the directory cannot be made.
    """
    name = new_run_name(config, now)
    for number in itertools.count(1):
        path = pathlib.Path(config.training.logs) / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not path.parent.is_dir():
                raise SettingError("logs", "is not a folder.", config.training.logs) from None
        except OSError as error:
            raise UserError(f"{path}: cannot be made ({error.strerror}); set `model_dir`.") from error
        else:
            return RunDirectory(path)


def _in_their_sections(content: dict, kinds: dict[str, type]) -> dict:
    """Returns the settings by section; those that an earlier version kept in another section are moved."""
    fields = {name: {field.name for field in dataclasses.fields(kind)} for name, kind in kinds.items()}
    # The settings of the input are a section of their own in the file, and part of the pipeline's here.
    given = {**content, "pipeline": content.get("pipeline"), "optimization": content.get("optimization", {})}
    if isinstance(content.get("input"), dict) and isinstance(given["pipeline"], dict):
        given["pipeline"] = {**content["input"], **given["pipeline"]}
    moved = {name: {} for name in kinds}
    for name in kinds:
        if not isinstance(given.get(name), dict):
            if name in content:
                moved[name] = given[name]
            else:
                del moved[name]
            continue
        for setting, value in given[name].items():
            home = next((home for home in (name, *kinds) if setting in fields[home]), name)
            if isinstance(moved.get(home), dict):
                moved[home].setdefault(setting, value)
    return moved

"""A run directory: its settings in `params.json`, its checkpoints, its TensorBoard log and its pictures.

runs/<name>/params.json      every setting, enough to build the same system again
runs/<name>/checkpoints/     ckpt-<step>
runs/<name>/best/            the best networks so far, laid out like a run (hpe.training.best)
runs/<name>/tensorboard/     scalars and panels
runs/<name>/history.jsonl    scalars and metrics, one JSON object per line
runs/<name>/validation.json  the final metrics
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import itertools
import json
import os
import pathlib
import types
import typing

import keras
import numpy as np
import tensorflow as tf

import hpe
from hpe import files, systems
from hpe.errors import SettingError, UserError
from hpe.training.config import TrainingConfig
from hpe.training.feeds import Feed, feed_of
from hpe.training.optimization import OptimizationConfig


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that defines a run: the settings of the system, the pipeline, the trainer and the updates.

    `model` and `pipeline` are of the types that the system, and its feed, are configured by.
    """

    system: str
    model: object
    pipeline: object
    training: TrainingConfig
    optimization: OptimizationConfig = dataclasses.field(default_factory=OptimizationConfig)

    def build_system(self, *, build_critic: bool = True, pretrained: bool = True):
        """Builds the system of this run.

        Args:
            build_critic: False leaves out what only training needs, such as a critic.
            pretrained: False starts from random weights, because a checkpoint replaces them; no file of weights
                is needed then.
        """
        return systems.get(self.system).build(
            self.model, self.input, build_critic=build_critic, pretrained=pretrained
        )

    @property
    def coordinates(self) -> dict[str, str]:
        """Which joints in which frame the networks are for, see `hpe.systems.SystemEntry`."""
        return dict(systems.get(self.system).coordinates(self.model, self.input))

    @property
    def input(self):
        """What the networks are shown, the part of the pipeline's settings that prediction needs, too."""
        kind = systems.get(self.system).input
        return kind(**{field.name: getattr(self.pipeline, field.name) for field in dataclasses.fields(kind)})

    @property
    def feed(self) -> Feed:
        """How the system is fed and judged."""
        return feed_of(self.system)


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory; it is not created until something is written.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)

    @property
    def params(self) -> pathlib.Path:
        """The settings."""
        return self.path / "params.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> pathlib.Path:
        """The folder of the best networks so far."""
        return self.path / "best"

    @property
    def tensorboard(self) -> pathlib.Path:
        """The folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def history(self) -> pathlib.Path:
        """Everything logged and measured, as lines of JSON."""
        return self.path / "history.jsonl"

    def write_params(self, config: RunConfig) -> None:
        """Writes `params.json`, replacing it in one move."""
        input_names = {field.name for field in dataclasses.fields(config.input)}
        content = {
            "system": config.system,
            "model": _plain(config.model),
            "input": _plain(config.input),
            "pipeline": {
                name: value for name, value in _plain(config.pipeline).items() if name not in input_names
            },
            "training": _plain(config.training),
            "optimization": _plain(config.optimization),
            "versions": {
                "hpe": hpe.__version__,
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
            },
        }
        files.write_text(self.params, json.dumps(content, indent=2) + "\n", advice="set `model_dir`")

    def remove_if_empty(self) -> None:
        """Removes the directory if a run that failed before its first file has left it empty."""
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def system(self) -> str:
        """Returns the name of the system that the run trains; raises UserError as `read_params` does."""
        return self._system_of(self._read())

    def read_params(self) -> RunConfig:
        """Reads `params.json`; raises UserError if it is missing or of another version."""
        content = self._read()
        system = self._system_of(content)
        try:
            sections = {
                "model": systems.get(system).config,
                "pipeline": feed_of(system).config,
                "training": TrainingConfig,
                "optimization": OptimizationConfig,
            }
            values = _in_their_sections(content, sections)
            # Runs of earlier versions have both in one.
            values["pipeline"] = {**content.get("input", {}), **values["pipeline"]}
            return RunConfig(
                system, **{name: _restore(config, values[name]) for name, config in sections.items()}
            )
        except KeyError as error:
            raise UserError(f"{self.params}: does not fit this version of hpe (it lacks {error}).") from error
        except (TypeError, ValueError) as error:
            raise UserError(f"{self.params}: does not fit this version of hpe ({error}).") from error

    def _read(self) -> dict:
        try:
            content = json.loads(self.params.read_text())
        except OSError as error:
            raise UserError(
                f"{self.path}: not a run directory (no readable params.json: {error.strerror}); "
                f"give the folder that training created."
            ) from error
        except ValueError as error:
            raise UserError(f"{self.params}: not valid JSON ({error}).") from error
        if not isinstance(content, dict):
            raise UserError(f"{self.params}: does not fit this version of hpe (it is no JSON object).")
        return content

    def _system_of(self, content: dict) -> str:
        if "system" not in content:
            raise UserError(f"{self.params}: does not fit this version of hpe (it lacks 'system').")
        system = content["system"]
        if not isinstance(system, str) or system not in systems.names():
            raise UserError(
                f"{self.params}: unknown system {system!r}; this version has {', '.join(systems.names())}."
            )
        return system


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


def latest_run(logs: str | os.PathLike) -> RunDirectory:
    """Returns the run in `logs` that wrote its settings last; raises UserError if there is none."""
    runs = sorted(pathlib.Path(logs).glob("*/params.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"{logs}: holds no run to resume; name one with `model_dir`.")
    return RunDirectory(runs[-1].parent)


def _plain(config) -> dict:
    return {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in dataclasses.asdict(config).items()
    }


def _in_their_sections(content: dict, sections: dict[str, type]) -> dict:
    """Returns the settings by section; those that an older version kept in another section are moved."""
    fields = {name: {field.name for field in dataclasses.fields(kind)} for name, kind in sections.items()}
    moved = {name: {} for name in sections}
    for section in sections:
        values = content.get(section, {}) if section == "optimization" else content[section]
        if not isinstance(values, dict):
            raise TypeError(f"the settings of {section} are {type(values).__name__}, not an object")
        for setting, value in values.items():
            homes = [name for name in (section, *sections) if setting in fields[name]]
            moved[homes[0] if homes else section].setdefault(setting, value)
    return moved


def _restore(config: type, values):
    """Builds a configuration from its JSON object; TypeError or ValueError say what does not fit."""
    if not isinstance(values, dict):
        raise TypeError(f"the settings of {config.__name__} are {type(values).__name__}, not an object")
    hints = typing.get_type_hints(config)
    unknown = sorted(values.keys() - hints.keys())
    if unknown:
        raise ValueError(f"unknown setting {', '.join(unknown)}")
    return config(**{name: _restore_value(name, hints[name], value) for name, value in values.items()})


def _restore_value(name: str, hint, value):
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for kind in kinds:
        if kind is types.NoneType:
            if value is None:
                return None
        elif typing.get_origin(kind) is tuple:
            if isinstance(value, list) and all(isinstance(item, str) for item in value):
                return tuple(value)
        elif issubclass(kind, enum.Enum):
            return kind(value)
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        elif type(value) is kind:
            return value
    raise TypeError(f"{name} cannot be {value!r}")

"""Opening what has been trained: a run, one checkpoint, a released file, a preset, or two stages as one system."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
import pathlib
from collections.abc import Callable
from typing import Any

from hpe.backends import graphs
from hpe.errors import SettingError, UserError
from hpe.runs import released, weights
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.runs.directory import RunDirectory, find_run, only_run
from hpe.runs.presets import Preset, presets
from hpe.runs.settings import Settings, settings_from
from hpe.runs.weights import StoredWeights

# The setting of a system that names the file of its body model.
_BODY_MODEL = "smpl_model_path"
# How files of PyTorch end, which are taken for weights of ours.
_PYTORCH = (".pth", ".pt", ".tar", ".ckpt")

# Two systems that make one, for prediction alone: the module and the class that join them.
_TWO_STAGES = {("hrnet", "lifter"): ("hpe.systems.hrnet_lifter", "HrnetLifter")}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A system with its weights.

    Attributes:
        system: a `hpe.systems.base.Predicts`, without what only training needs.
        settings: by which it was built; of two stages those of the first.
        step: of its training.
        path: the checkpoint or the file that the weights are from.
        run: that the checkpoint belongs to; None of a released file.
        licence: of the weights, in words, if they were released.
        whole: of `load_ready`: builds the system with its networks.
    """

    system: Any
    settings: Settings
    step: int
    path: str
    run: RunDirectory | None = None
    licence: str | None = None
    whole: Callable[[], Any] | None = None


def load(
    source: str | os.PathLike,
    *,
    lifter: str | os.PathLike | None = None,
    system: str | None = None,
    body_model: str | os.PathLike | None = None,
) -> Loaded:
    """Builds a system from the settings beside its weights, and gives it these weights, averaged if there are such.

    Of a run's settings only those of the networks and of their input are read.

    Args:
        source: a run directory (its newest checkpoint is taken); the path of one checkpoint in it, such as
            `runs/NAME/checkpoints/ckpt-500`; a file of released weights, `.safetensors`; or the name of a preset.
        lifter: the same for a second stage, a `lifter`, which gets its 2D joints from the `hrnet` of `source`.
        system: the name of the system that is expected.
        body_model: file of the body model, where it has moved since the training or was not released.

    Raises:
        UserError: nothing is there, it does not fit its settings, is damaged, or is of another system.
    """
    if lifter is not None:
        return _load_stages(source, lifter, system, body_model)
    if system in _stage_names().values():
        raise SettingError("system", "needs its second stage, too: `lifter_checkpoint`.", system)
    opened = open_weights(source)
    settings = opened.settings()
    if system is not None and system != settings.system:
        raise SettingError("system", f"{opened.path} is of {settings.system}.", system)
    settings = _with_body_model(settings, body_model, opened)
    built = settings.build()
    _require_body_model(built, opened)
    weights.assign(built, opened.weights())
    return Loaded(built, settings, opened.step, opened.path, opened.run, opened.licence)


def load_ready(
    source: str | os.PathLike,
    *,
    lifter: str | os.PathLike | None = None,
    system: str | None = None,
    body_model: str | os.PathLike | None = None,
) -> Loaded | None:
    """Opens released weights to predict with, and nothing else: where they have ready graphs, TensorFlow stays out.

    Args:
        source, lifter, system, body_model: see `load`.

    Returns:
        What was loaded, whose `system` predicts, and whose `whole` builds the one that `load` returns; None where
        nothing is ready: `load` then loads it, or says what is wrong.

    Raises:
        UserError: the file is damaged, or nothing is there.
    """
    released_file = _preset(source) is not None or pathlib.Path(source).suffix == released.SUFFIX
    if not released_file:
        _require_something(source)  # before TensorFlow is imported, which takes seconds
    if not released_file or lifter is not None or body_model is not None or not graphs.available():
        return None
    opened = open_weights(source)
    settings = opened.settings()
    if settings.entry.ready is None or system not in (None, settings.system):
        return None
    stored = opened.weights()
    try:
        made = settings.entry.ready(
            settings.model, settings.input, {name: stored.read(name) for name in stored.shapes}
        )
    except ValueError:
        return None
    if made is None or tuple(made.body_models) != opened.file.body_models:
        return None
    return Loaded(
        made,
        settings,
        opened.step,
        opened.path,
        licence=opened.licence,
        whole=functools.cache(lambda: load(source).system),
    )


@dataclasses.dataclass(frozen=True)
class OpenedWeights:
    """Weights that were found, and what goes with them.

    Attributes:
        path: the checkpoint, or the file.
        step: of the training.
        run: the run of a checkpoint, else None.
        file: the released file, else None.
        checkpoint: the checkpoint, else None.
        preset: the preset that was named, else None.
    """

    path: str
    step: int
    run: RunDirectory | None = None
    file: released.ReleasedWeights | None = None
    checkpoint: Checkpoint | None = None
    preset: Preset | None = None

    @property
    def licence(self) -> str | None:
        """The licence of the weights, if they were released."""
        return None if self.file is None else self.file.licence

    def settings(self) -> Settings:
        """Returns the settings; UserError if they do not lie beside a checkpoint, or do not fit."""
        if self.file is None:
            return self.run.read_settings()
        if self.preset is None or not self.preset.changes:
            return self.file.settings
        content = self.file.settings.to_plain()
        changed = {name: {**content[name], **values} for name, values in self.preset.changes.items()}
        return settings_from({**content, **changed}, source=self.path)

    def weights(self, *, averaged: bool = True) -> StoredWeights:
        """Returns the weights; UserError if a checkpoint is of an earlier version.

        Args:
            averaged: take the averages, where a run has averaged its weights: they are what it validated.
        """
        if self.file is not None:
            return self.file.weights
        self.checkpoint.require_names()
        own = self.checkpoint.weights
        return own.overlaid(self.checkpoint.average) if averaged else own


def open_weights(source: str | os.PathLike) -> OpenedWeights:
    """Finds weights by a path or by the name of a preset.

    Args:
        source: see `load`.

    Raises:
        UserError: nothing is there, or it cannot be read.
    """
    preset = _preset(source)
    path = pathlib.Path(source) if preset is None else preset.path
    if path.suffix == released.SUFFIX:
        file = released.read(path)
        return OpenedWeights(str(path), file.step, file=file, preset=preset)
    path = only_run(path)
    text = str(path).removesuffix(".index")
    run = find_run(path if path.is_dir() else text)
    if path.is_dir():
        text = latest_checkpoint(run.checkpoints)
        if text is None:
            run.read()  # a folder that is no run at all says so
            raise UserError(f"{run.checkpoints}: holds no checkpoint.")
    elif not os.path.exists(f"{text}.index"):
        raise UserError(_nothing_there(source))
    checkpoint = Checkpoint(text)
    return OpenedWeights(text, checkpoint.step, run=run, checkpoint=checkpoint)


def _preset(source: str | os.PathLike) -> Preset | None:
    """Returns the preset of a name; a file or folder of the same name goes before."""
    preset = presets().get(os.fspath(source))
    return None if os.path.exists(source) else preset


def _require_something(source: str | os.PathLike) -> None:
    """Raises UserError where there is neither a run nor a checkpoint; whether it fits is not looked at."""
    path = only_run(pathlib.Path(source))
    if path.is_dir():
        find_run(path).read()
    elif not os.path.exists(f"{str(path).removesuffix('.index')}.index"):
        raise UserError(_nothing_there(source))


def _nothing_there(source: str | os.PathLike) -> str:
    text = os.fspath(source)
    if pathlib.PurePath(text).suffix in _PYTORCH and os.path.isfile(text):
        return (
            f"{text}: weights of PyTorch, which have to be converted first, by `hpe convert-pare` or another "
            "`hpe convert-...`."
        )
    message = (
        f"{text}: no such run directory, checkpoint or file of weights; give the folder that training created"
    )
    if pathlib.PurePath(text).name != text:
        return f"{message}."
    names = ", ".join(presets())
    near = difflib.get_close_matches(text, presets(), n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"{message}, or a preset ({f'there are {names}' if names else 'this version has none'}).{meant}"


def _load_stages(first, second, system: str | None, body_model) -> Loaded:
    import importlib

    opened = [open_weights(path) for path in (first, second)]
    found = tuple(one.settings().system for one in opened)
    wanted = next((stages for stages, name in _stage_names().items() if name == system), None)
    if system is not None and wanted is None:
        raise SettingError(
            "lifter_checkpoint", f"needs `system={' or '.join(_stage_names().values())}`.", second
        )
    wanted = wanted or next(iter(_TWO_STAGES))
    name = _stage_names()[wanted]
    for setting, path, stage, expected in zip(
        ("checkpoint", "lifter_checkpoint"), (first, second), found, wanted, strict=True
    ):
        if stage != expected:
            raise SettingError(setting, f"{name} needs a run of {expected} here, not of {stage}.", path)
    if body_model is not None:
        raise SettingError("body_model", f"{name} has no body model; leave it out.", body_model)
    loaded = [load(path) for path in (first, second)]
    module, join = _TWO_STAGES[wanted]
    joined = getattr(importlib.import_module(module), join)(*(one.system for one in loaded))
    return dataclasses.replace(loaded[0], system=joined)


def _stage_names() -> dict[tuple[str, str], str]:
    return {stages: module.rsplit(".", 1)[1] for stages, (module, _) in _TWO_STAGES.items()}


def _with_body_model(settings: Settings, body_model, opened: OpenedWeights) -> Settings:
    if body_model is None:
        return settings
    if not hasattr(settings.model, _BODY_MODEL):
        raise SettingError("body_model", f"{settings.system} has no body model; leave it out.", body_model)
    model = dataclasses.replace(settings.model, **{_BODY_MODEL: os.fspath(body_model)})
    return dataclasses.replace(settings, model=model)


def _require_body_model(system, opened: OpenedWeights) -> None:
    """Raises UserError if released weights are for a body model that was not given."""
    wanted = () if opened.file is None else opened.file.body_models
    if tuple(system.body_models) != wanted and wanted:
        raise UserError(
            f"{opened.path}: was trained with the body model {', '.join(wanted)}, not with "
            f"{', '.join(system.body_models)}; give its file as `body_model`."
        )

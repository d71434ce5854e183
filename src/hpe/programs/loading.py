"""Runs that programs are given become models, and one line says which."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING

from hpe.errors import SettingError

if TYPE_CHECKING:
    from hpe.inference.model import Model

_SETTINGS = "params.json"


def load_model(
    system: str | None,
    checkpoint: str,
    *,
    lifter_checkpoint: str | None = None,
    body_model: str | None = None,
) -> Model:
    """Loads a run, or two as one system, and prints what was loaded.

    Args:
        system: a name that stands for two runs, or None for the system of the run.
        checkpoint: a run directory, the folder of one run, or a checkpoint.
        lifter_checkpoint: the second stage's.
        body_model: where the body model of the run lies now.

    Raises:
        UserError: there is no such run, or it does not fit.
    """
    from hpe.inference.model import Model
    from hpe.training.combining import load_system

    path = find_run(checkpoint)
    predictor, _, step = load_system(system, path, lifter_checkpoint=lifter_checkpoint, body_model=body_model)
    print(f"{path}: {predictor.system.name} at step {step}")
    return Model(predictor.system, step=step)


def find_run(checkpoint: str) -> str:
    """Returns the run that a path means: itself, or the only run in a folder that is none, such as `runs/demo`.

    Raises:
        SettingError: the folder holds several runs.
    """
    path = pathlib.Path(checkpoint)
    if not path.is_dir() or (path / _SETTINGS).exists() or path.name == "checkpoints":
        return checkpoint
    runs = sorted(child.name for child in path.iterdir() if (child / _SETTINGS).is_file())
    if len(runs) > 1:
        raise SettingError(
            "checkpoint", f"holds several runs; give one of {', '.join(runs)} in it.", checkpoint
        )
    return str(path / runs[0]) if runs else checkpoint

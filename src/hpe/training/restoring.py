"""From a run directory back to a predictor."""

from __future__ import annotations

import dataclasses
import os
import pathlib

from hpe.errors import SettingError, UserError
from hpe.inference.predictor import Predictor
from hpe.training.averaging import set_average
from hpe.training.checkpoints import CheckpointStore, latest_checkpoint, read_average
from hpe.training.runs import RunConfig, RunDirectory


def run_directory(checkpoint: str | os.PathLike) -> RunDirectory:
    """Returns the run that a path belongs to: the run directory, its `checkpoints`, or one checkpoint in there."""
    path = pathlib.Path(checkpoint)
    if not path.is_dir():
        return RunDirectory(path.parent.parent)
    return RunDirectory(path.parent if path.name == "checkpoints" else path)


def load_predictor(
    checkpoint: str | os.PathLike, *, body_model: str | None = None
) -> tuple[Predictor, RunConfig, int]:
    """Builds the system of a run from its own settings and restores a checkpoint, averaged weights if it has any.

    Args:
        checkpoint: a run directory (its newest checkpoint is taken), or the path of one checkpoint in it, such as
            `runs/NAME/checkpoints/ckpt-500`.
        body_model: where the body model of the run lies now, if its file has moved since the training.

    Returns:
        The predictor, the settings of the run, and the step of the checkpoint.

    Raises:
        UserError: if there is no run or checkpoint, or the checkpoint does not fit the settings.
    """
    path = str(pathlib.Path(checkpoint)).removesuffix(".index")
    exact = None
    if os.path.isdir(path):
        run = run_directory(path)
    elif os.path.exists(path + ".index"):
        run, exact = run_directory(path), path
    else:
        raise UserError(
            f"{path}: no such run directory or checkpoint; give the folder that training created."
        )
    config = run.read_params()
    if body_model is not None:
        if not hasattr(config.model, "smpl_model_path"):
            raise SettingError("body_model", f"{config.system} has no body model; leave it out.", body_model)
        model = dataclasses.replace(config.model, smpl_model_path=body_model)
        config = dataclasses.replace(config, model=model)
    system = config.build_system(build_critic=False, pretrained=False)
    exact = exact or latest_checkpoint(run.checkpoints)
    step = CheckpointStore(run.checkpoints, system).restore(exact)
    # Where a run has averaged its weights, the average is what it validated.
    average = read_average(exact)
    if average is not None:
        set_average(system, average)
    return Predictor(system), config, step

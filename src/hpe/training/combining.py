"""Systems that are made of the runs of two others, for prediction."""

from __future__ import annotations

import os

from hpe.errors import SettingError
from hpe.inference.predictor import Predictor
from hpe.systems.hrnet_lifter import HrnetLifter
from hpe.training.restoring import load_predictor
from hpe.training.runs import RunConfig

# By the name on the command line: what joins the systems of the two runs, and which systems those are.
COMBINATIONS = {HrnetLifter.name: (HrnetLifter, ("hrnet", "lifter"))}


def load_system(
    name: str | None,
    checkpoint: str | os.PathLike,
    *,
    lifter_checkpoint: str | os.PathLike | None = None,
    body_model: str | None = None,
) -> tuple[Predictor, RunConfig, int]:
    """Restores a run as `hpe.training.restoring.load_predictor` does, or two runs as one system.

    Args:
        name: a name of COMBINATIONS, or None for the system of the run; the name of that is fine, too.
        checkpoint: a run directory or one checkpoint in it; of a combination the first stage.
        lifter_checkpoint: the same for the second stage.
        body_model: where the body model of the run lies now.

    Returns:
        The predictor; settings and step of the run at `checkpoint`.

    Raises:
        UserError: a checkpoint is absent, superfluous, or of another system than it should be, or the two do not
            fit together.
    """
    if name not in COMBINATIONS:
        if lifter_checkpoint is not None:
            raise SettingError(
                "lifter_checkpoint", f"needs `system={' or '.join(COMBINATIONS)}`.", lifter_checkpoint
            )
        loaded = load_predictor(checkpoint, body_model=body_model)
        if name is not None and name != loaded[1].system:
            raise SettingError("system", f"the run {checkpoint} is of {loaded[1].system}.", name)
        return loaded
    if lifter_checkpoint is None:
        raise SettingError("system", "needs the run of its second stage, too: `lifter_checkpoint`.", name)
    if body_model is not None:
        raise SettingError("body_model", f"{name} has no body model; leave it out.", body_model)
    join, parts = COMBINATIONS[name]
    stages = []
    for flag, path, part in zip(
        ("checkpoint", "lifter_checkpoint"), (checkpoint, lifter_checkpoint), parts, strict=True
    ):
        loaded = load_predictor(path)
        if loaded[1].system != part:
            raise SettingError(flag, f"{name} needs a run of {part} here, not of {loaded[1].system}.", path)
        stages.append(loaded)
    system = join(*(predictor.system for predictor, _, _ in stages))
    return Predictor(system), *stages[0][1:]

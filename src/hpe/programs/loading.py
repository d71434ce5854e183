"""Runs that programs are given become models, and one line says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hpe.inference.model import Model
    from hpe.runs import Loaded


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
        checkpoint: a run directory, the folder of one run, a checkpoint, released weights or a preset.
        lifter_checkpoint: the second stage's.
        body_model: where the body model of the run lies now.

    Raises:
        UserError: there is no such run, or it does not fit.
    """
    from hpe.inference.model import Model
    from hpe.runs.presets import presets

    loaded = open_quietly(checkpoint, lifter=lifter_checkpoint, system=system, body_model=body_model)
    name = checkpoint if checkpoint in presets() else loaded.run.path if loaded.run else loaded.path
    print(f"{name}: {loaded.system.name} at step {loaded.step}")
    return Model.of(loaded)


def open_quietly(checkpoint: str, **options) -> Loaded:
    """Opens a run or released weights, without TensorFlow where they need none; see `hpe.runs.load`."""
    from hpe.runs import load, load_ready

    loaded = load_ready(checkpoint, **options)
    if loaded is None:
        from hpe.programs.startup import quiet_tensorflow

        quiet_tensorflow()
        loaded = load(checkpoint, **options)
    return loaded

"""What a run needs to go on, kept in its folder of checkpoints: networks, learned means, optimizers, counters."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from hpe import files
from hpe.errors import UserError, first_line
from hpe.runs.checkpoints import (
    AVERAGE,
    NETWORKS,
    OPTIMIZERS,
    Checkpoint,
    checkpoint_steps,
    latest_checkpoint,
)
from hpe.runs.weights import all_networks, named_variables, require_same

_UNFINISHED = ".unfinished"


class CheckpointStore:
    """Saves and restores a system, its optimizers and the step.

    A checkpoint is written elsewhere in the folder and moved into place, its index last: a run killed while saving
    still has the checkpoint before.

    Args:
        directory: folder of the checkpoints.
        system: a `hpe.systems.base.Trains`.
        optimizers: optimizers by name, already built; empty if only networks are kept.
        step: int64 variable, the number of finished steps.
        bad_steps: int64 variable, how many of the last steps in a row were skipped, or None.
        average: the average of the system's weights: its `variables` by name, and `updates`; or None.
        extra: more variables to keep, by name.
        keep: how many checkpoints to keep.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        system,
        *,
        optimizers: Mapping[str, Any] | None = None,
        step: tf.Variable | None = None,
        bad_steps: tf.Variable | None = None,
        average=None,
        extra: Mapping[str, tf.Variable] | None = None,
        keep: int = 3,
    ):
        self.directory = pathlib.Path(directory)
        self.step = step if step is not None else tf.Variable(0, dtype=tf.int64, trainable=False)
        self._keep = keep
        self._networks = list(all_networks(system))
        self._weights = named_variables(all_networks(system))
        self._optimizers = {
            name: _named_state(optimizer, self._weights) for name, optimizer in (optimizers or {}).items()
        }
        self._variables = {"step": self.step, **(extra or {})}
        self._variables |= {f"{NETWORKS}{name}": variable for name, variable in self._weights.items()}
        for name, state in self._optimizers.items():
            self._variables |= {f"{OPTIMIZERS}{name}/{slot}": variable for slot, variable in state.items()}
        if bad_steps is not None:
            self._variables["bad_steps"] = bad_steps
        if average is not None:
            self._variables["average_updates"] = average.updates
            self._variables |= {f"{AVERAGE}{name}": variable for name, variable in average.variables.items()}

    def save(self) -> str:
        """Writes `ckpt-<step>`, removes what is older than the last `keep`, and returns the path.

        Raises:
            UserError: the disk refuses.
        """
        step = int(self.step)
        unfinished = self.directory / _UNFINISHED
        try:
            self._remove_unfinished()
            unfinished.mkdir(parents=True)
            tf.train.Checkpoint(**_nested(self._variables)).write(str(unfinished / f"ckpt-{step}"))
            # The index says that the rest is there: it goes first when one is replaced, and comes last.
            self._remove(step)
            for path in sorted(unfinished.iterdir(), key=lambda path: path.suffix == ".index"):
                files.sync(path)
                os.replace(path, self.directory / path.name)
            files.sync(self.directory)
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"{self.directory}: the checkpoint of step {step} cannot be written ({first_line(error)}); "
                "free space and go on with `resume`."
            ) from error
        finally:
            self._remove_unfinished()
        steps = checkpoint_steps(self.directory)
        kept = [other for other in steps if other <= step][: self._keep]
        for other in steps:
            if other not in kept:  # newer ones are of a course that was left
                self._remove(other)
        return str(self.directory / f"ckpt-{step}")

    def restore(self, path: str | os.PathLike | None = None) -> int:
        """Restores the newest checkpoint, or the one at `path`, and returns its step.

        Raises:
            UserError: if there is none, it cannot be read, or its variables are not those of this system; nothing
                is changed then.
        """
        path = path or latest_checkpoint(self.directory)
        if path is None:
            raise UserError(f"{self.directory}: holds no checkpoint.")
        checkpoint = Checkpoint(path)
        checkpoint.require_names()
        self._check(checkpoint)
        for name in self._variables:
            checkpoint.read(name)  # which compares its digest; kept, all would lie in memory twice
        for name, variable in self._variables.items():
            variable.assign(checkpoint.read(name))
        return int(self.step)

    def _check(self, checkpoint: Checkpoint) -> None:
        """Raises UserError unless a checkpoint holds just the variables of this store, in their shapes."""
        path, shapes = checkpoint.path, checkpoint.shapes
        if self._optimizers and not any(name.startswith(OPTIMIZERS) for name in shapes):
            raise UserError(
                f"{path}: holds networks alone, no optimizers to go on with; start a new run from it with "
                "`init_from`."
            )
        for network in self._networks:
            require_same(network, self._weights, checkpoint.weights)
        for name, state in self._optimizers.items():
            prefix = f"{OPTIMIZERS}{name}/"
            found = {key: shape for key, shape in shapes.items() if key.startswith(prefix)}
            if found != {f"{prefix}{slot}": tuple(variable.shape) for slot, variable in state.items()}:
                raise UserError(
                    f"{path}: its optimizer {name} is of another layout, that of an older version or of other "
                    "settings; start a new run from its networks with `init_from`."
                )
        expected = {name: tuple(variable.shape) for name, variable in self._variables.items()}
        differing = sorted(name for name, shape in expected.items() if shapes.get(name) != shape)
        if self._optimizers:
            differing += sorted(shapes.keys() - expected.keys())
        if differing:
            here = f"expected {expected[differing[0]]}" if differing[0] in expected else "not expected"
            raise UserError(
                f"{path}: does not fit this system ({differing[0]} is {shapes.get(differing[0], 'absent')}, "
                f"{here}); use the settings of its params.json."
            )

    def _remove(self, step: int) -> None:
        """Removes a checkpoint of the folder itself."""
        with contextlib.suppress(OSError):
            (self.directory / f"ckpt-{step}.index").unlink(missing_ok=True)
            for path in self.directory.iterdir():
                if path.name.startswith(f"ckpt-{step}.data-"):
                    path.unlink()

    def _remove_unfinished(self) -> None:
        """Removes what a save that was killed or refused has left: it fills the disk, and nothing reads it."""
        shutil.rmtree(self.directory / _UNFINISHED, ignore_errors=True)


def _named_state(optimizer, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of an optimizer by name; those that belong to a weight are named after it."""
    # Keras puts the path of the weight, with `_` for `/`, before the name of what it keeps for it.
    slugs = {variable.path.replace("/", "_"): name for name, variable in weights.items()}
    named = {}
    for variable in optimizer.variables:
        name = variable.path.removeprefix(f"{optimizer.name}/")
        slug = max((slug for slug in slugs if name.startswith(f"{slug}_")), key=len, default=None)
        if slug is not None:
            name = f"{slugs[slug]}/{name.removeprefix(f'{slug}_')}"
        if name in named:
            raise ValueError(f"two variables of the optimizer {optimizer.name} are called {name}.")
        named[name] = variable
    return named


def _nested(variables: Mapping[str, Any]) -> dict:
    """Returns variables as the tree of their names, which is how TensorFlow names them in a checkpoint."""
    tree = {}
    for name, variable in variables.items():
        *folders, leaf = name.split("/")
        branch = tree
        for folder in folders:
            branch = branch.setdefault(folder, {})
        branch[leaf] = variable.value if isinstance(variable, keras.Variable) else variable
    return tree

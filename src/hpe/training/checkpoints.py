"""Checkpoints of everything a run needs to go on: networks, learned means, optimizers, step.

A checkpoint carries the step in its name. `tf.train.CheckpointManager` writes the data first and moves its
pointer file last, so a run killed while saving still has the checkpoint before.

Variables are listed one by one instead of handing Keras objects to `tf.train.Checkpoint`: it does not look into
lists of layers, so their weights would be saved only where an optimizer happens to hold them.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from hpe.errors import UserError, first_line

# TensorFlow's reader of checkpoints turns some of its errors into Python's own.
READ_ERRORS = (tf.errors.OpError, OSError, IndexError, RuntimeError, ValueError, KeyError)

_OPTIMIZER = "optimizer_"
_NETWORK = "network_"
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_AVERAGE = "average"


def latest_checkpoint(directory: str | os.PathLike) -> str | None:
    """Returns the path of the newest checkpoint in a folder, or None."""
    directory = pathlib.Path(directory)
    with contextlib.suppress(*READ_ERRORS):
        named = tf.train.latest_checkpoint(str(directory))
        if named is not None:
            return named
    # The pointer file may be lost or damaged, as by a copy or a power cut: look for the files themselves.
    numbers = [path.stem.removeprefix("ckpt-") for path in directory.glob("ckpt-*.index")]
    steps = sorted((int(number) for number in numbers if number.isdigit()), reverse=True)
    paths = [str(directory / f"ckpt-{step}") for step in steps]
    # The newest may be one whose writing was cut short.
    for path in paths:
        with contextlib.suppress(*READ_ERRORS):
            tf.train.load_checkpoint(path)
            return path
    return paths[0] if paths else None


def read_average(path: str) -> list | None:
    """Returns the averaged weights in a checkpoint, NumPy arrays in the order of their variables, or None.

    Raises:
        UserError: if the checkpoint cannot be read.
    """
    prefix = f"{_AVERAGE}/{_Variables.FIELD}/"
    try:
        reader = tf.train.load_checkpoint(path)
        names = sorted(name for name in reader.get_variable_to_shape_map() if name.startswith(prefix))
        return [reader.get_tensor(name) for name in names] or None
    except READ_ERRORS as error:
        raise UserError(f"{path}: is not a readable checkpoint ({first_line(error)}).") from error


class CheckpointStore:
    """Saves and restores a system, its optimizers and the step.

    Args:
        directory: folder of the checkpoints.
        system: a `hpe.systems.base.Trains`.
        optimizers: optimizers by name, already built; empty for prediction.
        step: int64 variable, the number of finished steps.
        bad_steps: int64 variable, how many of the last steps in a row were skipped; None for prediction.
        average: the `WeightAverage` of the system's weights, or None.
        extra: more variables to keep, by name.
        keep: how many checkpoints to keep.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        system,
        *,
        optimizers=None,
        step=None,
        bad_steps=None,
        average=None,
        extra: Mapping[str, tf.Variable] | None = None,
        keep: int = 3,
    ):
        self.directory = pathlib.Path(directory)
        self.step = step if step is not None else tf.Variable(0, dtype=tf.int64, trainable=False)
        self._networks = {**system.networks, **system.training_networks}
        self._optimizers = dict(optimizers or {})
        self._complete = bool(optimizers)
        trackables = {_key(name): _Variables(network.variables) for name, network in self._networks.items()}
        for name, optimizer in (optimizers or {}).items():
            trackables[f"{_OPTIMIZER}{name}"] = _Variables(optimizer.variables)
        if bad_steps is not None:
            trackables["bad_steps"] = bad_steps
        if average is not None:
            trackables[_AVERAGE] = _Variables(average.variables)
            trackables[f"{_AVERAGE}_updates"] = average.updates
        trackables.update(extra or {})
        self._checkpoint = tf.train.Checkpoint(step=self.step, **trackables)
        self._keep = keep
        self._manager = None

    def save(self) -> str:
        """Writes `ckpt-<step>` and returns its path; raises UserError if the disk refuses."""
        try:
            if self._manager is None:
                self._remove_unfinished()
                _remove_damaged_pointer(self.directory)
                self._manager = tf.train.CheckpointManager(
                    self._checkpoint, str(self.directory), max_to_keep=self._keep
                )
            return self._manager.save(checkpoint_number=int(self.step))
        except (tf.errors.OpError, OSError) as error:
            self._remove_unfinished()
            raise UserError(
                f"{self.directory}: the checkpoint of step {int(self.step)} cannot be written "
                f"({first_line(error)}); free space and go on with `resume`."
            ) from error

    def _remove_unfinished(self) -> None:
        """Removes what a save that was killed or refused has left: it fills the disk, and nothing reads it."""
        for folder in self.directory.glob("ckpt-*_temp"):
            shutil.rmtree(folder, ignore_errors=True)

    def restore(self, path: str | None = None) -> int:
        """Restores the newest checkpoint, or the one at `path`, and returns its step.

        Raises:
            UserError: if there is none, it cannot be read, or its variables are not those of this system.
        """
        path = path or latest_checkpoint(self.directory)
        if path is None:
            raise UserError(f"{self.directory}: holds no checkpoint.")
        self._check_shapes(path)
        try:
            status = self._checkpoint.restore(path)
            # Or else TensorFlow warns, line by line, of all that an error leaves unrestored.
            status.expect_partial()
            if self._complete:
                status.assert_consumed()
            else:
                status.assert_existing_objects_matched()
        except AssertionError as error:
            raise UserError(
                f"{path}: does not fit this system ({first_line(error)}); use the settings of its params.json."
            ) from error
        except READ_ERRORS as error:
            raise UserError(
                f"{path}: is damaged or incomplete ({first_line(error)}); delete it to take the one before."
            ) from error
        return int(self.step)

    def _check_shapes(self, path: str) -> None:
        """Compares shapes first: the names of what differs say more than TensorFlow's own message."""
        try:
            stored = dict(tf.train.list_variables(path))
        except READ_ERRORS as error:
            raise UserError(
                f"{path}: is not a readable checkpoint ({first_line(error)}); delete it to take the one before."
            ) from error
        if self._complete and not any(key.startswith(_OPTIMIZER) for key in stored):
            raise UserError(
                f"{path}: holds networks alone, no optimizers to go on with; start a new run from it with "
                "`init_from`."
            )
        for name, network in self._networks.items():
            prefix = f"{_key(name)}/{_Variables.FIELD}/"
            found = {
                key.removeprefix(prefix).removesuffix(_SUFFIX): tuple(shape)
                for key, shape in stored.items()
                if key.startswith(prefix)
            }
            expected = {key: tuple(variable.shape) for key, variable in _listed(network.variables).items()}
            if not found:
                raise UserError(f"{path}: holds no {name}; it was written by another system.")
            if found != expected:
                key = min(
                    key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)
                )
                raise UserError(
                    f"{path}: its {name} is of another architecture ({len(found)} variables, expected "
                    f"{len(expected)}; {key} is {found.get(key, 'absent')}, expected "
                    f"{expected.get(key, 'absent')}): it was written with other settings than those of "
                    "its params.json, or by an older version; start a new run with `init_from`."
                )
        for name, optimizer in self._optimizers.items():
            found = sorted(
                tuple(shape) for key, shape in stored.items() if key.startswith(f"{_OPTIMIZER}{name}/")
            )
            if found != sorted(tuple(variable.shape) for variable in optimizer.variables):
                raise UserError(
                    f"{path}: its optimizer {name} is of another layout, that of an older version or of "
                    "other settings; start a new run from its networks with `init_from`."
                )


class StoredNetworks:
    """The networks in a checkpoint, whatever system wrote it.

    Args:
        path: of the checkpoint.

    Attributes:
        names: of its networks.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, path: str):
        self._path = path
        with self._explained():
            self._reader = tf.train.load_checkpoint(path)
            self._shapes = self._reader.get_variable_to_shape_map()
        networks = {key.split("/")[0] for key in self._shapes if f"/{_Variables.FIELD}/" in key}
        self.names = sorted(key.removeprefix(_NETWORK) for key in networks if key.startswith(_NETWORK))

    def shapes(self, network: str) -> list[tuple[int, ...]]:
        """Returns the shapes of a network's variables in their order, none if there is no such network."""
        keys = sorted(key for key in self._shapes if key.startswith(f"{_key(network)}/{_Variables.FIELD}/"))
        return [tuple(self._shapes[key]) for key in keys]

    def value(self, network: str, index: int) -> np.ndarray:
        """Returns the variable at a place in that order."""
        with self._explained():
            return self._reader.get_tensor(f"{_key(network)}/{_Variables.FIELD}/{index:04d}{_SUFFIX}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except READ_ERRORS as error:
            raise UserError(f"{self._path}: is damaged or incomplete ({first_line(error)}).") from error


def _remove_damaged_pointer(directory: pathlib.Path) -> None:
    """Removes the pointer file if it cannot be read, since TensorFlow would not replace it then."""
    try:
        tf.train.get_checkpoint_state(str(directory))
    except READ_ERRORS:
        (directory / "checkpoint").unlink(missing_ok=True)


class _Variables(tf.Module):
    """Holds the variables of a network or an optimizer under names that depend on their order alone."""

    FIELD = "listed"

    def __init__(self, variables):
        super().__init__()
        plain = [v.value if isinstance(v, keras.Variable) else v for v in variables]
        setattr(self, self.FIELD, _listed(plain))


def _listed(variables) -> dict:
    return {f"{index:04d}": variable for index, variable in enumerate(variables)}


def _key(network: str) -> str:
    return f"{_NETWORK}{network}"

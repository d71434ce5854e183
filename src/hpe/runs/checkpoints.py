"""Checkpoints: `ckpt-<step>` in a folder, TensorFlow's format, read by name.

| name of a variable | content |
|---|---|
| `networks/<network>/<path>` | weights, see `hpe.runs.weights` |
| `average/<network>/<path>` | their average over the steps, if the run averages them |
| `optimizers/<optimizer>/...` | state of the optimizers |
| `step`, `bad_steps`, `average_updates` | counters |

Only files of the folder itself are looked at: TensorFlow's list of checkpoints, a text file that may name any other
folder, is neither written nor believed.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import tempfile
from collections.abc import Iterator

import numpy as np

from hpe.errors import UserError, first_line
from hpe.runs.weights import Shape, StoredWeights

NETWORKS = "networks/"
AVERAGE = "average/"
OPTIMIZERS = "optimizers/"

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"

# Earlier versions numbered the variables of every network: `network_encoder/listed/0007`.
_NUMBERED_VARIABLE = re.compile(r"network_([^/]+)/listed/(\d+)")

# What TensorFlow's readers take for a pattern instead of a path.
_PATTERN_CHARACTERS = set("*?[]\\")


def checkpoint_steps(directory: str | os.PathLike) -> list[int]:
    """Returns the steps of all checkpoints in a folder, the newest first, whether or not they can be read."""
    try:
        found = [_INDEX.fullmatch(name) for name in os.listdir(directory)]
    except OSError:
        return []
    return sorted((int(match[1]) for match in found if match), reverse=True)


def latest_checkpoint(directory: str | os.PathLike) -> str | None:
    """Returns the path of the newest checkpoint in a folder, or None.

    One whose writing was cut short is passed over, if there is another.
    """
    paths = [str(pathlib.Path(directory) / f"ckpt-{step}") for step in checkpoint_steps(directory)]
    for path in paths:
        with contextlib.suppress(UserError):
            Checkpoint(path)
            return path
    return paths[0] if paths else None


class Checkpoint:
    """An open checkpoint.

    Args:
        path: such as `runs/x/checkpoints/ckpt-500`.
        advice: what the user can do if it is damaged.

    Attributes:
        path: as given.
        shapes: shapes of all variables, by name.

    Raises:
        UserError: it cannot be read.
    """

    def __init__(self, path: str | os.PathLike, *, advice: str = "delete it to take the one before"):
        import tensorflow as tf

        self.path = os.fspath(path)
        self._advice = advice
        # TensorFlow's reader turns some of its errors into Python's own.
        self._errors = (tf.errors.OpError, OSError, IndexError, RuntimeError, ValueError, KeyError, TypeError)
        self._link, plain = _plain_path(self.path)
        with self._explaining("is not a readable checkpoint"):
            self._reader = tf.train.load_checkpoint(plain)
            keys = self._reader.get_variable_to_shape_map()
        self._keys = {_unescape(key): key for key in keys if key.endswith(_SUFFIX)}
        self.shapes: dict[str, Shape] = {name: tuple(keys[key]) for name, key in self._keys.items()}

    @property
    def step(self) -> int:
        """The number of finished steps."""
        step = self.read("step")
        with self._explaining("is damaged or incomplete"):
            return int(step)

    @property
    def is_numbered(self) -> bool:
        """Whether an earlier version wrote it, which did not name its weights."""
        return any(map(_NUMBERED_VARIABLE.match, self.shapes))

    def require_names(self) -> None:
        """Raises UserError if an earlier version wrote it."""
        if self.is_numbered:
            raise UserError(
                f"{self.path}: was written by an earlier version, which did not name its weights; start a new run "
                "from it with `init_from`."
            )

    def read(self, name: str) -> np.ndarray:
        """Returns a variable, compared with its digest; UserError if it is absent or damaged."""
        with self._explaining("is damaged or incomplete"):
            return self._reader.get_tensor(self._keys[name])

    @property
    def weights(self) -> StoredWeights:
        """The weights of all networks."""
        return self._below(NETWORKS)

    @property
    def average(self) -> StoredWeights:
        """Their averages over the steps, empty if the run did not average."""
        return self._below(AVERAGE)

    def numbered(self) -> dict[str, list[str]]:
        """Returns the names of the variables in a checkpoint of an earlier version by network, in their order."""
        found = {}
        for name in sorted(self.shapes):
            match = _NUMBERED_VARIABLE.match(name)
            if match:
                found.setdefault(match[1], []).append(name)
        return found

    def _below(self, prefix: str) -> StoredWeights:
        shapes = {
            name.removeprefix(prefix): shape for name, shape in self.shapes.items() if name.startswith(prefix)
        }
        return StoredWeights(self.path, shapes, lambda name: self.read(prefix + name))

    @contextlib.contextmanager
    def _explaining(self, what: str) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise UserError(f"{self.path}: {what} ({first_line(error)}); {self._advice}.") from error


def _plain_path(path: str) -> tuple[tempfile.TemporaryDirectory | None, str]:
    """Returns a path without characters of patterns, and what it lives by: a link to the folder, where need is."""
    if not _PATTERN_CHARACTERS & set(path):
        return None, path
    folder, name = os.path.split(os.path.abspath(path))
    link = tempfile.TemporaryDirectory(prefix="hpe-")
    os.symlink(folder, os.path.join(link.name, "checkpoints"))
    return link, os.path.join(link.name, "checkpoints", name)


def _unescape(key: str) -> str:
    """Returns the name that a variable was saved under; TensorFlow doubles its dots."""
    return key.removesuffix(_SUFFIX).replace(".S", "/").replace("..", ".")

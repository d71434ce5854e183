"""Checkpoints of everything a run needs to go on: networks, learned means, optimizers, step.

A checkpoint carries the step in its name. `tf.train.CheckpointManager` writes the data first and moves its
pointer file last, so a run killed while saving still has the checkpoint before.
"""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from hpe.errors import UserError


class CheckpointStore:
    """Saves and restores a system, its optimizers and the step.

    Args:
        directory: folder of the checkpoints.
        system: a `hpe.systems.base.System`.
        optimizers: optimizers by name, already built; empty for prediction.
        step: int64 variable, the number of finished steps.
        keep: how many checkpoints to keep.
    """

    def __init__(self, directory: str | os.PathLike, system, *, optimizers=None, step=None, keep: int = 3):
        self.directory = pathlib.Path(directory)
        self.step = step if step is not None else tf.Variable(0, dtype=tf.int64, trainable=False)
        self._networks = dict(system.networks)
        if system.adversary is not None:
            self._networks.update(system.adversary.networks)
        self._complete = bool(optimizers)
        trackables = {f"network_{name}": network for name, network in self._networks.items()}
        trackables.update({f"optimizer_{name}": optimizer for name, optimizer in (optimizers or {}).items()})
        self._checkpoint = tf.train.Checkpoint(step=self.step, **trackables)
        self._keep = keep
        self._manager = None

    def save(self) -> str:
        """Writes `ckpt-<step>` and returns its path; raises UserError if the disk refuses."""
        if self._manager is None:
            self._manager = tf.train.CheckpointManager(
                self._checkpoint, str(self.directory), max_to_keep=self._keep
            )
        try:
            return self._manager.save(checkpoint_number=int(self.step))
        except (tf.errors.OpError, OSError) as error:
            message = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(
                f"{self.directory}: the checkpoint of step {int(self.step)} could not be written ({message}); "
                f"free space and resume with --resume."
            ) from error

    def latest(self) -> str | None:
        """Returns the path of the newest checkpoint, or None."""
        return tf.train.latest_checkpoint(str(self.directory))

    def restore(self, path: str | None = None) -> int:
        """Restores the newest checkpoint, or the one at `path`, and returns its step.

        Raises:
            UserError: if there is none, it cannot be read, or its variables are not those of this system.
        """
        path = path or self.latest()
        if path is None:
            raise UserError(f"{self.directory}: holds no checkpoint.")
        self._check_shapes(path)
        try:
            status = self._checkpoint.restore(path)
            if self._complete:
                status.assert_consumed()
            else:
                status.assert_existing_objects_matched().expect_partial()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            reason = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(
                f"{path}: does not fit this system ({reason}); use the settings of its params.json."
            ) from error
        return int(self.step)

    def _check_shapes(self, path: str) -> None:
        """Compares shapes first: the names of what differs say more than TensorFlow's own message."""
        try:
            stored = _stored_shapes(path)
        except (tf.errors.OpError, ValueError, DecodeError) as error:
            reason = str(getattr(error, "message", error)).splitlines()[0]
            raise UserError(f"{path}: is not a readable checkpoint ({reason}).") from error
        for name, network in self._networks.items():
            found = stored.get(f"network_{name}", [])
            expected = sorted(tuple(variable.shape) for variable in network.variables)
            if not found:
                raise UserError(f"{path}: holds no {name}; it was written by another system.")
            missing = _difference(expected, found)
            surplus = _difference(found, expected)
            if missing or surplus:
                raise UserError(
                    f"{path}: its {name} is of another architecture ({len(found)} variables, expected "
                    f"{len(expected)}; first difference: found {(surplus or ['nothing'])[0]}, expected "
                    f"{(missing or ['nothing'])[0]}); use the settings of its params.json."
                )


def _stored_shapes(path: str) -> dict[str, list[tuple[int, ...]]]:
    """Returns, for every object at the root of a checkpoint, the sorted shapes of all variables below it.

    A variable is stored under the first path that leads to it, which may run through an optimizer, so that names
    alone do not tell which network it belongs to: the graph of objects does.
    """
    reader = tf.train.load_checkpoint(path)
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    shapes = reader.get_variable_to_shape_map()
    stored = {}
    for root in graph.nodes[0].children:
        keys, seen, pending = set(), set(), [root.node_id]
        while pending:
            node_id = pending.pop()
            if node_id in seen:
                continue
            seen.add(node_id)
            node = graph.nodes[node_id]
            keys.update(attribute.checkpoint_key for attribute in node.attributes)
            pending.extend(child.node_id for child in node.children)
        stored[root.local_name] = sorted(tuple(shapes[key]) for key in keys if key in shapes)
    return stored


def _difference(shapes: list, others: list) -> list:
    rest = list(others)
    return [shape for shape in shapes if shape not in rest or rest.remove(shape)]

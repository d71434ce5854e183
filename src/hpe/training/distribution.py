"""One device, all devices of this machine, or those of several machines: how they share the work of a run.

Every device computes on its rows of the global batch and holds all the weights (`hpe.training.step` adds up what
has to be added up), so that any number of devices trains to the same weights. Rows are shared out in the order of
the batch: worker by worker, and device by device within a worker.

The workers of `strategy=multi_worker` are started one by one, each with the same flags and a TF_CONFIG of its
own. They read the same records and the same run directory, which therefore lie where all of them can reach them;
one of them, the chief, validates and writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import keras
import tensorflow as tf

from hpe.errors import SettingError, UserError, first_line
from hpe.training.config import Strategy, TrainingConfig

T = TypeVar("T")

# Jobs of a cluster that train, in the order of their ranks.
_JOBS = ("chief", "worker")

# What TensorFlow raises where a worker has gone while others wait for what it adds.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
    tf.errors.UnknownError,
)


# Characters of TensorFlow's messages that are quoted: some list whole graphs.
_QUOTED = 160


class LostWorker(UserError):
    """Another worker has gone; the run can go on from its last checkpoint."""


class Distribution:
    """The devices of a run, and what the workers have to agree on.

    Args:
        training: `strategy`, `num_devices` and `batch_size`, the latter of all devices together.

    Attributes:
        strategy: TensorFlow's; the networks, their average and the optimizers are built in its scope.
        worker: rank of this process, from 0.
        num_workers: number of processes.
        replicas: number of devices of all workers.

    Raises:
        UserError: the devices are not there, TF_CONFIG does not describe a cluster, the batch does not divide, or
            the step is not to be compiled.
    """

    def __init__(self, training: TrainingConfig):
        self.worker, self.num_workers = 0, 1
        self._kept = []
        kind, wanted = training.strategy, training.num_devices
        if wanted and kind is Strategy.NONE:
            raise SettingError("num_devices", "needs `strategy=mirrored` or multi_worker.", wanted)
        if kind is Strategy.NONE:
            self.strategy = tf.distribute.get_strategy()
        elif kind is Strategy.MIRRORED:
            self.strategy = tf.distribute.MirroredStrategy(_local_devices(wanted))
        else:
            cluster = read_cluster(os.environ.get("TF_CONFIG"))
            self.worker, self.num_workers = cluster.rank, len(cluster.addresses)
            self.strategy = _join(cluster, wanted)
        self.replicas = self.strategy.num_replicas_in_sync
        local = self.replicas // self.num_workers
        if training.eager and local > 1:
            # Each device runs in a thread of its own: without a graph nothing orders what they add up.
            raise SettingError(
                "eager",
                f"{local} devices of one process need a compiled step; leave `eager` out, or take one.",
            )
        if training.batch_size % self.replicas:
            raise SettingError(
                "batch_size",
                f"is that of all devices together and must be a multiple of their number, {self.replicas}.",
                training.batch_size,
            )

    @property
    def is_chief(self) -> bool:
        """Whether this process validates and writes."""
        return self.worker == 0

    def tell(self, text: str) -> None:
        """Prints a line, on the chief alone."""
        if self.is_chief:
            print(text)

    def describe(self) -> str:
        """Returns what the run is spread over, in words; empty for one device."""
        parts = []
        if self.num_workers > 1:
            parts.append(f"worker {self.worker} of {self.num_workers}")
        if self.replicas > 1:
            parts.append(f"{self.replicas} devices in all")
        return ", ".join(parts)

    def scope(self) -> contextlib.AbstractContextManager:
        """In it, variables are made that every device holds; all workers make the same ones in the same order."""
        return self.strategy.scope()

    def synchronize_batch_norm(self, networks: Mapping) -> None:
        """Makes batch normalisation see the global batch, as one device would."""
        if self.replicas == 1:
            return
        for network in networks.values():
            for layer in network._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True

    def split(self, tensors: Mapping) -> Mapping:
        """Shares the rows of this worker out among its devices.

        Args:
            tensors: tensors (B / num_workers, ...) by name; texts, which no device computes with, are left out.
        """
        local = self.replicas // self.num_workers
        tensors = {name: value for name, value in tensors.items() if value.dtype != tf.string}
        if self.replicas == 1:
            return tensors
        parts = {name: tf.split(value, local) for name, value in tensors.items()}

        def rows(context):
            replica = context.replica_id_in_sync_group - self.worker * local
            return {name: pieces[replica] for name, pieces in parts.items()}

        return self.strategy.experimental_distribute_values_from_function(rows)

    def keep(self, owner: T) -> T:
        """Returns `owner`, and keeps it as long as this lives.

        A worker that takes functions apart asks the chief about it, and waits half a minute for one that has gone.
        """
        if self.num_workers > 1:
            self._kept.append(owner)
        return owner

    def any(self, *flags: bool) -> list[bool]:
        """Returns for each flag whether it is set on any worker; all workers call this and wait for each other."""
        if self.num_workers == 1:
            return list(flags)
        return [total > 0 for total in self._sums([float(flag) for flag in flags])]

    def of_chief(self, value: float) -> float:
        """Returns a number that the chief knows; all workers call this and wait for each other."""
        return value if self.num_workers == 1 else self._sums([value if self.is_chief else 0.0])[0]

    def require_same_step(self, step: int, directory) -> None:
        """Raises UserError on all workers if they do not go on from the same step."""
        if self.num_workers == 1:
            return
        steps = self._sums([float(step * (worker == self.worker)) for worker in range(self.num_workers)])
        if len(set(steps)) > 1:
            found = ", ".join(f"{int(found)}" for found in steps)
            raise UserError(
                f"{directory}: the workers find checkpoints of different steps in it ({found}); "
                "`model_dir` must be one folder that all of them reach."
            )

    def _sums(self, values: list[float]) -> list[float]:
        # 64-bit floats hold every step exactly.
        shared = tf.constant(values, tf.float64)
        if self.replicas > self.num_workers:
            # One value per device, of which the first speaks for the worker.
            first = self.worker * (self.replicas // self.num_workers)
            shared = self.strategy.experimental_distribute_values_from_function(
                lambda context: shared if context.replica_id_in_sync_group == first else tf.zeros_like(shared)
            )
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, shared, axis=None).numpy().tolist()

    @contextlib.contextmanager
    def explaining_lost_workers(self, consequences: Callable[[], str]) -> Iterator[None]:
        """Turns what TensorFlow raises when another worker has gone into a LostWorker that says what follows."""
        try:
            yield
        except _LOST as error:
            if self.num_workers == 1:
                raise
            raise LostWorker(
                f"worker {self.worker} of {self.num_workers}: another worker has stopped or cannot be reached "
                f"({_reason(error)}); {consequences()}."
            ) from error


def _reason(error: tf.errors.OpError) -> str:
    """Returns what TensorFlow says: which task does not answer, if that is in its message."""
    named = re.search(r"reported from /job:(\w+)/(?:replica:\d+/)?task:(\d+)", error.message)
    return f"TensorFlow misses {named[1]} {named[2]}" if named else first_line(error)[:_QUOTED]


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says.

    Attributes:
        addresses: host:port of every worker, the chief's first.
        rank: which of them this process is.
    """

    addresses: tuple[str, ...]
    rank: int


def read_cluster(text: str | None) -> Cluster:
    """Reads TF_CONFIG, the variable by which schedulers tell TensorFlow's workers of each other.

    Args:
        text: such as `{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}`.

    Raises:
        UserError: it is missing, or does not describe a cluster of workers and a place in it.
    """
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    if not text:
        raise SettingError(
            "strategy", f"the variable TF_CONFIG is not set; it looks like {example}.", "multi_worker"
        )

    def refuse(reason: str):
        return UserError(f"TF_CONFIG: {reason}; it looks like {example}.")

    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refuse(f"is not valid JSON ({error})") from error
    parts = [content.get(name) if isinstance(content, dict) else None for name in ("cluster", "task")]
    if not all(isinstance(part, dict) for part in parts):
        raise refuse("lacks `cluster` or `task`")
    cluster, task = parts
    for job, addresses in cluster.items():
        if job not in _JOBS:
            raise refuse(f"has the job {job!r}, but only chief and worker train here")
        if not isinstance(addresses, list) or not all(_is_address(address) for address in addresses):
            raise refuse(f"the addresses of {job!r} are no list of host:port")
    addresses = [address for job in _JOBS for address in cluster.get(job, [])]
    if len(set(addresses)) < len(addresses):
        raise refuse("names an address twice")
    job, index = task.get("type"), task.get("index")
    if job not in cluster or type(index) is not int or not 0 <= index < len(cluster[job]):
        raise refuse(f"task {job!r} {index!r} is not in its cluster")
    return Cluster(tuple(addresses), index + (len(cluster.get("chief", [])) if job == "worker" else 0))


def _is_address(text) -> bool:
    return isinstance(text, str) and text.rpartition(":")[0] != "" and text.rpartition(":")[2].isdigit()


def _join(cluster: Cluster, num_devices: int) -> tf.distribute.Strategy:
    gpus = tf.config.list_physical_devices("GPU")
    if num_devices > max(len(gpus), 1):
        raise SettingError(
            "num_devices",
            f"this worker has {len(gpus)} GPUs; without one it computes on its CPU, as one device.",
            num_devices,
        )
    if num_devices and gpus:
        tf.config.set_visible_devices(gpus[:num_devices], "GPU")
    others = [address for rank, address in enumerate(cluster.addresses) if rank != cluster.rank]
    if others:
        print(f"worker {cluster.rank}: waits for {', '.join(others)}", flush=True)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.OpError as error:
        raise UserError(
            f"TF_CONFIG: worker {cluster.rank} cannot join the others at {cluster.addresses[cluster.rank]} "
            f"({first_line(error)}); is the port free, and do all workers have the same cluster?"
        ) from error


def _local_devices(wanted: int) -> list[str]:
    """Returns the GPUs, or the CPU divided into as many devices as are wanted."""
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        if wanted > len(gpus):
            raise SettingError("num_devices", f"there are {len(gpus)} GPUs.", wanted)
        return [device.name for device in gpus[: wanted or None]]
    cpu = tf.config.list_physical_devices("CPU")[0]
    with contextlib.suppress(RuntimeError):  # TensorFlow has started: it has what devices it has
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * max(wanted, 1)
        )
    cpus = tf.config.list_logical_devices("CPU")
    if wanted > len(cpus):
        raise SettingError("num_devices", f"the CPU was divided into {len(cpus)} devices before.", wanted)
    return [device.name for device in cpus[: max(wanted, 1)]]

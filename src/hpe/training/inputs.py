"""What a run reads: how much of it there is, and the examples of every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from hpe.errors import SettingError
from hpe.pipeline import Source
from hpe.pipeline.mocap import mocap_batches
from hpe.records.mocap import find_frames
from hpe.training.distribution import Distribution
from hpe.training.runs import RunConfig

Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The training datasets of a run, and how many steps they make.

    Attributes:
        source: the datasets.
        epoch_steps: steps of one pass.
        total_steps: steps of the whole run.
    """

    source: Source
    epoch_steps: int
    total_steps: int

    def epoch(self, step: int) -> float:
        """Returns how many passes over the data `step` finished steps are."""
        return step / self.epoch_steps


def find_training_data(config: RunConfig) -> TrainingData:
    """Finds the datasets of a run; raises UserError if one is missing or all are smaller than a batch.

    A batch never straddles two epochs: what is left over sits this epoch out, and the next epoch, shuffled anew,
    leaves out others.
    """
    training = config.training
    source = config.feed.open(training.data_dir, training.datasets, config.pipeline)
    epoch_steps = source.count // training.batch_size
    if not epoch_steps:
        raise SettingError(
            "batch_size",
            f"is larger than the dataset: {', '.join(training.datasets)} has {source.count} "
            f"{config.feed.unit}s; set `batch_size` to {source.count} or less, or add datasets.",
            training.batch_size,
        )
    total_steps = training.num_epochs * epoch_steps
    if training.max_steps is not None:
        total_steps = min(total_steps, training.max_steps)
    return TrainingData(source, epoch_steps, total_steps)


def training_examples(
    config: RunConfig, data: TrainingData, system, distribution: Distribution, *, start_step: int
) -> Iterator[Tensors]:
    """Returns an endless iterator over the batches of the steps from `start_step` on.

    Args:
        config: the run's settings.
        data: of `find_training_data`.
        system: a `hpe.systems.base.Trains`.
        distribution: the workers that share every batch.
        start_step: number of steps that were done before.

    Returns:
        This worker's rows of batches of the system's feed, with the streams that the system needs: frames of
        `hpe.pipeline.mocap` as `mocap/pose` (B, n, 72) and `mocap/shape` (B, n, 10).

    Raises:
        UserError: mocap sets are missing; while iterating, if a record is damaged.
    """
    training = config.training
    batches = iter(
        config.feed.training_batches(
            data.source,
            system,
            batch_size=training.batch_size,
            seed=training.seed,
            start_step=start_step,
            shard_index=distribution.worker,
            num_shards=distribution.num_workers,
        )
    )
    mocap, mocap_files = None, []
    frames = system.needs.streams.get("mocap", 0)
    if frames:
        found = find_frames(training.data_dir, training.mocap_datasets)
        mocap_files = [file for dataset in found for file in dataset.files]
        mocap = iter(
            mocap_batches(
                mocap_files,
                batch_size=training.batch_size * frames,
                seed=training.seed,
                start_step=start_step,
                count=sum(dataset.count for dataset in found),
                shard_index=distribution.worker,
                num_shards=distribution.num_workers,
            ).map(lambda stream: {f"mocap/{key}": _by_sample(value, frames) for key, value in stream.items()})
        )

    # A generator of its own: what is missing is to be said now, not with the first batch.
    def examples():
        while True:
            with config.feed.explained(data.source, mocap_files):
                batch = {**next(batches), **(next(mocap) if mocap is not None else {})}
            yield batch

    return examples()


def _by_sample(rows: tf.Tensor, count: int) -> tf.Tensor:
    """Shapes rows (B * count, ...) to (B, count, ...)."""
    return tf.reshape(rows, (rows.shape[0] // count, count, *rows.shape[1:]))

"""What a run reads: its datasets, how many steps they make, and the batch of every step."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import tensorflow as tf

from hpe import pipeline, skeletons, systems
from hpe.errors import SettingError, UserError
from hpe.fields import Needs
from hpe.pipeline import Source
from hpe.pipeline.damage import translate_errors
from hpe.pipeline.mocap import mocap_batches
from hpe.records.mocap import find_frames
from hpe.runs import RunDirectory
from hpe.training.config import TrainingConfig
from hpe.training.distribution import Distribution
from hpe.training.settings import RunConfig, read_data

Batch = dict[str, tf.Tensor]

# Datasets are found before there is a system that says what of them is read.
_NOTHING = Needs(fields=(), skeleton2d=skeletons.LSP14.name)


def open_source(config: RunConfig, specs: Sequence[str]) -> Source:
    """Opens datasets of a run; `Source.for_needs` says what of them is read.

    Raises:
        UserError: one of them is absent or damaged.
    """
    kind = systems.get(config.system).input_key
    return pipeline.open(kind, config.training.data_dir, specs, config.pipeline, needs=_NOTHING)


def contents(source: Source) -> dict[str, int | str]:
    """Returns what a source holds: how many samples, and of each dataset how many records with which digest."""
    held: dict[str, int | str] = {f"{source.unit}s": source.count}
    for dataset in source.shards:
        held |= {f"records of {dataset.name}": dataset.count, f"digest of {dataset.name}": dataset.digest}
    return held


def require_same_data(run: RunDirectory, source: Source) -> None:
    """Raises UserError if a run would go on with other data than it began with.

    Epochs, rates and the order of the data would be others from here on. Of runs that noted no digests, only
    counts are compared.
    """
    then, now = read_data(run), contents(source)
    different = [name for name in now if then.get(name, now[name]) != now[name]]
    changed = [f"{now[name]} {name} now, {then[name]} then" for name in different if type(now[name]) is int]
    # Other counts come with other digests, of which nothing is to be said.
    changed = changed or [
        f"as many {name.replace('digest', 'records', 1)} as then, but others" for name in different
    ]
    if changed:
        raise UserError(
            f"{run.path}: its datasets are not those that it began with ({'; '.join(changed)}); give the folder of "
            "those by `data_dir`, or start a new run from it with `init_from`."
        )


@dataclasses.dataclass(frozen=True)
class RunLength:
    """How many steps a run takes.

    A batch never straddles two epochs: what is left over sits this epoch out, and the next epoch, shuffled anew,
    leaves out others.

    Attributes:
        epoch_steps: steps of one pass over the training data.
        total_steps: steps of the whole run.
    """

    epoch_steps: int
    total_steps: int

    @classmethod
    def of(cls, source: Source, training: TrainingConfig) -> RunLength:
        """Returns how long a run over the samples of a source is; UserError if they do not fill one batch."""
        epoch_steps = source.count // training.batch_size
        if not epoch_steps:
            raise SettingError(
                "batch_size",
                f"is larger than the dataset: {', '.join(training.datasets)} has {source.count} {source.unit}s; "
                f"set `batch_size` to {source.count} or less, or add datasets.",
                training.batch_size,
            )
        total_steps = training.num_epochs * epoch_steps
        if training.max_steps is not None:
            total_steps = min(total_steps, training.max_steps)
        return cls(epoch_steps, total_steps)

    def epoch(self, step: int) -> float:
        """Returns how many passes over the data `step` finished steps are."""
        return step / self.epoch_steps

    def is_due(self, step: int, every: int) -> bool:
        """Whether what is done every so many steps, and at the end of every epoch and of the run, is due now."""
        return step >= self.total_steps or step % self.epoch_steps == 0 or step % every == 0


def training_batches(
    config: RunConfig, source: Source, needs: Needs, distribution: Distribution, *, start_step: int
) -> Iterator[Batch]:
    """Returns an endless iterator over the batches of the steps from `start_step` on.

    Args:
        config: the run's settings.
        source: of `open_source`.
        needs: what the system reads of a batch.
        distribution: the workers that share every batch.
        start_step: number of steps that were done before.

    Returns:
        This worker's rows of the batches of the source, with the streams that are needed: frames of
        `hpe.pipeline.mocap` as `mocap/pose` (B, n, 72) and `mocap/shape` (B, n, 10).

    Raises:
        UserError: mocap sets are missing; while iterating, if a record is damaged.
    """
    training = config.training
    place = {
        "seed": training.seed,
        "start_step": start_step,
        "shard_index": distribution.worker,
        "num_shards": distribution.num_workers,
    }
    batches = iter(source.for_needs(needs).training_batches(batch_size=training.batch_size, **place))
    mocap, mocap_files = None, []
    frames = needs.streams.get("mocap", 0)
    if frames:
        found = find_frames(training.data_dir, training.mocap_datasets)
        mocap_files = [file for dataset in found for file in dataset.files]
        rows = mocap_batches(
            mocap_files,
            batch_size=training.batch_size * frames,
            count=sum(dataset.count for dataset in found),
            **place,
        )
        mocap = iter(rows.map(lambda stream: {f"mocap/{key}": _split(stream[key], frames) for key in stream}))

    # A generator of its own: what is missing is to be said now, not with the first batch.
    def joined() -> Iterator[Batch]:
        while True:
            with source.explaining(), translate_errors(mocap_files=mocap_files):
                batch = {**next(batches), **(next(mocap) if mocap is not None else {})}
            yield batch

    return joined()


def _split(rows: tf.Tensor, count: int) -> tf.Tensor:
    """Shapes rows (B * count, ...) to (B, count, ...)."""
    return tf.reshape(rows, (rows.shape[0] // count, count, *rows.shape[1:]))

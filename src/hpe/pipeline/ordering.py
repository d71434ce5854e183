"""Infinite streams of records whose order is a function of (seed, epoch) and that can be entered anywhere.

Every epoch reads the files in a new order, a few at a time in turns, through a shuffle buffer. Nothing depends
on TensorFlow's global seed, on the number of threads or on where the stream was entered, so a resumed run
sees exactly the records that it would have seen.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from hpe.errors import SettingError
from hpe.pipeline.shares import Shares

# Files read in turns. It is part of the order, so it is fixed rather than tuned to the machine.
_CYCLE_LENGTH = 8

_FOREVER = np.iinfo(np.int64).max


class Stream(enum.IntEnum):
    """What a random stream is for; streams of one seed are independent of each other."""

    IMAGE_ORDER = 0
    IMAGE_JITTER = 1
    MOCAP_ORDER = 2
    DATASET_CHOICE = 3
    POSE_ORDER = 4
    POSE_JITTER = 5


def stream_key(seed: int, stream: Stream, *parts: int) -> int:
    """Returns a 63-bit key for one stream of a seed, or for one of the numbered parts of a stream."""
    state = np.random.SeedSequence([seed % 2**64, int(stream), *parts]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def shuffled_records(
    files: Sequence[str],
    *,
    key: int,
    buffer: int,
    per_epoch: int | None = None,
    start_epoch: int = 0,
    start_record: int = 0,
    numbers: Sequence[int] | None = None,
    open_file: Callable[[tf.Tensor], tf.data.Dataset] = tf.data.TFRecordDataset,
) -> tf.data.Dataset:
    """Returns an endless dataset of serialized records, shuffled anew in every epoch.

    Args:
        files: TFRecord files.
        key: of `stream_key`.
        buffer: records held in memory to draw from.
        per_epoch: records taken from every epoch, None for all.
        start_epoch: first epoch.
        start_record: records of the first epoch that are left out; they are read but not decoded.
        numbers: what comes beside the records of each file, None for nothing.
        open_file: reads one of them, see `hpe.records.reading.opener`.

    Returns:
        A dataset of scalar strings, or of pairs of a string and an int32.
    """
    names = tf.constant(list(files))
    beside = None if numbers is None else tf.constant(list(numbers), tf.int32)

    def read(index: tf.Tensor) -> tf.data.Dataset:
        records = open_file(names[index])
        return records if beside is None else records.map(lambda record: (record, beside[index]))

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        # Dataset.shuffle mixes the graph's seed, which is the program's, into its own.
        tf.compat.v1.set_random_seed(1)
        order = tf.random.experimental.stateless_shuffle(
            tf.range(len(files)), seed=tf.stack([key, epoch]), alg="philox"
        )
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            read,
            cycle_length=_CYCLE_LENGTH,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        buffer_seed = tf.random.stateless_uniform(
            (), seed=tf.stack([key, epoch]), minval=1, maxval=_FOREVER, dtype=tf.int64, alg="philox"
        )
        records = records.shuffle(buffer, seed=buffer_seed, reshuffle_each_iteration=False)
        if per_epoch is not None:
            records = records.take(per_epoch)
        return records.skip(tf.where(epoch == start_epoch, tf.constant(start_record, tf.int64), 0))

    return tf.data.Dataset.range(start_epoch, _FOREVER).flat_map(epoch_records)


def mixed_records(
    datasets: Sequence[Sequence[str]],
    counts: Sequence[int],
    shares: Shares,
    *,
    seed: int,
    buffer: int,
    start_step: int = 0,
    reader: int = 0,
    open_file: Callable[[tf.Tensor], tf.data.Dataset] = tf.data.TFRecordDataset,
) -> tf.data.Dataset:
    """Returns an endless dataset of serialized records and the number of the dataset that each is of.

    As many of each batch are of each dataset as `shares` says. Every dataset has its own epochs and its own order
    in each, a function of (seed, epoch of the dataset): none of its records comes again before all of them came.

    Args:
        datasets: TFRecord files of every dataset.
        counts: number of records of every dataset.
        shares: of batches.
        seed: of the orders.
        buffer: records held in memory to draw from, shared out among the datasets by the shares.
        start_step: number of the first batch.
        reader: whose files these are, if they were dealt out; orders of different readers are different.
        open_file: reads a file, see `hpe.records.reading.opener`.

    Returns:
        A dataset of pairs of a scalar string and a scalar int32; to be batched by the shares' batch.
    """
    taken, cycle = shares.before(start_step), shares.before(shares.cycle)
    # A dataset that is never drawn is never opened either.
    drawn = np.flatnonzero(cycle)
    streams = [
        shuffled_records(
            datasets[index],
            key=stream_key(seed, Stream.IMAGE_ORDER, index, reader),
            buffer=math.ceil(buffer * cycle[index] / cycle.sum()),
            start_epoch=int(taken[index]) // counts[index],
            start_record=int(taken[index]) % counts[index],
            open_file=open_file,
        )
        for index in drawn.tolist()
    ]
    rows = tf.data.Dataset.range(start_step, _FOREVER).map(shares.rows).unbatch()
    number = np.zeros(len(cycle), np.int64)
    number[drawn] = np.arange(len(drawn))
    choices = rows.map(lambda index: tf.gather(tf.constant(number), index))
    return tf.data.Dataset.zip(tf.data.Dataset.choose_from_datasets(streams, choices), rows)


def share_of_batch(batch_size: int, shard_index: int, num_shards: int) -> slice:
    """Returns the rows of a global batch that are the share of one of several readers.

    Raises:
        ValueError: if there is no such reader.
        UserError: if the batch does not divide.
    """
    if not 0 <= shard_index < num_shards:
        raise ValueError(
            "shard_index must be in [0, num_shards). "
            f"Received: shard_index={shard_index}, num_shards={num_shards}"
        )
    if batch_size % num_shards:
        raise SettingError(
            "batch_size",
            f"is the global batch size and must be a multiple of the {num_shards} readers that share it.",
            batch_size,
        )
    rows = batch_size // num_shards
    return slice(shard_index * rows, (shard_index + 1) * rows)


def deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps elements in order whatever the number of threads, and lets workers share batches, not files."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)

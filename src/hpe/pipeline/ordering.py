"""Infinite streams of records whose order is a function of (seed, epoch) and that can be entered anywhere.

Every epoch reads the files in a new order, a few at a time in turns, through a shuffle buffer. Nothing depends
on TensorFlow's global seed, on the number of threads or on where the stream was entered, so a resumed run
sees exactly the records that it would have seen.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# Files read in turns. It is part of the order, so it is fixed rather than tuned to the machine.
_CYCLE_LENGTH = 8

_FOREVER = np.iinfo(np.int64).max


class Stream(enum.IntEnum):
    """What a random stream is for; streams of one seed are independent of each other."""

    IMAGE_ORDER = 0
    IMAGE_JITTER = 1
    MOCAP_ORDER = 2


def stream_key(seed: int, stream: Stream) -> int:
    """Returns a 63-bit key for one stream of a seed."""
    state = np.random.SeedSequence([seed % 2**64, int(stream)]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def shuffled_records(
    files: Sequence[str],
    *,
    key: int,
    buffer: int,
    per_epoch: int | None = None,
    start_epoch: int = 0,
    start_record: int = 0,
) -> tf.data.Dataset:
    """Returns an endless dataset of serialized records, shuffled anew in every epoch.

    Args:
        files: TFRecord files.
        key: of `stream_key`.
        buffer: records held in memory to draw from.
        per_epoch: records taken from every epoch, None for all.
        start_epoch: first epoch.
        start_record: records of the first epoch that are left out; they are read but not decoded.

    Returns:
        A dataset of scalar strings.
    """
    names = tf.constant(list(files))

    def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
        # Dataset.shuffle mixes the graph's seed, which is the program's, into its own.
        tf.compat.v1.set_random_seed(1)
        order = tf.random.experimental.stateless_shuffle(names, seed=tf.stack([key, epoch]), alg="philox")
        records = tf.data.Dataset.from_tensor_slices(order).interleave(
            tf.data.TFRecordDataset,
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


def deterministic(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Keeps elements in order whatever the number of threads, and lets workers share batches, not files."""
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return dataset.with_options(options)

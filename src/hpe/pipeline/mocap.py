"""Mocap records become batches of poses and shapes: the real bodies that the critic compares with."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.errors import SettingError
from hpe.pipeline import ordering
from hpe.pipeline.dealing import deal
from hpe.records import framing
from hpe.records.reading import DatasetShards

# Frames of one sequence follow each other in a file; the buffer has to be wider than a sequence to mix them.
_SHUFFLE_BUFFER = 10000

_FEATURES = {
    "pose": tf.io.FixedLenFeature((POSE_SIZE,), tf.float32),
    "shape": tf.io.FixedLenFeature((NUM_SHAPES,), tf.float32),
    # 0 where the recording is of a body whose coefficients are others.
    "shape_weight": tf.io.FixedLenFeature((), tf.float32, 1.0),
}


@tf.autograph.experimental.do_not_convert  # as in images
def mocap_batches(
    files: Sequence[str],
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    count: int | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
) -> tf.data.Dataset:
    """Returns endless batches of mocap frames: batch k is a function of (seed, k) and the files alone.

    Several readers may share batches. Where there are files enough, each has files of its own, in epochs of its
    own, as with people in pictures; else all read everything, and each takes its rows.

    Args:
        files: TFRecord files with `pose` and `shape`, of HMR or of create_datasets.
        batch_size: N, frames per batch; with shards, of all of them together.
        seed: of the order.
        start_step: number of batches to pass over.
        count: number of records in all files, as `hpe.records.mocap.find_frames` knows it. Without it a start
            in the middle has to walk over the headers of all records.
        shard_index: which share of every batch is wanted: rows [shard_index, shard_index + 1) N / num_shards.
        num_shards: number of shares.

    Returns:
        A dataset of dicts: `pose` (N / num_shards, 72) float32 axis-angle, root first, in the frame of its
        recording; `shape` (N / num_shards, 10) float32; `shape_weight` (N / num_shards,) 0 where it is not known.

    Raises:
        UserError: if there are no files, or the batch does not divide.
    """
    files = [str(file) for file in files]
    if not files:
        raise SettingError("mocap_datasets", "no mocap files were given; the critic needs some.")
    rows = ordering.share_of_batch(batch_size, shard_index, num_shards)
    key_parts: list[int] = []
    dealt = (
        deal([DatasetShards("mocap", tuple(files), 0)], shard_index, num_shards) if num_shards > 1 else None
    )
    if dealt is not None:
        files, count = list(dealt[0].files), dealt[0].count
        batch_size = rows.stop - rows.start
        rows, key_parts = slice(None), [1 + shard_index]
    epoch, record = 0, start_step * batch_size
    if record:
        # Only a resumed run has to know how long an epoch is.
        if count is None:
            count = sum(framing.scan(file).records for file in files)
        epoch, record = divmod(record, count)
    records = ordering.shuffled_records(
        files,
        key=ordering.stream_key(seed, ordering.Stream.MOCAP_ORDER, *key_parts),
        buffer=_SHUFFLE_BUFFER,
        start_epoch=epoch,
        start_record=record,
    )
    batches = records.batch(batch_size, drop_remainder=True).map(
        lambda serialized: tf.io.parse_example(serialized[rows], _FEATURES)
    )
    return ordering.deterministic(batches.prefetch(tf.data.AUTOTUNE))


def check_record(serialized: tf.Tensor) -> tf.Tensor:
    """Raises tf.errors.InvalidArgumentError if a serialized record holds no mocap frame; returns its pose."""
    return tf.io.parse_single_example(serialized, _FEATURES)["pose"]

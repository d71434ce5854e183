"""Images per second of the input pipeline, beside what decoding the same images costs.

The row that counts is `training batches` against `decoding images`: a loop that reads the same records, finds the
JPEGs in them and decodes them, whole, in all threads, and does nothing else.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence

import tensorflow as tf

from benchmarks.timing import Measurement, Row, compare, per_second
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import evaluation_batches, training_batches
from hpe.records.reading import DatasetShards

BATCH_SIZE = 64
BATCHES = 16  # Of one turn.
_WARM_UP = 4  # Batches that fill the buffers before a turn is timed.
# Short epochs would be a measurement of their beginnings.
_LEAST_EPOCH = 2000


def rows(shards: Sequence[DatasetShards], img_size: int, rounds: int) -> Iterator[Row | str]:
    """Yields training and evaluation batches against loops that only decode, and these against reading."""
    shards = [_repeated(dataset) for dataset in shards]
    config = PipelineConfig(img_size=img_size, shuffle_buffer=1000)
    records = tf.data.TFRecordDataset([file for dataset in shards for file in dataset.files]).repeat()
    variants = {
        "reading records": records.batch(BATCH_SIZE),
        "decoding images": _decoded(records, "image/encoded"),
        "decoding images and masks": _decoded(records, "image/encoded", "image/seg_gt"),
        "evaluation batches": evaluation_batches(shards, config, batch_size=BATCH_SIZE).repeat(),
        "training batches": training_batches(shards, config, batch_size=BATCH_SIZE, seed=0),
    }
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, dataset in variants.items():
            turns[name].append(_turn(dataset))
    times = {name: Measurement(*zip(*values, strict=True)) for name, values in turns.items()}
    for ours, theirs in (
        ("training batches", "decoding images"),
        ("training batches", "decoding images and masks"),
        ("evaluation batches", "decoding images and masks"),
        ("decoding images and masks", "reading records"),
    ):
        size = f" of {img_size}x{img_size}" if "batches" in ours else ""
        yield compare(
            f"input pipeline: {ours}{size}", times[ours], theirs, times[theirs], per_second(1, "img")
        )


def _repeated(dataset: DatasetShards) -> DatasetShards:
    times = -(-_LEAST_EPOCH // dataset.count)
    return dataclasses.replace(dataset, files=dataset.files * times, count=dataset.count * times)


def _decoded(records: tf.data.Dataset, *keys: str) -> tf.data.Dataset:
    """Decodes whole images and does nothing else: parses their keys alone, keeps a byte of each."""
    features = {key: tf.io.FixedLenFeature((), tf.string, "") for key in keys}

    def decode(serialized: tf.Tensor) -> list[tf.Tensor]:
        record = tf.io.parse_single_example(serialized, features)
        return [
            tf.cond(
                tf.strings.length(encoded) > 0,
                lambda encoded=encoded: tf.io.decode_image(encoded, expand_animations=False)[0, 0, 0],
                lambda: tf.zeros((), tf.uint8),
            )
            for encoded in record.values()
        ]

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE).prefetch(2)


def _turn(dataset: tf.data.Dataset) -> tuple[float, float]:
    """Returns wall and processor seconds per image.

    Every turn has an iterator of its own: one that waited for its turn would begin with batches made
    meanwhile, at the cost of the others.
    """
    batches = iter(dataset)
    for _ in range(_WARM_UP):
        next(batches)
    start, used = time.perf_counter(), time.process_time()
    for _ in range(BATCHES):
        next(batches)
    images = BATCHES * BATCH_SIZE
    return (time.perf_counter() - start) / images, (time.process_time() - used) / images

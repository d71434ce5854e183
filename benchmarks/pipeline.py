"""Images per second of the input pipeline, beside what decoding alone costs.

`python -m benchmarks.pipeline --data_dir=data --datasets=lsp_ext`. The variants take turns, so that whatever else
the machine does hits all of them; the processor time per image hardly depends on it.
"""

from __future__ import annotations

import resource
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import evaluation_batches, training_batches
from hpe.records.reading import find_shards
from hpe.records.schema import parse_example

BATCH_SIZE = 64
FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "data", "Folder of the records.")
flags.DEFINE_list("datasets", ["lsp_train"], "Datasets by name.")
flags.DEFINE_integer("img_size", 224, "Crop size.")
flags.DEFINE_integer("rounds", 7, "Turns of every variant.")
flags.DEFINE_integer("batches", 25, "Batches per turn.")


def main(_) -> None:
    """Measures and prints one line per variant."""
    shards = find_shards(FLAGS.data_dir, FLAGS.datasets)
    config = PipelineConfig(img_size=FLAGS.img_size, shuffle_buffer=1000)
    records = tf.data.TFRecordDataset([file for dataset in shards for file in dataset.files]).repeat()
    variants = {
        "read": records.batch(BATCH_SIZE),
        "decode image": _decoded(records, mask=False),
        "decode image and mask": _decoded(records, mask=True),
        "evaluation": evaluation_batches(shards, config, batch_size=BATCH_SIZE).repeat(),
        "training": training_batches(shards, config, batch_size=BATCH_SIZE, seed=0),
    }
    results = {name: [] for name in variants}
    for _ in range(FLAGS.rounds):
        for name, dataset in variants.items():
            results[name].append(_measure(dataset))
    base = np.median([processor for _, processor in results["decode image and mask"]])
    for name, turns in results.items():
        rates, processor = np.transpose(turns)
        print(
            f"{name:22} {np.median(rates):8.0f} img/s (best {rates.max():8.0f}), processor "
            f"{np.median(processor):5.0f} us/img, {np.median(processor) / base:4.1f} x decoding"
        )


def _decoded(records: tf.data.Dataset, *, mask: bool) -> tf.data.Dataset:
    """Decodes whole images and keeps a few bytes of each, so that batching costs nothing."""

    def decode(serialized: tf.Tensor) -> tf.Tensor:
        record = parse_example(serialized)
        decoded = tf.io.decode_image(record["image"], channels=3, expand_animations=False)[0, :1]
        if mask:
            decoded += tf.io.decode_png(record["mask"], channels=1)[0, :1]
        return decoded

    return records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH_SIZE).prefetch(2)


def _measure(dataset: tf.data.Dataset) -> tuple[float, float]:
    """Returns images per second and microseconds of processor time per image, after a start that is not timed."""
    batches = iter(dataset)
    for _ in range(4):
        next(batches)
    start, used = time.perf_counter(), _processor_seconds()
    for _ in range(FLAGS.batches):
        next(batches)
    images = FLAGS.batches * BATCH_SIZE
    return images / (time.perf_counter() - start), 1e6 * (_processor_seconds() - used) / images


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    app.run(main)

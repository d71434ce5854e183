"""Small record files for the tests of this folder."""

from __future__ import annotations

import cv2
import numpy as np
import tensorflow as tf

from hpe.datasets.sample import Sample
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import USUAL, plain_batch
from hpe.records.encoding import encode_sample
from hpe.records.reading import DatasetShards


def textured_image(seed: int, height: int, width: int) -> np.ndarray:
    """A smooth random RGB image, so that JPEG and resampling change it little."""
    small = np.random.default_rng(seed).uniform(0, 255, (6, 6, 3)).astype(np.float32)
    return np.clip(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def encode(image: np.ndarray, suffix: str = ".png") -> bytes:
    """Encodes an RGB image or a mask."""
    image = image[..., ::-1] if image.ndim == 3 else image
    return cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


def make_sample(index: int, **changes) -> Sample:
    """A person with every kind of truth, different for every index."""
    rng = np.random.default_rng(index)
    height, width = int(rng.integers(90, 160)), int(rng.integers(80, 150))
    joints3d = rng.normal(scale=0.4, size=(19, 3)).astype(np.float32)
    camera = np.array([0.6, *rng.uniform(-0.2, 0.2, 2)], np.float32)
    side = max(height, width)
    pixels = (camera[0] * (joints3d[:, :2] + camera[1:]) + 1) * side / 2
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    values = {
        "name": f"im{index:04d}.jpg",
        "image": encode(textured_image(index, height, width), ".jpg"),
        "height": height,
        "width": width,
        "skeleton": "cocoplus19",
        "joints2d": pixels.astype(np.float32),
        "visibility": np.ones(19, np.float32),
        "center": np.array([width // 2, height // 2], np.float32),
        "mask": encode(mask),
        "skeleton3d": "cocoplus19",
        "joints3d": joints3d,
        "confidence3d": rng.uniform(0.1, 1, 19).astype(np.float32),
        "pose": rng.normal(scale=0.3, size=72).astype(np.float32),
        "shape": rng.normal(size=10).astype(np.float32),
        "body_model": "default",
        "camera": camera,
    }
    return Sample(**(values | changes))


def write_shards(folder, counts, *, name: str = "people", samples=None) -> DatasetShards:
    """Writes samples in order into files of `counts` records each."""
    samples = list(samples or (make_sample(index) for index in range(sum(counts))))
    files, position = [], 0
    for number, count in enumerate(counts):
        path = folder / f"{name}-{number}.tfrecords"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for sample in samples[position : position + count]:
                writer.write(encode_sample(sample))
        position += count
        files.append(str(path))
    return DatasetShards(name, tuple(files), sum(counts))


def evaluated(dataset: DatasetShards, config: PipelineConfig, needs=USUAL) -> dict[str, np.ndarray]:
    """Returns all people of a dataset as evaluation sees them, without the second that building batches takes."""
    records = list(tf.data.TFRecordDataset(list(dataset.files)))
    return {
        key: values.numpy() for key, values in plain_batch(tf.stack(records), config, needs=needs).items()
    }

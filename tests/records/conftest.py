"""Small datasets of records for the tests of this folder."""

import numpy as np
import pytest
import tensorflow as tf

from hpe.datasets.sample import Sample, Skipped
from hpe.records.writing import write_dataset


def _make_sample(index: int, **changes) -> Sample:
    rng = np.random.default_rng(index)
    image = rng.integers(0, 255, (8 + index % 3, 9, 3), dtype=np.uint8)
    values = {
        "name": f"im{index:04d}.jpg",
        "image": tf.io.encode_jpeg(image).numpy(),
        "height": image.shape[0],
        "width": image.shape[1],
        "skeleton": "lsp14",
        "joints2d": rng.uniform(0, 8, (14, 2)).astype(np.float32),
        "visibility": np.ones(14, np.float32),
        "center": np.array([4, 4], np.float32),
    }
    return Sample(**(values | changes))


def _make_stream(count: int):
    for index in range(count):
        yield _make_sample(index)
        if index % 4 == 0:
            yield Skipped(f"bad{index:04d}.jpg", "image does not decode")


@pytest.fixture
def make_sample():
    """Function of an index and changed fields: a small sample, different for every index."""
    return _make_sample


@pytest.fixture
def make_stream():
    """Function of a count: so many samples, with a Skipped after every fourth."""
    return _make_stream


@pytest.fixture
def dataset(tmp_path):
    """A folder with the dataset `people`: 10 records in shards of 4, 4 and 2."""
    write_dataset(_make_stream(10), tmp_path, "people", skeleton="lsp14", shard_size=4, progress=False)
    return tmp_path

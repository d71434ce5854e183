"""Records of box people and one small system for the tests of this folder."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hpe.pipeline.images import training_batches
from hpe.pipeline.mocap import mocap_batches
from hpe.records.mocap import find_frames
from hpe.records.reading import find_shards
from tests.training.forked import Server
from tests.written_people import run_config, write_people


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of records: the dataset `people` and the mocap set `random`."""
    directory = tmp_path_factory.mktemp("records")
    write_people(directory)
    return directory


@pytest.fixture(scope="session")
def server():
    """Starts programs that need not import TensorFlow each."""
    with Server() as running:
        yield running


@pytest.fixture(scope="session")
def examples(data):
    """A batch of images with three mocap frames each, of tensors without texts."""
    config = run_config(data)
    shards = find_shards(data, config.training.datasets)
    batches = training_batches(shards, config.pipeline, batch_size=4, seed=0)
    files = [file for frames in find_frames(data, ["random"]) for file in frames.files]
    batch, real = next(iter(batches)), next(iter(mocap_batches(files, batch_size=12, seed=0)))
    batch = {name: value for name, value in batch.items() if value.dtype != tf.string}
    return {**batch, **{f"mocap/{key}": tf.reshape(value, (4, 3, -1)) for key, value in real.items()}}


def build_system(config, *, seed=0, **options):
    """Builds the system of a run from known weights."""
    keras.utils.set_random_seed(seed)
    return config.build_system(**options)


def state(*owners) -> list[np.ndarray]:
    """Copies all variables of networks and optimizers."""
    return [variable.numpy() for owner in owners for variable in owner.variables]

"""Synthetic people and the records made of them."""

from __future__ import annotations

import functools
import itertools
import os
import pathlib
import shutil
from collections.abc import Iterator

import cv2
import numpy as np
import tensorflow as tf

from benchmarks.timing import Row, compare, interleaved, per_second
from hpe.backends.threads import usable_cores
from hpe.body.data import load_body_model
from hpe.datasets.source import Source
from hpe.records.encoding import encode_sample
from hpe.records.workers import ordered_map
from hpe.records.writing import write_dataset
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.synthetic.poses import random_pose
from hpe.synthetic.source import synthetic
from hpe.visualization.meshes import composite
from hpe.visualization.rasterizer import weak_perspective_camera

PEOPLE = 512
_CONFIG = SyntheticConfig()
_DISTINCT = 32  # Samples that are made beforehand where making them is not measured.
_CREATION_ROUNDS = 2  # Seconds each, with the start of the workers in it.


def people_rows(rounds: int) -> Iterator[Row | str]:
    """Yields what a synthetic person costs beside its rendering, which nothing can do without."""
    data = load_body_model()
    rng = np.random.default_rng(0)
    vertices = NumpyBody(data).pose(random_pose(rng), np.zeros(10))[0]
    size = _CONFIG.image_size
    camera = weak_perspective_camera((0.6, 0.0, 0.0), size)
    background = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
    indices = itertools.count()

    def render_and_encode():
        cv2.imencode(".jpg", composite(background, vertices, data.faces, camera))

    times = interleaved(
        {"person": lambda: generate(next(indices), _CONFIG, data), "picture": render_and_encode},
        rounds=rounds,
        turn_seconds=0.5,  # People differ in what they cost.
    )
    yield compare(
        f"synthetic people, {size}x{size}, one process",
        times["person"],
        "rendering and JPEG alone",
        times["picture"],
        per_second(1, "people"),
    )


def record_rows(directory: pathlib.Path, rounds: int) -> Iterator[Row | str]:
    """Yields the writing of records that are ready, and the making of synthetic ones with all processors.

    Leaves the dataset `synthetic_train` of PEOPLE people in the directory.
    """
    yield from _writing(directory, rounds)
    create = functools.partial(_create, directory, people_source())
    workers = usable_cores()
    times = interleaved(
        {"workers": lambda: create(workers), "one": lambda: create(1)},
        rounds=_CREATION_ROUNDS,
        warm_up=False,
    )
    yield compare(
        f"records of {PEOPLE} synthetic people, {workers} workers, their start included",
        times["workers"],
        "one process",
        times["one"],
        per_second(PEOPLE, "people"),
        in_this_process=False,
    )


def people_source() -> Source:
    """Returns the synthetic people that the benchmarks read."""
    return synthetic(PEOPLE, _CONFIG, body_model="default")


def create_records(directory: pathlib.Path) -> str:
    """Writes the synthetic people's records with all processors; returns the name of the dataset."""
    source = people_source()
    _create(directory, source, usable_cores())
    return source.name


def _create(directory: pathlib.Path, source: Source, num_workers: int) -> None:
    write_dataset(
        ordered_map(source.load, source.items, num_workers=num_workers),
        directory,
        source.name,
        skeleton=source.skeleton,
        progress=False,
    )


def _writing(directory: pathlib.Path, rounds: int) -> Iterator[Row]:
    data = load_body_model()
    distinct = [generate(index, _CONFIG, data) for index in range(_DISTINCT)]
    samples = list(itertools.islice(itertools.cycle(distinct), PEOPLE))
    plain, copied = directory / "plain", directory / "copied"
    write_dataset(samples, directory, "ready", skeleton="cocoplus19", progress=False)
    shards = sorted(directory.glob("ready-*"))

    def write_plainly():
        with tf.io.TFRecordWriter(str(plain)) as writer:
            for sample in samples:
                writer.write(encode_sample(sample))

    def copy_bytes():
        for shard in shards:
            shutil.copyfile(shard, copied)
            with copied.open("rb+") as file:
                os.fsync(file.fileno())

    times = interleaved(
        {
            # Under the name of a dataset that is there: writing the same one again makes all of it again.
            "whole": lambda: write_dataset(
                samples, directory, "ready", skeleton="cocoplus19", progress=False
            ),
            "plain": write_plainly,
            "copy": copy_bytes,
        },
        rounds=rounds,
    )
    for theirs, name in (
        ("plain", "TFRecordWriter alone"),
        ("copy", "copying the same bytes, flushed to disk"),
    ):
        yield compare(
            f"records of {PEOPLE} samples that are ready: digests, flushed to disk, renamed",
            times["whole"],
            name,
            times[theirs],
            per_second(PEOPLE, "records"),
        )

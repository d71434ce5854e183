"""Synthetic people as a dataset: item n of a seed is the same person on every machine and in every process."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from hpe.body.data import NUM_SHAPES, BodyModelData, load_body_model
from hpe.datasets.sample import Sample
from hpe.datasets.source import Source
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.synthetic.poses import random_pose

# Validation people come from indices that no training set reaches.
_VALIDATION_START = 1_000_000_000
# Keeps the random numbers of the frames apart from those of the people with the same seed.
_FRAMES_STREAM = 7933


def synthetic(count: int, config: SyntheticConfig, *, body_model: str, validation: bool = False) -> Source:
    """Returns `count` synthetic people.

    Args:
        count: how many.
        config: what they look like; includes the seed.
        body_model: `default` or the path of a body model.
        validation: takes people that are in no training set of the same seed.

    Returns:
        The Source `synthetic_train` or `synthetic_val`.
    """
    first = _VALIDATION_START if validation else 0
    return Source(
        "synthetic_val" if validation else "synthetic_train",
        "cocoplus19",
        range(first, first + count),
        functools.partial(_person, config, body_model),
        {"body_model": body_model, **dataclasses.asdict(config)},
    )


def _person(config: SyntheticConfig, body_model: str, index: int) -> Sample:
    return generate(index, config, _body(body_model))


@functools.cache
def _body(path: str) -> BodyModelData:
    return load_body_model(path)


def frames(count: int, *, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields `count` random bodies as motion capture would give them, for a critic without recordings.

    Args:
        count: number of frames.
        seed: frame n is a function of (seed, n), and differs from the poses of the synthetic people.

    Yields:
        Axis-angle pose (72,) and shape (10,), float32.
    """
    for index in range(count):
        rng = np.random.default_rng([seed, _FRAMES_STREAM, index])
        yield random_pose(rng), rng.standard_normal(NUM_SHAPES).astype(np.float32)

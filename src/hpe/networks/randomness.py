"""Random numbers as a pure function of a seed tensor, on every Keras backend."""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

# A large odd number (2^32 over the golden ratio) spreads the first of the pair over all 32 bits.
_TORCH_MIXER = 2654435769


@contextlib.contextmanager
def initial_weights(seed: int) -> Iterator[None]:
    """In it, networks are built whose first weights are a function of `seed`, whatever was drawn before.

    Keras draws the seeds of its initializers from Python's generator, which is put back at the end: a library
    leaves the process as it was.
    """
    before = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)


@dataclasses.dataclass(frozen=True, eq=False)
class BatchSeed:
    """The seed of draws that belong to the samples of a batch, of which this device may hold only some rows.

    Every device draws for the whole batch and keeps its rows, so that what a sample gets does not depend on how
    many devices share the batch.

    Attributes:
        pair: integer pair (2,), for instance (run seed, step).
        first: index of the first sample here; an integer or a scalar tensor.
        samples: samples of the whole batch; None where the batch is not shared.
    """

    pair: Any
    first: Any = 0
    samples: int | None = None

    def stream(self, offset: int) -> BatchSeed:
        """Returns the seed of another use of randomness in the same step; `offset` is its own number."""
        pair = ops.convert_to_tensor(self.pair)
        return dataclasses.replace(self, pair=pair + ops.array([offset, 0], dtype=pair.dtype))


def batch_uniform(samples: int, shape, seed):
    """Draws uniform numbers in [0, 1) for every sample of a batch.

    Args:
        samples: samples here, B.
        shape: static shape of what each sample gets.
        seed: a BatchSeed, or the pair of one whose batch is not shared.

    Returns:
        (B, *shape) float32.
    """
    return _batch_rows(seeded_uniform, samples, shape, seed)


def batch_normal(samples: int, shape, seed):
    """Draws from the unit normal distribution; arguments and result as in `batch_uniform`."""
    return _batch_rows(seeded_normal, samples, shape, seed)


def _batch_rows(draw, samples, shape, seed):
    seed = as_batch_seed(seed)
    drawn = draw((seed.samples or samples, *shape), seed.pair)
    if seed.samples is None:
        return drawn
    first = ops.cast(seed.first, "int32")
    starts = ops.stack([first, *(ops.zeros_like(first) for _ in shape)])
    return ops.slice(drawn, starts, (samples, *shape))


def as_batch_seed(seed) -> BatchSeed:
    """Returns a BatchSeed as it is, and a pair as the seed of a batch that is not shared."""
    return seed if isinstance(seed, BatchSeed) else BatchSeed(seed)


class _GivenSeed(keras.random.SeedGenerator):
    """Hands one given seed to a Keras random function.

    Keras accepts only Python integers and generators as seeds. A generator holds a variable, whose value a
    resumed run would have to restore; this one holds nothing, so randomness stays a function of its seed.
    """

    def __init__(self, seed):
        self.seed = seed

    def next(self, ordered=True):
        """Returns the given seed, each time."""
        return self.seed


def seeded_uniform(shape, seed, *, dtype="float32"):
    """Draws uniform numbers in [0, 1): the same for the same seed and shape, inside and outside graphs.

    Args:
        shape: shape of the result; may hold dynamic sizes.
        seed: integer pair (2,), for instance (run seed, step); a tensor or anything that becomes one.
        dtype: float type of the result.

    Returns:
        Tensor of `shape`. Seeds that differ in either number give unrelated draws.
    """
    return keras.random.uniform(shape, dtype=dtype, seed=_GivenSeed(_pair(seed)))


def seeded_normal(shape, seed, *, dtype="float32"):
    """Draws numbers from the unit normal distribution; arguments and result as in `seeded_uniform`."""
    return keras.random.normal(shape, dtype=dtype, seed=_GivenSeed(_pair(seed)))


def _pair(seed):
    pair = ops.convert_to_tensor(seed)
    if tuple(pair.shape) != (2,):
        raise ValueError(f"The seed must be a pair of integers. Received: seed of shape {tuple(pair.shape)}")
    backend = keras.backend.backend()
    if backend == "torch":
        # Keras seeds PyTorch's generator with the sum of the pair, in which (3, 4) and (4, 3) are the same.
        pair = ops.cast(pair, "int64") * ops.convert_to_tensor([_TORCH_MIXER, 1], dtype="int64")
    else:
        # JAX takes the pair as the words of a key, TensorFlow as the seed of its stateless generators.
        pair = ops.cast(pair, "uint32" if backend == "jax" else "int32")
    return pair

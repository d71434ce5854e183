"""Random numbers as a pure function of a seed tensor, on every Keras backend."""

from __future__ import annotations

import keras
from keras import ops

# A large odd number (2^32 over the golden ratio) spreads the first of the pair over all 32 bits.
_TORCH_MIXER = 2654435769


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

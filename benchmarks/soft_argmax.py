"""The soft-argmax of volumes against the direct form: time and peak memory of forward and backward.

`python -m benchmarks.soft_argmax here|direct|published` prints the memory of one of them; `rows` starts it
so, because a process keeps what TensorFlow once took.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.memory import peak_in_new_process, raised_by
from benchmarks.timing import Row, compare, interleaved, milliseconds
from hpe.errors import UserError
from hpe.networks.soft_argmax import volumetric_soft_argmax

BATCH, JOINTS, CELLS = 2, 18, 64
_TOLERANCE = 1e-5


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the rows and a note on the agreement of the values."""
    logits, pull = scene()
    functions = {name: with_gradient(function) for name, function in IMPLEMENTATIONS.items()}
    values = {name: function(logits, pull) for name, function in functions.items()}
    truth = exact(logits.numpy())
    off = {name: float(np.abs(values[name][0].numpy() - truth).max()) for name in IMPLEMENTATIONS}
    if not off["here"] < _TOLERANCE:
        raise UserError(f"soft-argmax: is {off['here']} off the direct form in double precision.")
    largest = tf.reduce_max(tf.abs(values["direct"][1]))
    gradient = float(tf.reduce_max(tf.abs(values["here"][1] - values["direct"][1])) / largest)
    title = f"soft-argmax of {JOINTS} volumes of {CELLS}^3, batch {BATCH}, forward + backward"
    times = interleaved(
        {
            name: lambda function=function: function(logits, pull)[0].numpy()
            for name, function in functions.items()
        },
        rounds=rounds,
    )
    used = {name: peak_in_new_process("benchmarks.soft_argmax", name) for name in IMPLEMENTATIONS}
    for name, words in (("direct", "softmax times a grid"), ("published", "softmax, then marginals")):
        yield compare(f"{title}: time", times["here"], words, times[name], milliseconds)
        yield Row(
            f"{title}: peak memory",
            f"{used['here'] / 2**20:.0f} MiB",
            words,
            f"{used[name] / 2**20:.0f} MiB",
            f"{used[name] / max(used['here'], 1):.1f} times less",
        )
    size = logits.shape.num_elements() * 4 / 2**20
    yield (
        f"soft-argmax: joints are {off['here']:.1e} off the direct form in double precision; in single precision "
        f"that one is {off['direct']:.1e} off, the published one {off['published']:.1e}. The gradient differs by "
        f"{gradient:.1e} of its largest. The logits themselves, {size:.0f} MiB, are not counted."
    )


def exact(logits: np.ndarray) -> np.ndarray:
    """Returns places (B, J, 3) in double precision, by the marginals along each axis."""
    volumes = logits.astype(np.float64).reshape(-1, CELLS, CELLS, JOINTS, CELLS)
    weights = np.exp(volumes - volumes.max(axis=(1, 2, 4), keepdims=True))
    marginals = [weights.sum(axis=axes) for axes in ((1, 4), (2, 4), (1, 2))]
    # The joints are the last axis but one of the marginals along z, and the last of the others.
    x, y, z = marginals[0].swapaxes(1, 2), marginals[1].swapaxes(1, 2), marginals[2]
    places = np.linspace(-0.5, 0.5, CELLS)
    return np.stack([one @ places for one in (x, y, z)], axis=-1) / z.sum(axis=-1)[..., None]


def direct(logits: tf.Tensor) -> tf.Tensor:
    """Returns places (B, J, 3): the softmax over all cells, times a grid of the place of each."""
    weights = _softmax(logits)
    axis = tf.linspace(-0.5, 0.5, CELLS)
    z, y, x = tf.meshgrid(axis, axis, axis, indexing="ij")
    grid = tf.stack([x, y, z], axis=-1)
    return tf.reduce_sum(weights[..., None] * grid, axis=(2, 3, 4))


def published(logits: tf.Tensor) -> tf.Tensor:
    """Returns the same as the published network computes it: the softmax, and the marginals along each axis."""
    weights = _softmax(logits)
    axis = tf.linspace(-0.5, 0.5, CELLS)
    marginals = [tf.reduce_sum(weights, axis=axes) for axes in ((2, 3), (2, 4), (3, 4))]
    return tf.stack([tf.reduce_sum(marginal * axis, axis=-1) for marginal in marginals], axis=-1)


def _softmax(logits: tf.Tensor) -> tf.Tensor:
    """Returns the volumes (B, J, Z, Y, X) of logits (B, Y, X, J Z), each of sum 1."""
    volumes = tf.reshape(logits, (-1, CELLS, CELLS, JOINTS, CELLS))
    volumes = tf.transpose(volumes, (0, 3, 4, 1, 2))
    flat = tf.nn.softmax(tf.reshape(volumes, (-1, JOINTS, CELLS**3)))
    return tf.reshape(flat, tf.shape(volumes))


IMPLEMENTATIONS = {
    "here": lambda logits: volumetric_soft_argmax(logits, JOINTS),
    "direct": direct,
    "published": published,
}


def with_gradient(function):
    """Returns a tf.function of logits and what pulls at the joints: the joints and the gradient by the logits."""

    @tf.function
    def both(logits, pull):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            places = function(logits)
            total = tf.reduce_sum(places * pull)
        return places, tape.gradient(total, logits)

    return both


def scene() -> tuple[tf.Tensor, tf.Tensor]:
    """Returns logits (B, Y, X, J Z) and a pull (B, J, 3)."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((BATCH, CELLS, CELLS, JOINTS * CELLS), np.float32)
    return tf.constant(3 * logits), tf.constant(rng.normal(size=(BATCH, JOINTS, 3)), tf.float32)


def _measure_memory(name: str) -> int:
    """Returns by how many bytes joints and gradient raise the peak of this process beyond the logits."""
    logits, pull = scene()
    function = with_gradient(IMPLEMENTATIONS[name])
    function.get_concrete_function(logits, pull)
    return raised_by(lambda: function(logits, pull)[0].numpy())


if __name__ == "__main__":
    print(_measure_memory(sys.argv[1]))

"""The body model layer against a textbook implementation of the same equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from scipy.spatial.transform import Rotation

from benchmarks.textbook import TextbookBody, random_body
from benchmarks.timing import Row, compare, interleaved, per_second
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.errors import UserError

BATCHES = (1, 64)
# Metres (and, of gradients, the largest entry): float32 rounding of two ways to the same sum.
_TOLERANCE = 1e-4


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the rows of both bodies, and a note on how well the implementations agree."""
    bodies = {"SMPL-sized body": random_body(), "default body": load_body_model()}
    for name, data in bodies.items():
        fused, textbook = BodyModel(data), TextbookBody(data)
        for batch in BATCHES:
            inputs = _inputs(batch)
            yield from _full(f"{name}, batch {batch}", fused, textbook, inputs, rounds)
        yield from _joints_only(name, fused, rounds)


def _full(title: str, fused, textbook, inputs, rounds: int) -> Iterator[Row | str]:
    """Yields forward and forward + backward, as a graph and compiled by XLA."""
    show = per_second(len(inputs[0]), "bodies")
    for passes, wrap in (("forward", _forward), ("forward + backward", _with_gradient)):
        functions = {
            "fused graph": tf.function(wrap(fused)),
            "fused XLA": tf.function(wrap(fused), jit_compile=True),
            "textbook graph": tf.function(wrap(textbook)),
            "textbook XLA": tf.function(wrap(textbook), jit_compile=True),
        }
        results = {name: function(*inputs) for name, function in functions.items()}
        error = max(_difference(results["textbook graph"], results[name]) for name in functions)
        if not error < _TOLERANCE:
            raise UserError(f"body model, {title}, {passes}: the results differ by {error:.2g}.")
        times = interleaved(
            {name: _call(function, inputs) for name, function in functions.items()}, rounds=rounds
        )
        for ours, theirs in (
            ("fused graph", "textbook graph"),
            ("fused XLA", "textbook graph"),
            ("fused XLA", "textbook XLA"),
        ):
            yield compare(f"{title}: {passes}, {ours}", times[ours], theirs, times[theirs], show)
        yield f"{title}, {passes}: all four agree to {error:.1g} of the largest value."


def _joints_only(name: str, fused, rounds: int) -> Iterator[Row]:
    """Yields what it saves not to ask for vertices."""
    for batch in BATCHES:
        inputs = _inputs(batch)
        functions = {
            with_vertices: tf.function(lambda *arguments, v=with_vertices: fused(*arguments, vertices=v))
            for with_vertices in (True, False)
        }
        times = interleaved(
            {str(key): _call(function, inputs) for key, function in functions.items()}, rounds=rounds
        )
        yield compare(
            f"{name}, batch {batch}: forward, keypoints only",
            times["False"],
            "with vertices",
            times["True"],
            per_second(batch, "bodies"),
        )


def _inputs(batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(batch)
    rotmats = Rotation.from_rotvec(rng.normal(scale=0.5, size=(batch * 24, 3))).as_matrix()
    shapes = rng.normal(size=(batch, 10))
    return tf.constant(rotmats.reshape(batch, 24, 3, 3), tf.float32), tf.constant(shapes, tf.float32)


def _forward(body) -> Callable:
    return lambda rotmats, shape: body(rotmats, shape)


def _with_gradient(body) -> Callable:
    """Returns the gradients of one number made of all outputs, every entry with a weight of its own."""

    def function(rotmats, shape):
        with tf.GradientTape() as tape:
            tape.watch([rotmats, shape])
            outputs = body(rotmats, shape)
            loss = sum(_weighted_mean(outputs[key]) for key in ("joints", "keypoints", "vertices"))
        rotation_gradient, shape_gradient = tape.gradient(loss, [rotmats, shape])
        return {"rotmats": rotation_gradient, "shape": shape_gradient, "loss": loss}

    return function


def _weighted_mean(points: tf.Tensor) -> tf.Tensor:
    flat = tf.reshape(points, (points.shape[0], -1))
    return tf.reduce_mean(flat * tf.sin(tf.range(flat.shape[1], dtype=tf.float32)))


def _call(function, inputs) -> Callable[[], object]:
    # Reading a number back waits for devices that answer before they are done.
    return lambda: next(iter(function(*inputs).values())).numpy()


def _difference(expected: dict[str, tf.Tensor], actual: dict[str, tf.Tensor]) -> float:
    """Returns the largest difference, as a part of the largest value of each output."""
    return max(
        float(tf.reduce_max(tf.abs(expected[key] - actual[key])) / tf.reduce_max(tf.abs(expected[key])))
        for key in expected
    )

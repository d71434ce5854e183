"""The body model layer against the original formulation of the same equations, and against smplx on PyTorch."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from scipy.spatial.transform import Rotation

from benchmarks import torch_body
from benchmarks.textbook import TextbookBody, random_body
from benchmarks.timing import Row, compare, interleaved, per_second
from hpe.body.body_model import BodyModel
from hpe.body.data import BodyModelData, load_body_model
from hpe.errors import UserError

BATCHES = (1, 64)
# Metres (and, of gradients, the largest entry): float32 rounding of two ways to the same sum.
_TOLERANCE = 1e-4


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the rows of both bodies, and notes on how well the implementations agree."""
    bodies = {"SMPL-sized body": random_body(), "default body": load_body_model()}
    for name, data in bodies.items():
        fused, textbook = BodyModel(data), TextbookBody(data)
        for batch in BATCHES:
            inputs = _inputs(batch)
            yield from _full(f"{name}, batch {batch}", fused, textbook, inputs, rounds)
            yield from _joints_only(f"{name}, batch {batch}", fused, textbook, inputs, rounds)
    yield from _against_smplx(bodies["SMPL-sized body"], rounds)


def _full(title: str, fused, textbook, inputs, rounds: int) -> Iterator[Row | str]:
    """Yields forward and forward + backward, as a graph and compiled by XLA."""
    show = per_second(len(inputs[0]), "bodies")
    for passes, wrap in _WRAPS.items():
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


def _joints_only(title: str, fused, textbook, inputs, rounds: int) -> Iterator[Row]:
    """Yields joints and keypoints alone against the textbook, which has to pose vertices to have keypoints."""
    for passes, wrap in _WRAPS.items():
        alone = wrap(lambda *arguments: fused(*arguments, vertices=False))
        functions = {
            "graph": tf.function(alone),
            "XLA": tf.function(alone, jit_compile=True),
            "fused XLA with vertices": tf.function(wrap(fused), jit_compile=True),
            "textbook graph with vertices": tf.function(wrap(textbook)),
        }
        times = interleaved(
            {key: _call(function, inputs) for key, function in functions.items()}, rounds=rounds
        )
        for ours, theirs in (
            ("graph", "textbook graph with vertices"),
            ("XLA", "textbook graph with vertices"),
            ("XLA", "fused XLA with vertices"),
        ):
            yield compare(
                f"{title}: {passes}, keypoints only, {ours}",
                times[ours],
                theirs,
                times[theirs],
                per_second(len(inputs[0]), "bodies"),
            )


def _against_smplx(data: BodyModelData, rounds: int) -> Iterator[Row | str]:
    """Yields the fused body, keypoints and all, against smplx, which leaves the regression of keypoints out."""
    absent = torch_body.missing()
    if absent:
        yield absent
        return
    fused, inputs = BodyModel(data), {batch: _inputs(batch) for batch in BATCHES}
    numbers = sorted({1, os.cpu_count() or 1})
    agreement = 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        torch_body.Smplx(pathlib.Path(folder), data, inputs) as smplx,
    ):
        for batch in BATCHES:
            for passes, wrap in _WRAPS.items():
                functions = {
                    "fused graph": tf.function(wrap(fused)),
                    "fused XLA": tf.function(wrap(fused), jit_compile=True),
                }
                variants = {key: _call(function, inputs[batch]) for key, function in functions.items()}
                expected = tf.function(wrap(fused, ("joints", "vertices")))(*inputs[batch])
                modes = []
                for mode in torch_body.MODES:
                    try:
                        found = smplx.result(batch, passes, mode)
                    except UserError as error:
                        if mode == "eager":
                            raise
                        yield f"smplx, batch {batch}, {passes}, {mode}: {' '.join(str(error).split())}"
                        continue
                    modes.append(mode)
                    error = _difference({key: expected[key] for key in found}, found)
                    agreement = max(agreement, error)
                    if not error < _TOLERANCE:
                        raise UserError(f"smplx, batch {batch}, {passes}: results differ by {error:.2g}.")
                    for threads in numbers:
                        variants[mode, threads] = smplx.turns(batch, passes, mode, threads=threads)
                times = interleaved(variants, rounds=rounds)
                for mode in modes:
                    # Its threads wait for each other, and wait long where other programs hold a core.
                    threads = min(numbers, key=lambda number: times[mode, number].median)
                    for ours in functions:
                        yield compare(
                            f"SMPL-sized body, batch {batch}: {passes}, {ours}",
                            times[ours],
                            f"smplx, PyTorch {mode}, threads: {threads}",
                            times[mode, threads],
                            per_second(batch, "bodies"),
                        )
    yield (
        f"smplx: {torch_body.versions()}, with {' and '.join(map(str, numbers))} threads, of which the faster is "
        f"shown, against {numbers[-1]} here, in a process that takes turns with this one; rotation matrices in, "
        "joints and vertices out, without the regression of keypoints that the rows of this "
        f"project include; they agree to {agreement:.1g} of the largest value."
    )


def _inputs(batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(batch)
    rotmats = Rotation.from_rotvec(rng.normal(scale=0.5, size=(batch * 24, 3))).as_matrix()
    shapes = rng.normal(size=(batch, 10))
    return tf.constant(rotmats.reshape(batch, 24, 3, 3), tf.float32), tf.constant(shapes, tf.float32)


def _forward(body, _=()) -> Callable:
    return lambda rotmats, shape: body(rotmats, shape)


def _with_gradient(body, keys=("joints", "keypoints", "vertices")) -> Callable:
    """Returns the gradients of one number made of the outputs, every entry with a weight of its own."""

    def function(rotmats, shape):
        with tf.GradientTape() as tape:
            tape.watch([rotmats, shape])
            outputs = body(rotmats, shape)
            loss = sum(_weighted_mean(outputs[key]) for key in keys if key in outputs)
        rotation_gradient, shape_gradient = tape.gradient(loss, [rotmats, shape])
        return {"rotmats": rotation_gradient, "shape": shape_gradient, "loss": loss}

    return function


_WRAPS = {"forward": _forward, "forward + backward": _with_gradient}


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

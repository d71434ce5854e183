"""The mesh reprojection loss against the pairwise distance matrix: time, peak memory, and growth with the batch.

`python -m benchmarks.silhouette exact|dense` prints the memory of one of them; `rows` starts it so, because a
process keeps what TensorFlow once took.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from benchmarks.memory import peak_in_new_process, raised_by
from benchmarks.timing import Row, compare, interleaved, milliseconds, per_second
from hpe.backends.choice import xla_compiled
from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.losses.silhouette import distances_of_pairs, mesh_reprojection
from hpe.synthetic.dressed_body import NumpyBody
from hpe.synthetic.poses import random_pose
from hpe.visualization.rasterizer import render_mask, weak_perspective_camera

SIZE = 224
BATCH = 8
LARGE_BATCH = 32
_CAMERA = (0.75, 0.0, 0.0)  # The person fills two thirds of the crop, as in LSP.
_TOLERANCE = 1e-3  # Pixels.


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the rows and a note on the agreement of the values."""
    points, masks = scene(BATCH)
    exact, dense = with_gradient(exact_mesh_reprojection), with_gradient(dense_mesh_reprojection)
    (loss, gradient), (dense_loss, dense_gradient) = exact(points, masks), dense(points, masks)
    difference = abs(float(loss - dense_loss))
    if not difference < _TOLERANCE:
        raise UserError(f"mesh reprojection: {float(loss)} px, but {float(dense_loss)} px by all pairs.")
    differences = tf.reduce_max(tf.abs(gradient - dense_gradient), axis=-1)
    differing = np.count_nonzero(differences > 1e-4 * tf.reduce_max(tf.abs(dense_gradient)))
    title = f"mesh reprojection loss, batch {BATCH}, {SIZE}x{SIZE}, forward + backward"
    times = interleaved(
        {
            "exact": lambda: exact(points, masks)[0].numpy(),
            "dense": lambda: dense(points, masks)[0].numpy(),
        },
        rounds=rounds,
    )
    yield compare(f"{title}: time", times["exact"], "all pairs", times["dense"], milliseconds)
    used = {name: peak_in_new_process("benchmarks.silhouette", name) for name in IMPLEMENTATIONS}
    yield Row(
        f"{title}: peak memory",
        f"{used['exact'] / 2**20:.0f} MiB",
        "all pairs",
        f"{used['dense'] / 2**20:.0f} MiB",
        f"{used['dense'] / max(used['exact'], 1):.1f} times less",
    )
    yield (
        f"mesh reprojection: {points.shape[1]} vertices, {np.count_nonzero(masks) / BATCH:.0f} mask pixels per "
        f"image; {float(loss):.4f} px, by all pairs {float(dense_loss):.4f} px; the gradient is another at "
        f"{differing} of {differences.shape.num_elements()} vertices (where two pixels are equally near, all "
        "pairs share it out)."
    )

    many = scene(LARGE_BATCH)
    times = interleaved(
        {
            "small": lambda: [exact(points, masks)[0].numpy() for _ in range(LARGE_BATCH // BATCH)],
            "large": lambda: exact(*many)[0].numpy(),
        },
        rounds=rounds,
    )
    yield compare(
        f"mesh reprojection loss, one batch of {LARGE_BATCH}",
        times["large"],
        f"{LARGE_BATCH // BATCH} batches of {BATCH}",
        times["small"],
        per_second(LARGE_BATCH, "img"),
    )


def dense_mesh_reprojection(points: tf.Tensor, masks: tf.Tensor, has_mask: tf.Tensor) -> tuple:
    """Returns what `mesh_reprojection` does, from all distances between mask pixels and vertices."""
    per_image = []
    for image in range(points.shape[0]):
        pixels = tf.cast(tf.reverse(tf.where(masks[image] > 0), axis=[1]), tf.float32)
        offset = pixels[:, None] - points[image][None]
        squared = tf.reduce_sum(tf.square(offset), axis=-1)
        # The root of the least, not the least root: kinder to the matrix, and finite at 0.
        nearest_point = tf.sqrt(tf.reduce_min(squared, axis=1) + 1e-12)
        nearest_pixel = tf.sqrt(tf.reduce_min(squared, axis=0) + 1e-12)
        per_image.append(tf.reduce_mean(nearest_point) + tf.reduce_mean(nearest_pixel))
    per_image = tf.stack(per_image) * has_mask
    return tf.reduce_sum(per_image) / tf.reduce_sum(has_mask), per_image


def exact_mesh_reprojection(points: tf.Tensor, masks: tf.Tensor, has_mask: tf.Tensor) -> tuple:
    """Returns the loss as training computes it, the part behind the search compiled by XLA."""
    loss, per_image = mesh_reprojection(points, masks, has_mask, measure=xla_compiled(distances_of_pairs))
    return loss.value, per_image


IMPLEMENTATIONS = {"exact": exact_mesh_reprojection, "dense": dense_mesh_reprojection}


def with_gradient(loss):
    """Returns a tf.function of points and masks: the loss and its gradient by the points."""

    @tf.function
    def function(points, masks):
        with tf.GradientTape() as tape:
            tape.watch(points)
            value, _ = loss(points, masks, tf.ones(len(masks)))
        return value, tape.gradient(value, points)

    return function


def scene(batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns projected vertices (B, V, 2) of default bodies, and masks (B, S, S) of other poses of them."""
    body = NumpyBody(load_body_model())
    camera = weak_perspective_camera(_CAMERA, SIZE)
    points, masks = [], []
    for index in range(batch):
        rng = np.random.default_rng(index)
        seen, guessed = (body.pose(random_pose(rng), rng.normal(size=10))[0] for _ in range(2))
        masks.append(render_mask(seen, body.data.faces, camera, (SIZE, SIZE)))
        points.append(camera.project(guessed)[:, :2])
    return tf.constant(np.stack(points), tf.float32), tf.constant(np.stack(masks), tf.uint8)


def _measure_memory(name: str) -> int:
    """Returns by how many bytes the loss and its gradient raise the peak of this process."""
    points, masks = scene(BATCH)
    function = with_gradient(IMPLEMENTATIONS[name])
    # Graph, kernels and threads are there before the measurement; one vertex makes hardly any matrix.
    function(points[:, :1], masks)
    function.get_concrete_function(points, masks)
    return raised_by(lambda: function(points, masks)[0].numpy())


if __name__ == "__main__":
    print(_measure_memory(sys.argv[1]))

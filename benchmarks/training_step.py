"""The training step of the whole hybrid HMR against its backbone alone, and what every part of it costs.

Both sides take batches that are ready, so that no input pipeline is in the figures. The backbone alone is what any
training of it costs: forward, backward by the mean of its features, and Adam. What silhouettes and critic cost is
the difference to steps without them, side by side in the same rounds: unlike the operations of a trace, which
overlap on several threads, differences of whole steps add up to the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from benchmarks import silhouette
from benchmarks.timing import Row, compare, interleaved, milliseconds
from hpe.body.data import BodyModelData, load_body_model
from hpe.networks.backbones import build_encoder
from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig
from hpe.training.optimization import OptimizationConfig
from hpe.training.step import TrainingStep

ENCODER, IMAGE_SIZE, BATCH_SIZE = "ResNet50", 224, 16


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the whole step against the backbone alone, and steps that lack one part against the whole."""
    data = load_body_model()
    batch, real = people(BATCH_SIZE, IMAGE_SIZE)
    variants = {"backbone": backbone_step(batch["image"])}
    for name, settings in _ABLATIONS.items():
        variants[name] = system_step(data, batch, real, **settings)
    times = interleaved(variants, rounds=rounds)
    title = f"training step, {ENCODER} at {IMAGE_SIZE}, batch {BATCH_SIZE}"
    yield compare(
        f"{title}: keypoints, silhouettes and critic",
        times["whole"],
        "the backbone alone: forward, backward, Adam",
        times["backbone"],
        milliseconds,
    )
    for name in _ABLATIONS:
        if name != "whole":
            yield compare(f"{title}: {name}", times[name], "the whole step", times["whole"], milliseconds)
    whole = times["whole"].median
    parts = {"encoder with its update": times["backbone"].median}
    parts["silhouette loss and its vertices"] = whole - times["without silhouettes"].median
    parts["critic and its update"] = whole - times["without critic"].median
    parts["regressor, body, keypoints, checks"] = whole - sum(parts.values())
    shares = ", ".join(f"{name} {100 * seconds / whole:.1f} %" for name, seconds in parts.items())
    yield f"shares of a training step, from steps that lack the part (medians): {shares}."


_ABLATIONS = {
    "whole": {},
    "without silhouettes": {"use_mesh_repro_loss": False},
    "without critic": {"encoder_only": True},
}


def people(batch_size: int, image_size: int) -> tuple[dict, dict]:
    """Returns a training batch of random pictures with silhouettes and joints of bodies, and mocap frames."""
    rng = np.random.default_rng(0)
    _, masks = silhouette.scene(batch_size)
    masks = tf.image.resize(masks[..., None], (image_size, image_size), method="nearest")[..., 0]
    joints = np.concatenate([rng.uniform(-0.7, 0.7, (batch_size, 19, 2)), np.ones((batch_size, 19, 1))], -1)
    batch = {
        "image": tf.constant(rng.integers(0, 256, (batch_size, image_size, image_size, 3), dtype=np.uint8)),
        "silhouette": masks,
        "has_silhouette": tf.ones(batch_size),
        "joints2d": tf.constant(joints, tf.float32),
        "joints3d": tf.zeros((batch_size, 19, 3)),
        "joints3d_weight": tf.zeros((batch_size, 19)),
        "has_joints3d": tf.zeros(batch_size),
        "pose": tf.zeros((batch_size, 72)),
        "shape": tf.zeros((batch_size, 10)),
        "has_body": tf.zeros(batch_size),
        "camera": tf.zeros((batch_size, 3)),
        "has_camera": tf.zeros(batch_size),
    }
    frames = batch_size * HybridHmrConfig().num_stage
    real = {
        "pose": tf.constant(rng.normal(scale=0.2, size=(frames, 72)), tf.float32),
        "shape": tf.constant(rng.normal(size=(frames, 10)), tf.float32),
    }
    return batch, real


def system_step(
    data: BodyModelData, batch: dict, real: dict, *, encoder: str = ENCODER, **settings
) -> Callable[[], dict]:
    """Returns a function that trains the hybrid HMR by one step and returns its scalars."""
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(
        **({"encoder": encoder, "encoder_weights": "none", "use_mesh_repro_loss": True} | settings)
    )
    system = HybridHmr(config, data, image_size=batch["image"].shape[1])
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    run = TrainingStep(system, OptimizationConfig(), seed=0, step=step, total_steps=10**6)
    real = None if config.encoder_only else real

    def call():
        scalars = run(batch, real)
        scalars["generator/total"].numpy()
        return scalars

    return call


def backbone_step(images: tf.Tensor) -> Callable[[], object]:
    """Returns a function that trains the encoder alone by one step."""
    keras.utils.set_random_seed(0)
    encoder = build_encoder(ENCODER, image_size=images.shape[1], weights="none")
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(encoder.trainable_variables)

    @tf.function(autograph=False)
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(encoder(images, training=True))
        variables = encoder.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return lambda: step(images).numpy()

"""The training step of the whole hybrid HMR against its backbone alone, and what every part of it costs.

Both sides take batches that are ready, so that no input pipeline is in the figures. The backbone alone is what any
training of it costs: forward, backward by the mean of its features, and Adam. The parts are timed by themselves,
each as a compiled function of its own, because the operations of a trace overlap on several threads.
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
from hpe.training.config import OptimizationConfig
from hpe.training.step import TrainingStep

ENCODER, IMAGE_SIZE, BATCH_SIZE = "ResNet50", 224, 16


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the whole step against the backbone alone, and steps that lack one part against the whole."""
    data = load_body_model()
    batch = people(BATCH_SIZE, IMAGE_SIZE)
    variants = {"backbone": backbone_step(batch["image"])}
    for name, settings in _ABLATIONS.items():
        variants[name] = system_step(data, batch, **settings)
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
    parts = interleaved(part_steps(data, batch), rounds=rounds)
    together = sum(part.median for part in parts.values())
    shares = ", ".join(
        f"{name} {milliseconds(part.median)} ({100 * part.median / together:.1f} %)"
        for name, part in parts.items()
    )
    whole = milliseconds(times["whole"].median)
    yield f"parts of a training step, each forward and backward by itself: {shares}; a whole step takes {whole}."


_ABLATIONS = {
    "whole": {},
    "without silhouettes": {"use_mesh_repro_loss": False},
    "without critic": {"encoder_only": True},
}


def part_steps(data: BodyModelData, batch: dict) -> dict[str, Callable[[], object]]:
    """Returns the parts of a step as functions of tensors that are ready: what each costs forward and backward."""
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(encoder=ENCODER, encoder_weights="none", use_mesh_repro_loss=True)
    system = HybridHmr(config, data, image_size=batch["image"].shape[1])
    seed = tf.constant([0, 0])
    outputs = system.forward(batch["image"], training=True, seed=seed)
    theta = outputs["stages"][-1]
    features = tf.random.stateless_normal((BATCH_SIZE, system.encoder.output_shape[-1]), [0, 1])

    def encoder(_):
        return tf.reduce_mean(system.encoder(batch["image"], training=True))

    def regressor(x):
        return tf.add_n([tf.reduce_sum(stage) for stage in system.regressor(x, training=True, seed=seed)])

    def body(x):
        return tf.add_n([tf.reduce_sum(value) for value in system.pose_body(x).values()])

    def losses(vertices):
        found = system.losses({**outputs, "vertices": vertices}, batch)
        # The critic's score is a part of its own; the graph drops what nobody asks for.
        named = {name: weight for name, weight in found.weights.items() if name != "generator_critic_loss"}
        return sum(weight * found.parts[name].value for name, weight in named.items())

    def score(joints):
        return system.adversary.generator_losses({**outputs, "joints3d": joints}).total

    def critic(_):
        return system.critic_losses(outputs, batch, seed=seed).total

    critic_variables = system.optimizers["critic"].variables
    parts = {
        "encoder": (encoder, None, system.encoder.trainable_variables),
        "regressor": (regressor, features, system.regressor.trainable_variables),
        "body": (body, theta, []),
        "silhouette and keypoint losses": (losses, outputs["vertices"], []),
        "critic's score of the generator": (score, outputs["joints3d"], []),
        "critic with its penalty": (critic, None, critic_variables),
    }
    steps = {name: _gradient_step(*part) for name, part in parts.items()}
    variables = [*system.optimizers["main"].variables, *critic_variables]
    optimizer = keras.optimizers.Adam(1e-4)
    optimizer.build(variables)
    gradients = [tf.zeros_like(variable) for variable in variables]
    update = tf.function(
        lambda: optimizer.apply_gradients(zip(gradients, variables, strict=True)), autograph=False
    )
    # The variable is read so that the call returns when the update is done.
    steps["updates"] = lambda: (update(), optimizer.iterations.numpy())
    return steps


def _gradient_step(function: Callable, given: tf.Tensor | None, variables: list) -> Callable[[], object]:
    """Returns a compiled function that computes a scalar and its gradients, by its input and by variables."""

    @tf.function(autograph=False)
    def step(given):
        with tf.GradientTape() as tape:
            if given is not None:
                tape.watch(given)
            total = function(given)
        sources = [*variables, *([] if given is None else [given])]
        # Sums of squares keep the gradients alive; a graph drops what nobody asks for.
        found = [gradient for gradient in tape.gradient(total, sources) if gradient is not None]
        return total, tf.add_n([tf.reduce_sum(tf.square(gradient)) for gradient in found])

    return lambda: [value.numpy() for value in step(given)]


def people(batch_size: int, image_size: int) -> dict:
    """Returns a training batch of random pictures with silhouettes and joints of bodies, with mocap frames."""
    rng = np.random.default_rng(0)
    _, masks = silhouette.scene(batch_size)
    masks = tf.image.resize(masks[..., None], (image_size, image_size), method="nearest")[..., 0]
    joints = rng.uniform(-0.7, 0.7, (batch_size, 19, 2))
    batch = {
        "image": tf.constant(rng.integers(0, 256, (batch_size, image_size, image_size, 3), dtype=np.uint8)),
        "silhouette": masks,
        "silhouette_weight": tf.ones(batch_size),
        "joints2d": tf.constant(joints, tf.float32),
        "joints2d_weight": tf.ones((batch_size, 19)),
        "joints3d": tf.zeros((batch_size, 19, 3)),
        "joints3d_weight": tf.zeros((batch_size, 19)),
        "pose": tf.zeros((batch_size, 72)),
        "pose_weight": tf.zeros(batch_size),
        "shape": tf.zeros((batch_size, 10)),
        "shape_weight": tf.zeros(batch_size),
        "camera": tf.zeros((batch_size, 3)),
        "camera_weight": tf.zeros(batch_size),
    }
    frames = (batch_size, HybridHmrConfig().num_stage)
    return batch | {
        "mocap/pose": tf.constant(rng.normal(scale=0.2, size=(*frames, 72)), tf.float32),
        "mocap/shape": tf.constant(rng.normal(size=(*frames, 10)), tf.float32),
    }


def system_step(
    data: BodyModelData, batch: dict, *, encoder: str = ENCODER, **settings
) -> Callable[[], dict]:
    """Returns a function that trains the hybrid HMR by one step and returns its scalars."""
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(
        **({"encoder": encoder, "encoder_weights": "none", "use_mesh_repro_loss": True} | settings)
    )
    system = HybridHmr(config, data, image_size=batch["image"].shape[1])
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    run = TrainingStep(system, OptimizationConfig(), seed=0, step=step, total_steps=10**6)
    done = 0

    def call():
        nonlocal done
        scalars = run(batch, done=done)
        done += 1
        scalars["loss/total"].numpy()
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

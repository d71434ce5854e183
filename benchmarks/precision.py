"""`--mixed_precision`: how much faster a step is, and what it does to the losses of a short training."""

from __future__ import annotations

import itertools
import pathlib
import statistics
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from benchmarks import people, training_step
from benchmarks.timing import Row, compare, interleaved, milliseconds
from hpe.body.data import load_body_model
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.images import training_batches
from hpe.records.reading import find_shards
from hpe.synthetic.poses import random_pose
from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig
from hpe.training.config import OptimizationConfig
from hpe.training.step import TrainingStep

STEPS = 200
_LAST = 20  # Losses of single steps say little.
_SIZE, _BATCH = 64, 16
_LOSSES = ("loss/kpr_loss", "loss/mr_loss", "critic/critic_network_loss")


def rows(folder: pathlib.Path, rounds: int) -> Iterator[Row | str]:
    """Yields the speed-up of the step, and the losses of three short trainings side by side."""
    data = load_body_model()
    batch = training_step.people(training_step.BATCH_SIZE, training_step.IMAGE_SIZE)
    times = interleaved(
        {mixed: training_step.system_step(data, batch, mixed_precision=mixed) for mixed in (True, False)},
        rounds=rounds,
    )
    yield compare(
        f"training step, {training_step.ENCODER} at {training_step.IMAGE_SIZE}, batch "
        f"{training_step.BATCH_SIZE}: --mixed_precision",
        times[True],
        "float32",
        times[False],
        milliseconds,
    )
    name = people.people_source().name
    if not list(folder.glob(f"{name}.*")):
        people.create_records(folder)
    shards = find_shards(folder, [name])
    runs = {
        "float32": _losses(data, shards, seed=0),
        "bfloat16 encoder": _losses(data, shards, seed=0, mixed_precision=True),
        "float32 from another seed": _losses(data, shards, seed=1),
    }
    for loss in _LOSSES:
        values = ", ".join(f"{value[loss]:.4g} {run}" for run, value in runs.items())
        yield (
            f"{loss}, mean of steps {STEPS - _LAST + 1} to {STEPS} (encoder small at {_SIZE}, batch {_BATCH}, "
            f"synthetic people): {values}."
        )


def _losses(data, shards, *, seed: int, **settings) -> dict[str, float]:
    """Trains from random weights and returns the mean losses of the last steps."""
    keras.utils.set_random_seed(seed)
    config = HybridHmrConfig(
        encoder="small", encoder_weights="none", use_mesh_repro_loss=True, body_loss_weight=0.0, **settings
    )
    system = HybridHmr(config, data, image_size=_SIZE)
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    run = TrainingStep(system, OptimizationConfig(), seed=seed, step=step, total_steps=STEPS)
    pipeline = PipelineConfig(img_size=_SIZE, shuffle_buffer=1000)
    batches = training_batches(shards, pipeline, batch_size=_BATCH, seed=seed)
    rng = np.random.default_rng(seed)
    frames = np.float32([random_pose(rng) for _ in range(1000)])
    last = []
    for done, batch in enumerate(itertools.islice(batches, STEPS)):
        chosen = rng.integers(0, len(frames), _BATCH * config.num_stage)
        numbers = {name: value for name, value in batch.items() if value.dtype != tf.string}
        real = {
            "mocap/pose": tf.constant(frames[chosen].reshape(_BATCH, -1, 72)),
            "mocap/shape": tf.zeros((_BATCH, config.num_stage, 10)),  # The default body's are drawn.
        }
        scalars = run(numbers | real, done=done)
        if done >= STEPS - _LAST:
            last.append({loss: float(scalars[loss]) for loss in _LOSSES})
    return {loss: statistics.fmean(values[loss] for values in last) for loss in _LOSSES}

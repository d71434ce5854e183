"""An epoch of the lifter's training, from poses in memory to updated weights, against PyTorch with a DataLoader.

Both sides train the network of Martinez et al. with Adam, from synthetic poses. Ours augments them too, as the
recipe does. The reference's batch is 64; batches of our recipe are larger, and both sides are measured at both. An
epoch here is a short one: time grows with the number of poses on both sides.
"""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from benchmarks import torch_lifter
from benchmarks.timing import Row, compare, interleaved, per_second
from hpe.datasets.pose_sequence import Keypoints, PoseSequence
from hpe.geometry.cameras import perspective_project
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.poses import PoseSource
from hpe.systems.lifter import LifterConfig, LiftingSystem
from hpe.training.config import OptimizationConfig
from hpe.training.step import TrainingStep

POSES = 8192
REFERENCE_BATCH, BATCH = 64, 1024
WIDTH, DROPOUT = 1024, 0.5

AUGMENTED = PosePipelineConfig(reproject=True, bone_max=0.1)
PLAIN = PosePipelineConfig(flip=False)


def rows(rounds: int, *, poses: int = POSES, width: int = WIDTH) -> Iterator[Row | str]:
    """Yields our epochs against PyTorch's."""
    if missing := torch_lifter.missing():
        yield missing
        return
    sequence = people(poses)
    source = PoseSource.from_sequences([sequence], PLAIN)
    statistics = source.statistics()
    with tempfile.TemporaryDirectory() as folder:
        theirs = torch_lifter.TorchLifter(
            pathlib.Path(folder) / "poses.npz",
            _standardized(statistics["joints2d"]),
            _standardized(statistics["joints3d"][:, 1:]),
            width=width,
            dropout=DROPOUT,
        )
        with theirs:
            variants = {
                ("ours", REFERENCE_BATCH): epoch(sequence, PLAIN, batch_size=REFERENCE_BATCH, width=width),
                ("ours", BATCH): epoch(sequence, PLAIN, batch_size=BATCH, width=width),
                ("augmented", BATCH): epoch(sequence, AUGMENTED, batch_size=BATCH, width=width),
                ("torch", REFERENCE_BATCH): theirs.epochs(REFERENCE_BATCH, 0),
                ("torch", BATCH): theirs.epochs(BATCH, 0),
                ("torch, 2 workers", REFERENCE_BATCH): theirs.epochs(REFERENCE_BATCH, 2),
            }
            times = interleaved(variants, rounds=rounds)
    show = per_second(poses, "poses")
    pairs = [
        (("augmented", BATCH), ("torch", REFERENCE_BATCH)),
        (("augmented", BATCH), ("torch, 2 workers", REFERENCE_BATCH)),
        (("augmented", BATCH), ("torch", BATCH)),
        (("ours", BATCH), ("torch", BATCH)),
        (("ours", REFERENCE_BATCH), ("torch", REFERENCE_BATCH)),
    ]
    for ours, other in pairs:
        what = "as the recipe augments" if ours[0] == "augmented" else "no augmentation"
        yield compare(
            f"lifter, an epoch of training, batch {ours[1]}, {what}",
            times[ours],
            f"{other[0]} and DataLoader, batch {other[1]}, no augmentation",
            times[other],
            show,
            in_this_process=False,
        )
    yield f"lifter: {torch_lifter.version()}, width {width}, epochs of {poses} poses."


def people(count: int) -> PoseSequence:
    """Returns random people before a camera like Human3.6M's."""
    rng = np.random.default_rng(0)
    place = rng.uniform([-1, -0.5, 4], [1, 0.5, 6], (count, 1, 3))
    joints3d = np.float32(place + rng.uniform(-0.6, 0.6, (count, 17, 3)))
    camera = {
        "f": np.float32([1145, 1144]),
        "c": np.float32([512, 515]),
        "k": np.float32([-0.207, 0.248, -0.003]),
        "p": np.float32([-0.0014, -0.001]),
    }
    joints2d = perspective_project(joints3d, **camera)
    return PoseSequence(
        name="random",
        subject="",
        action="",
        camera="",
        joints3d=joints3d,
        keypoints={"gt": Keypoints("h36m17", np.float32(joints2d))},
        rotation=np.float32([[1, 0, 0], [0, 0, -1], [0, 1, 0]]),
        **camera,
    )


def epoch(
    sequence: PoseSequence, config: PosePipelineConfig, *, batch_size: int, width: int = WIDTH
) -> Callable[[], object]:
    """Returns a function that trains for one epoch."""
    keras.utils.set_random_seed(0)
    source = PoseSource.from_sequences([sequence], config)
    system = LiftingSystem(LifterConfig(linear_size=width, dropout=DROPOUT), input_skeleton=config.skeleton)
    system.adapt(source.statistics())
    step = tf.Variable(0, dtype=tf.int64, trainable=False)
    run = TrainingStep(system, OptimizationConfig(generator_lr=1e-3), seed=0, step=step, total_steps=10**6)
    batches = iter(source.training_batches(batch_size=batch_size, seed=0))
    done = 0

    def call():
        nonlocal done
        for _ in range(source.count // batch_size):
            scalars = run(next(batches), done=done)
            done += 1
        return scalars["loss/total"].numpy()

    return call


def _standardized(values: np.ndarray) -> np.ndarray:
    flat = values.reshape(len(values), -1)
    return (flat - flat.mean(axis=0)) / flat.std(axis=0)

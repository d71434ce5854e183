"""Trains what corrects the presets' bodies by MoveNet's maps, on features that are computed once.

    python -m create_datasets --lsp --lsp_ext --synthetic=3000
    python tools/train_body_evidence.py --data_dir=data --cache=features --init=lifter.safetensors \
        --output=movenet_body.safetensors

Two goes: first joints' maps, mask and correction together, then the correction anew on maps that are held, with
more weight on outlines. Half of the steps see Thunder's joints beside Lightning's maps, and in a part of the others
joints near the labels with high scores take the place of Lightning's, so that one file serves both presets. The
same networks and losses are trained by `python -m train --flagfile=configs/presets/lightning.cfg`, which runs
MoveNet in every step. Randomness is a function of (seed, step).
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import time

import keras
import numpy as np
import tensorflow as tf
from body_evidence.features import Features, compute

from hpe import skeletons
from hpe.errors import UserError
from hpe.networks.movenet import SIZES
from hpe.runs import released
from hpe.runs.initialization import initialize
from hpe.runs.settings import Settings
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import MoveNetBody
from hpe.systems.movenet_losses import outline_loss
from hpe.systems.settings.movenet import Evidence, MoveNetBodyConfig, MoveNetVersion

_SYNTHETIC = "synthetic_train"
_WARM_UP, _SAVE_EVERY = 40, 100
# In training; one is applied afterwards: on LSP validation the second one has outlines 0.013 better, but a third
# more angles that motion capture does not have.
_CORRECTIONS = 2
# The outline is compared at half the resolution, a quarter of the time.
_COARSER = 2
_LEAST_RATE = 0.02  # Of the highest, at the end.
# Joints near the labels: in so many samples so many joints, off by so much, with such scores.
_NEAR_SAMPLES, _NEAR_JOINTS, _NEAR_OFF, _NEAR_SCORES = 0.25, 0.85, 0.02, (0.5, 0.95)
_SHARED = [
    (skeletons.COCO17.index(name), place)
    for place, name in enumerate(skeletons.LSP14.joints)
    if name in skeletons.COCO17.joints
]
_ABOUT = "From MoveNet's joints and maps to a body, without SMPL, MoSh, AMASS or Human3.6M."
_LICENCE = "MIT; MoveNet, which it needs, is Apache-2.0"


@dataclasses.dataclass(frozen=True)
class Go:
    """One go of training: its steps, rate, weight of the outline, and whether the maps learn."""

    steps: int
    rate: float
    outline: float
    maps: bool


def main() -> int:
    """Computes features, trains, and writes the weights now and then; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", default="data", help="folder of the records")
    parser.add_argument("--datasets", default="lsp_train,lsp_ext", help="photographs, by name")
    parser.add_argument("--cache", required=True, help="folder of the features")
    parser.add_argument("--copies", type=int, default=2, help="crops of each photographed person")
    parser.add_argument("--init", default="lightning", help="weights of the lifter, or a preset")
    parser.add_argument("--output", required=True, help="weights to write, .safetensors")
    parser.add_argument("--map_steps", type=int, default=9000, help="of the first go")
    parser.add_argument("--steps", type=int, default=6000, help="of the second one")
    parser.add_argument("--photographs", type=int, default=24, help="of a batch")
    parser.add_argument("--synthetic", type=int, default=6, help="people of a batch")
    parser.add_argument("--seed", type=int, default=1)
    try:
        train(parser.parse_args())
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def train(arguments) -> None:
    """Trains as the arguments say."""
    keras.utils.set_random_seed(arguments.seed)
    config = MoveNetBodyConfig(
        evidence=Evidence.LIGHTNING,
        corrections=_CORRECTIONS,
        maps_loss_weight=0.2,
        shape_loss_weight=0.01,
        mr_loss_weight=0.0,
    )
    settings = Settings("movenet", config, ImageInput(img_size=SIZES["lightning"].picture))
    written = dataclasses.replace(settings, model=dataclasses.replace(config, corrections=1))
    system = settings.build()
    initialize(system, arguments.init, networks=["lifter"])
    photographs, synthetic = _features(arguments, system)
    goes = (Go(arguments.map_steps, 1.5e-3, 0.03, True), Go(arguments.steps, 5e-4, 0.05, False))
    done = 0
    for go in goes:
        fresh = settings.build()
        system.correction.set_weights(fresh.correction.get_weights())
        step = Step(system, go)
        start, logged = time.time(), []
        for index in range(go.steps):
            batch = _batch(photographs, synthetic, index, arguments)
            logged.append(step(batch, _rate(index, go)))
            done += 1
            if (index + 1) % _SAVE_EVERY == 0 or index + 1 == go.steps:
                released.save(arguments.output, system, written, licence=_LICENCE, about=_ABOUT, step=done)
                means = {name: np.mean([losses[name] for losses in logged]) for name in logged[0]}
                shown = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(f"{done} {shown} {time.time() - start:.0f}s", flush=True)
                logged = []


def _features(arguments, lightning) -> tuple[Features, Features]:
    config = MoveNetBodyConfig(movenet=MoveNetVersion.THUNDER)
    thunder = Settings("movenet", config, ImageInput(img_size=SIZES["thunder"].picture)).build()
    folder, names = pathlib.Path(arguments.cache), arguments.datasets.split(",")
    for name, copies in [*((name, arguments.copies) for name in names), (_SYNTHETIC, 1)]:
        compute(folder, arguments.data_dir, name, lightning=lightning, thunder=thunder, copies=copies)
    return tuple(Features(folder, part, size=lightning.image_size) for part in (names, [_SYNTHETIC]))


def _rate(index: int, go: Go) -> float:
    falling = _LEAST_RATE + (1 - _LEAST_RATE) * 0.5 * (1 + np.cos(np.pi * index / go.steps))
    return min(1.0, (index + 1) / _WARM_UP) * go.rate * falling


def _batch(photographs: Features, synthetic: Features, step: int, arguments) -> dict[str, np.ndarray]:
    generator = np.random.default_rng((arguments.seed, step))
    rows = photographs.rows(np.sort(generator.integers(photographs.count, size=arguments.photographs)))
    if step % 2:
        rows["detections"] = rows["thunder"]
    else:
        near_labels(rows, generator)
    others = synthetic.rows(np.sort(generator.integers(synthetic.count, size=arguments.synthetic)))
    return {name: np.concatenate([values, others[name]]) for name, values in rows.items()}


def near_labels(rows: dict[str, np.ndarray], generator: np.random.Generator) -> None:
    """Puts joints near the labels into a part of the detections, in place."""
    found, labels, weight = rows["detections"], rows["joints2d"], rows["joints2d_weight"]
    for row in np.flatnonzero(generator.random(len(found)) < _NEAR_SAMPLES):
        for theirs, ours in _SHARED:
            if weight[row, ours] > 0 and generator.random() < _NEAR_JOINTS:
                found[row, theirs, :2] = labels[row, ours] + _NEAR_OFF * generator.normal(size=2)
                found[row, theirs, 2] = max(found[row, theirs, 2], generator.uniform(*_NEAR_SCORES))


class Step:
    """A step of AdamW of a go.

    Args:
        system: that is trained; its lifter is held.
        go: which of its networks learn, and the weight of the outline.
    """

    def __init__(self, system: MoveNetBody, go: Go):
        self._system, self._go = system, go
        self._variables = list(system.correction.trainable_variables)
        if go.maps:
            self._variables += system.evidence_maps.trainable_variables
        self._optimizer = keras.optimizers.AdamW(go.rate, weight_decay=1e-2, global_clipnorm=1.0, beta_2=0.99)
        self._optimizer.build(self._variables)
        self._run = tf.function(self._compute)

    def __call__(self, batch, rate: float) -> dict[str, float]:
        """Takes a step and returns the losses."""
        self._optimizer.learning_rate = rate
        losses = self._run({name: tf.constant(values) for name, values in batch.items()})
        return {name: float(value) for name, value in losses.items()}

    def _compute(self, batch):
        system = self._system
        with tf.GradientTape() as tape:
            outputs = system.forward_seen(batch, frozen=("lifter",), vertices=True)
            losses = system.losses(outputs, batch)
            small = batch | {"silhouette": batch["silhouette"][:, 1::_COARSER, 1::_COARSER]}
            outline = outline_loss(
                outputs["stages"][-1], small, system.image_size // _COARSER, measure=system.distances
            )
            total = losses.total + self._go.outline * outline.value
        gradients = tape.gradient(total, self._variables)
        self._optimizer.apply(gradients, self._variables)
        return losses.values() | {"mr_loss": outline.value}


if __name__ == "__main__":
    sys.exit(main())

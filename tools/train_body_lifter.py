"""Trains the network from 2D joints to a body, on postures that are projected on the fly.

    python tools/train_body_lifter.py --mocap=cmu_bvh --output=lifter.safetensors
    python tools/train_body_lifter.py --mocap=cmu_bvh --init=lifter.safetensors --output=labelled.safetensors \
        --labelled=lsp_dataset --labelled=lspet_dataset

No picture is needed; --labelled adds photographs with 2D joints, seen through MoveNet. What is written are released
weights of the system `movenet` without evidence of the picture: `hpe.load` takes them, and

    python -m train --flagfile=configs/presets/lightning.cfg --init_from=labelled.safetensors

goes on from them. docs/models/ says which commands made the presets, how long they took and what came
of them. Randomness is a function of (seed, step).
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

import numpy as np
import tensorflow as tf
from body_lifter import labelled

from hpe import skeletons
from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.datasets.cmu_bvh import read_clips
from hpe.errors import UserError
from hpe.files import Replacement
from hpe.geometry.cameras import weak_perspective_project
from hpe.networks.body_lifter import build_body_lifter, normalize_joints, projector
from hpe.networks.movenet import NUM_JOINTS, SIZES, MoveNet
from hpe.runs import released
from hpe.runs.initialization import initialize
from hpe.runs.settings import Settings
from hpe.synthetic.poses import random_pose
from hpe.synthetic.projected_poses import ProjectedPoses
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import MoveNetBodyConfig

# Shares of what postures are from.
_RANDOM, _CAPTURED = 0.65, 0.35
_WEIGHTS = {"joints3d": 5.0, "rotations": 2.0, "joints2d": 5.0, "shape": 0.01, "labelled": 5.0}
# Where a label lies further off than this share of half the box, it or the detector is wrong.
_FURTHEST = 0.5
_WARM_UP, _SAVE_EVERY = 100, 250
_KEYPOINTS = skeletons.COCOPLUS19
_ABOUT = "From the joints of MoveNet, or of any detector of COCO's 17 joints, to a body."


def main() -> int:
    """Trains, and writes the weights now and then; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mocap", required=True, help="folder of CMU's clips as BVH")
    parser.add_argument("--output", required=True, help="weights to write, .safetensors")
    parser.add_argument("--init", help="weights to start from, .safetensors, or a preset")
    parser.add_argument("--labelled", action="append", default=[], help="folder of LSP or LSP-extended")
    parser.add_argument("--lightning_count", type=int, default=8000, help="pictures seen through Lightning")
    parser.add_argument("--thunder_count", type=int, default=1500, help="pictures seen through Thunder")
    parser.add_argument("--labelled_batch", type=int, default=128, help="people per step from pictures")
    parser.add_argument("--cache", help="npz that keeps postures and MoveNet's joints from run to run")
    parser.add_argument("--random_poses", type=int, default=36000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--final_rate", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    try:
        train(parser.parse_args())
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def train(arguments) -> None:
    """Trains as the arguments say."""
    body_data = load_body_model()
    postures, pictures = _material(arguments, body_data)
    source = ProjectedPoses(
        [(postures["random"], _RANDOM), (postures["captured"], _CAPTURED)],
        skeleton=skeletons.COCO17,
        keypoints=_KEYPOINTS,
    )
    config = MoveNetBodyConfig(lifter_size=arguments.width)
    settings = Settings("movenet", config, ImageInput(img_size=SIZES["lightning"].picture))
    system = settings.build()
    if arguments.init:
        initialize(system, arguments.init, networks=["lifter"])
    lifter = build_body_lifter(
        body_data,
        NUM_JOINTS,
        width=arguments.width,
        num_blocks=config.lifter_blocks,
        num_stages=config.num_stage,
        mixed_precision=True,
    )
    lifter.set_weights(system.lifter.get_weights())
    step = Step(lifter, BodyModel(body_data, _KEYPOINTS.name))
    start, logged = time.time(), []
    for index in range(arguments.steps):
        rate = _rate(index, arguments)
        people = source.batch(step.pose_body, seed=arguments.seed, step=index, count=arguments.batch)
        count = arguments.labelled_batch if pictures else 0
        seen = labelled.batch(pictures or _NO_PICTURES, seed=arguments.seed, step=index, count=count)
        logged.append(step(people, seen, rate))
        if (index + 1) % _SAVE_EVERY == 0 or index + 1 == arguments.steps:
            system.lifter.set_weights(lifter.get_weights())
            released.save(arguments.output, system, settings, licence="MIT", about=_ABOUT, step=index + 1)
            means = np.mean([[values[name] for name in _WEIGHTS] for values in logged], axis=0)
            shown = " ".join(f"{name} {mean:.4f}" for name, mean in zip(_WEIGHTS, means, strict=True))
            print(f"{index + 1} {shown} {time.time() - start:.0f}s", flush=True)
            logged = []


_NO_PICTURES = {"detections": np.zeros((1, 17, 3)), "joints": np.zeros((1, 14, 3))}


def _rate(index, arguments):
    falling = 0.5 * (1.0 + np.cos(np.pi * index / arguments.steps))
    rate = arguments.final_rate + (arguments.rate - arguments.final_rate) * falling
    return min(1.0, (index + 1) / _WARM_UP) * rate


def _material(arguments, body_data):
    """Returns the postures and, of labelled pictures, MoveNet's joints; from the cache where it has them."""
    cache = pathlib.Path(arguments.cache) if arguments.cache else None
    stored = {}
    if cache is not None and cache.is_file():
        with np.load(cache) as content:
            stored = dict(content)
    if "captured" not in stored:
        clips = [clip.pose for clip in read_clips(arguments.mocap, body_data)]
        stored["captured"] = np.concatenate(clips)
    if "random" not in stored:
        generator = np.random.default_rng(arguments.seed)
        poses = [random_pose(generator, max_heading=0.0, max_tilt=0.0) for _ in range(arguments.random_poses)]
        stored["random"] = np.array(poses)
        # They face the camera; here the root is upright in a frame with y up.
        stored["random"][:, :3] = 0.0
    if arguments.labelled and "detections" not in stored:
        samples = [sample for folder in arguments.labelled for sample in labelled.read_lsp(folder)]
        parts = []
        for version, count in (
            ("lightning", arguments.lightning_count),
            ("thunder", arguments.thunder_count),
        ):
            parts.append(labelled.detect(samples, MoveNet(version), count=count))
        stored |= {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if cache is not None:
        with Replacement(cache) as path:
            np.savez(path, **stored)
    return stored, stored if arguments.labelled else None


class Step:
    """One step of AdamW on projected postures, and on labelled people beside.

    Args:
        lifter: a `BodyLifter` of MoveNet's joints.
        body: the `BodyModel`.
    """

    def __init__(self, lifter, body):
        self._lifter, self._body = lifter, body
        self._seen = np.array([_KEYPOINTS.index(joint) for joint in skeletons.COCO17.joints])
        self._labelled = np.array([_KEYPOINTS.index(joint) for joint in skeletons.LSP14.joints])
        self._variables = lifter.trainable_variables
        self._moments = [
            [tf.Variable(tf.zeros(variable.shape), trainable=False) for variable in self._variables]
            for _ in range(2)
        ]
        self._count = tf.Variable(0.0, trainable=False)
        self._project = tf.function(projector(body, range(len(_KEYPOINTS))), jit_compile=True)
        self._pose = tf.function(lambda *parameters: body(*parameters, vertices=False), jit_compile=True)
        self._compare = tf.function(self._comparison, jit_compile=True)
        self._update = tf.function(self._adamw, jit_compile=True)
        self._run = tf.function(self._compute, reduce_retracing=True)

    def pose_body(self, rotmats, shape):
        """Returns joints and keypoints of bodies, NumPy; see `ProjectedPoses.batch`."""
        return {name: value.numpy() for name, value in self._pose(rotmats, shape).items()}

    def __call__(self, people, seen, rate) -> dict[str, float]:
        """Takes a step and returns the losses of the last stage."""
        people = {name: tf.constant(value) for name, value in people.items()}
        seen = {name: tf.constant(value) for name, value in seen.items()}
        return {
            name: float(value)
            for name, value in self._run(people, seen, tf.constant(rate, tf.float32)).items()
        }

    def _compute(self, people, seen, rate):
        detections = tf.concat([people["detections"], seen["detections"]], axis=0)
        count = tf.shape(people["detections"])[0]
        inside, box = normalize_joints(detections)

        def in_box(points, boxes):
            return (points - boxes[:, None, :2]) / boxes[:, None, 2:]

        truth = {name: people[name] for name in ("rotmats", "joints3d", "keypoints3d")}
        truth["joints2d"] = in_box(people["joints2d"], box[:count])
        labels = in_box(seen["joints"][..., :2], box[count:])
        with tf.GradientTape() as tape:
            total = 0.0
            stages = self._lifter(inside, project=self._project_seen, training=True)
            for stage in stages:
                parameters = {name: stage[name] for name in ("rotmats", "shape", "camera")}
                first = {name: value[:count] for name, value in parameters.items()}
                others = {name: value[count:] for name, value in parameters.items()}
                losses = self._compare(first, truth)
                losses["labelled"] = self._label_loss(others, labels, seen["joints"][..., 2])
                total += sum(_WEIGHTS[name] * value for name, value in losses.items())
        gradients = tape.gradient(total, [variable.value for variable in self._variables])
        self._update(gradients, rate)
        return losses

    def _project_seen(self, parameters):
        tensors = {name: parameters[name] for name in ("rotmats", "shape", "camera")}
        return tf.gather(self._project(tensors), self._seen, axis=1)

    def _comparison(self, parameters, truth):
        posed = self._body(parameters["rotmats"], parameters["shape"], vertices=False)
        root, true_root = posed["joints"][:, :1], truth["joints3d"][:, :1]
        points = weak_perspective_project(posed["keypoints"], parameters["camera"])
        distances = [
            tf.reduce_mean(tf.abs((posed[name] - root) - (truth[true] - true_root)))
            for name, true in (("joints", "joints3d"), ("keypoints", "keypoints3d"))
        ]
        return {
            "joints3d": distances[0] + distances[1],
            "rotations": tf.reduce_mean(tf.square(parameters["rotmats"] - truth["rotmats"])),
            "joints2d": tf.reduce_mean(tf.abs(points - truth["joints2d"])),
            "shape": tf.reduce_mean(tf.square(parameters["shape"])),
        }

    def _label_loss(self, parameters, labels, weights):
        points = tf.gather(self._project(parameters), self._labelled, axis=1)
        errors = tf.minimum(tf.abs(points - labels), _FURTHEST) * weights[..., None]
        errors = tf.reduce_sum(errors) / (2.0 * tf.reduce_sum(weights) + 1e-6)
        shape = tf.math.divide_no_nan(
            tf.reduce_sum(tf.square(parameters["shape"])), tf.cast(tf.size(parameters["shape"]), tf.float32)
        )
        return 0.5 * errors + 0.001 * shape

    def _adamw(self, gradients, rate, beta_1=0.9, beta_2=0.99, decay=1e-2, largest_norm=1.0):
        """Decoupled weight decay and clipped gradients; one compiled function, as there are many small weights."""
        norm = tf.linalg.global_norm(gradients)
        clip = tf.minimum(1.0, largest_norm / (norm + 1e-9))
        self._count.assign_add(1.0)
        first_bias, second_bias = 1.0 - beta_1**self._count, 1.0 - beta_2**self._count
        for variable, gradient, first, second in zip(self._variables, gradients, *self._moments, strict=True):
            gradient = gradient * clip
            first.assign(beta_1 * first + (1.0 - beta_1) * gradient)
            second.assign(beta_2 * second + (1.0 - beta_2) * tf.square(gradient))
            change = (first / first_bias) / (tf.sqrt(second / second_bias) + 1e-7)
            variable.assign(variable.value - rate * (change + decay * variable.value))


if __name__ == "__main__":
    sys.exit(main())

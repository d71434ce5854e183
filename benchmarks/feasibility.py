"""What the measures of feasibility say about real poses and about none: the numbers beside which to read a report.

`python -m benchmarks.feasibility --data_dir=data --mocap_datasets=CMU,jointLim` sets a tenth of the motion capture
aside, takes the rest as reference, and measures

- the poses set aside, every tenth frame: their neighbours in time are in the reference;
- the same with whole passages set aside, every tenth run of 200 frames: nobody's neighbour in time is;
- the mean pose of the body, which the regressor starts from;
- poses whose joints are each of another frame: every joint as in people, together none of theirs;
- poses of random rotations.

At most 1,000 poses of each (the mean pose is one). Shapes are unit-normal, as the default body's are by
construction; joints are those of the default body.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np

from hpe.body.body_model import BodyModel
from hpe.body.data import NUM_SHAPES, load_body_model
from hpe.evaluation import registry
from hpe.evaluation.feasibility import Comparison, FeasibilityReference, read_poses
from hpe.evaluation.judged import Judged
from hpe.evaluation.report import Metric
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.systems.prediction import Prediction

EVERY = 10  # One in so many is set aside.
PASSAGE = 200  # Consecutive frames, some seconds.
PEOPLE = 1000  # That are measured, at most.
METRICS = (
    *("angles_outside_limits@mocap", "nearest_mocap_pose@mocap", "limb_asymmetry@body"),
    *("shape_beyond_3@body", "mean_abs_shape@body"),
)
_RANDOM_ANGLE = 0.5  # Standard deviation of each component of a random axis-angle, radians.


@dataclasses.dataclass(frozen=True)
class FeasibilityConfig:
    """Which motion capture."""

    data_dir: str = option("data", "Folder of the records.")
    mocap_datasets: tuple[str, ...] = option(("CMU", "jointLim"), "Mocap sets: neutrSMPL_<NAME>_*.tfrecord.")

    def __post_init__(self):
        if not self.mocap_datasets:
            raise ValueError("--mocap_datasets must name at least one set. Received: mocap_datasets=()")


def set_aside(sets, passage: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Splits sets of poses (M, 72) into those kept and, one array, those set aside.

    Args:
        sets: of poses, in the order of their recordings.
        passage: consecutive frames that stay together; every `EVERY`-th passage of a set is set aside.
    """
    aside = [np.arange(len(poses)) // passage % EVERY == EVERY // 2 for poses in sets]
    kept = [poses[~rows] for poses, rows in zip(sets, aside, strict=True)]
    return kept, np.concatenate([poses[rows] for poses, rows in zip(sets, aside, strict=True)])


def judge(poses, reference: FeasibilityReference, body: BodyModel):
    """Returns the metrics of poses (N, 72) on bodies of unit-normal shapes."""
    generator = np.random.default_rng(0)
    if len(poses) > PEOPLE:
        poses = poses[np.linspace(0, len(poses) - 1, PEOPLE).astype(int)]
    rotmats = axis_angle_to_rotmat(np.reshape(poses, (-1, 24, 3)).astype(np.float32))
    shape = generator.normal(size=(len(poses), NUM_SHAPES)).astype(np.float32)
    joints3d = keras.ops.convert_to_numpy(body(rotmats, shape, vertices=False)["keypoints"])
    rotmats = keras.ops.convert_to_numpy(rotmats)
    skeleton = body.keypoints
    prediction = Prediction(
        skeleton, joints2d=joints3d[..., :2], joints3d=joints3d, pose=rotmats, shape=shape
    )
    judged = Judged({"name": np.zeros(len(poses), "S1")}, prediction, body, skeleton, skeleton)
    found = []
    for name in METRICS:
        measure = registry.measure(name)
        measure.comparison = Comparison(reference)
        measure.add(judged)
        total = np.nansum(measure.rows(), axis=0)
        found.append(Metric(name, measure.value(total), registry.parse(name).family.unit))
    return found


def groups(sets, body: BodyModel) -> dict[str, tuple[FeasibilityReference, np.ndarray]]:
    """Returns the reference and the poses of every row of the table."""
    generator = np.random.default_rng(1)
    kept, frames = set_aside(sets, 1)
    reference = FeasibilityReference(kept)
    kept, passages = set_aside(sets, PASSAGE)
    joints = np.concatenate(sets).reshape(-1, 24, 3)
    mixed = joints[generator.integers(0, len(joints), (PEOPLE, 24)), np.arange(24)]
    return {
        "mocap, frames set aside": (reference, frames),
        "mocap, passages set aside": (FeasibilityReference(kept), passages),
        "mean pose": (reference, np.asarray(body.data.mean_pose)[None]),
        "each joint of another frame": (reference, mixed),
        "random rotations": (reference, generator.normal(scale=_RANDOM_ANGLE, size=(PEOPLE, 24, 3))),
    }


def main() -> None:
    """Prints the table, as Markdown."""
    config = program_flags.read(FeasibilityConfig)
    sets = read_poses(config.data_dir, config.mocap_datasets)
    body = BodyModel(load_body_model())
    sizes = zip(config.mocap_datasets, sets, strict=True)
    print(", ".join(f"{name}: {len(poses)} frames" for name, poses in sizes) + "\n")
    for row, (name, (reference, poses)) in enumerate(groups(sets, body).items()):
        metrics = judge(poses, reference, body)
        if not row:
            titles = [f"{metric.name}, {metric.unit}".rstrip(", ") for metric in metrics]
            print("| poses | " + " | ".join(titles) + " |")
            print("|---" * (len(titles) + 1) + "|")
        print(f"| {name} | " + " | ".join(f"{metric.value:.2f}" for metric in metrics) + " |")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(FeasibilityConfig)


if __name__ == "__main__":
    define_flags()
    program_flags.run(main)

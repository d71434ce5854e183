"""Golden runs: short trainings from fixed seeds whose errors must stay below stated figures.

Accuracy must not get worse without anybody noticing. Each limit is a tenth worse than what the code yielded when it
was written down, which stands beside it: draws are the same on every machine, rounding is not.
"""

import numpy as np
import pytest

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.datasets.pose_sequence import Keypoints, PoseSequence, SequenceSource
from hpe.geometry.cameras import perspective_project
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.pipeline import PipelineConfig, PosePipelineConfig
from hpe.records.mocap import write_frames
from hpe.records.poses import write_sequences
from hpe.records.writing import write_dataset
from hpe.runs import RunDirectory
from hpe.synthetic.people import SyntheticConfig
from hpe.synthetic.poses import random_pose
from hpe.synthetic.source import frames, synthetic
from hpe.systems.hybrid_hmr import HybridHmrConfig
from hpe.systems.lifter import InputFrame, LifterConfig, LifterLoss
from hpe.training.config import LearningRateSchedule, OptimizationConfig, TrainingConfig
from hpe.training.loop import train
from hpe.training.settings import RunConfig

LENS = {
    "f": np.float32([1145, 1144]),
    "c": np.float32([512, 515]),
    "k": np.zeros(3, np.float32),
    "p": np.zeros(2, np.float32),
}


def moving_person(count, seed):
    """Random natural poses of the default body, four to six metres from a camera, as one sequence."""
    rng = np.random.default_rng(seed)
    poses = np.stack([random_pose(rng, tries=1) for _ in range(count)]).reshape(-1, 24, 3)
    body = BodyModel(load_body_model(), keypoints="h36m17")
    posed = body(axis_angle_to_rotmat(poses), np.zeros((count, 10), np.float32), vertices=False)
    joints3d = np.asarray(posed["keypoints"])
    joints3d = joints3d - joints3d[:, :1] + rng.uniform([-1, -0.5, 4], [1, 0.5, 6], (count, 1, 3))
    joints2d = np.asarray(perspective_project(np.float32(joints3d), *LENS.values()), np.float32)
    return PoseSequence(
        name=f"S{seed}/Walking/cam",
        subject=f"S{seed}",
        action="Walking",
        camera="cam",
        joints3d=np.float32(joints3d),
        keypoints={"gt": Keypoints("h36m17", joints2d)},
        **LENS,
    )


@pytest.mark.slow
def test_the_lifter_on_synthetic_mocap(tmp_path):
    for name, count, seed in (("moves", 1500, 1), ("others", 300, 2)):
        person = moving_person(count, seed)
        write_sequences(
            SequenceSource(name, 1, lambda person=person: iter([person])), tmp_path, progress=False
        )
    config = RunConfig(
        "lifter",
        LifterConfig(
            linear_size=128,
            num_blocks=1,
            dropout=0.1,
            input_frame=InputFrame.CROP,
            lifter_loss=LifterLoss.MPJPE,
        ),
        PosePipelineConfig(),
        TrainingConfig(
            data_dir=str(tmp_path),
            datasets=("moves",),
            val_datasets=("others",),
            batch_size=100,
            num_epochs=40,
            validation_epochs=40,
            log_every=100,
            seed=1,
        ),
        OptimizationConfig(
            generator_lr=2e-3, lr_schedule=LearningRateSchedule.COSINE, warmup_epochs=1.0, ema_decay=0.99
        ),
    )
    measured = train(config, RunDirectory(tmp_path / "run"), show_progress=False).evaluation
    assert measured.find("mpjpe").value < 84  # 76.7 mm
    assert measured.find("pa_mpjpe").value < 66  # 59.7 mm


@pytest.mark.slow
def test_the_hybrid_hmr_on_synthetic_people(tmp_path):
    """Sixty-four people, on whom it is also judged: what is held is that it learns, and how fast."""
    people = synthetic(64, SyntheticConfig(heading=60.0), body_model="default")
    write_dataset(
        map(people.load, people.items), tmp_path, "people", skeleton=people.skeleton, progress=False
    )
    write_frames(frames(200, seed=0), tmp_path, "synthetic")
    config = RunConfig(
        "hybrid_hmr",
        HybridHmrConfig(
            encoder="small",
            encoder_weights="synthetic",
            num_stage=2,
            dropout=0.1,
            compile_body=False,
            use_mesh_repro_loss=True,
            joints3d_loss_weight=300.0,
            body_loss_weight=60.0,
        ),
        PipelineConfig(img_size=48),
        TrainingConfig(
            data_dir=str(tmp_path),
            datasets=("people",),
            val_datasets=("people",),
            mocap_datasets=("synthetic",),
            batch_size=16,
            num_epochs=25,
            validation_epochs=25,
            log_every=100,
            seed=1,
        ),
        OptimizationConfig(generator_lr=7e-4, lr_schedule=LearningRateSchedule.COSINE),
    )
    measured = train(config, RunDirectory(tmp_path / "run"), show_progress=False).evaluation
    assert measured.find("keypoint_loss").value < 4.4  # 3.93
    assert measured.find("silhouette_iou@picture").value > 0.41  # 0.461
    assert measured.find("mpjpe").value < 200  # 182.2 mm

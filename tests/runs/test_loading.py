"""Two runs as one system, from their run directories."""

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.inference.predictor import Predictor
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.runs import RunDirectory, load
from hpe.runs.store import CheckpointStore
from hpe.systems import hrnet
from hpe.systems.hrnet import HrnetConfig
from hpe.systems.lifter import InputFrame, LifterConfig
from hpe.training.config import TrainingConfig
from hpe.training.settings import RunConfig, write_config
from tests.networks.strided_backbone import strided_backbone


def write_run(path, config):
    """Writes a run of random weights."""
    run = RunDirectory(path)
    write_config(run, config)
    system = config.build_system()
    if config.system == "lifter":
        rng = np.random.default_rng(0)
        joints3d = rng.normal(size=(20, 17, 3)).astype(np.float32)
        joints2d = rng.normal(size=(20, *system.input_shape)).astype(np.float32)
        system.adapt({"joints2d": joints2d, "joints3d": joints3d})
    CheckpointStore(run.checkpoints, system, step=tf.Variable(7, dtype=tf.int64)).save()
    return path


@pytest.fixture(scope="module", autouse=True)
def quick_hrnet():
    """HRNet takes seconds to build, and every test restores one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet, "build_hrnet", strided_backbone)
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    training = TrainingConfig()
    hrnet = RunConfig("hrnet", HrnetConfig(hrnet_width=2), PipelineConfig(img_size=32), training)
    small = {"linear_size": 8, "dropout": 0.0}
    crop = LifterConfig(**small, input_frame=InputFrame.CROP)
    poses = PosePipelineConfig(keypoints="sh")
    return {
        "hrnet": write_run(folder / "hrnet", hrnet),
        "crop": write_run(folder / "crop", RunConfig("lifter", crop, poses, training)),
        "image": write_run(folder / "image", RunConfig("lifter", LifterConfig(**small), poses, training)),
    }


def test_two_runs_become_one_predictor(runs):
    loaded = load(runs["hrnet"], lifter=runs["crop"])
    assert (loaded.system.name, loaded.settings.system, loaded.step) == ("hrnet_lifter", "hrnet", 7)
    assert load(runs["hrnet"], lifter=runs["crop"], system="hrnet_lifter").system.name == "hrnet_lifter"
    prediction = Predictor(loaded.system).predict_one(np.zeros((32, 32, 3), np.uint8))
    assert prediction.joints3d.shape == (1, 17, 3)
    # The statistics came with the checkpoint.
    alone = load(runs["crop"])
    expected = np.random.default_rng(0).normal(size=(20, 17, 3)).astype(np.float32)[:, 1:].mean(axis=0)
    means = [v.numpy() for v in alone.system.standardization.variables if v.path.endswith("output_mean")]
    np.testing.assert_allclose(means[0], expected, atol=1e-6)


def test_one_run_by_its_own_name(runs):
    assert load(runs["hrnet"], system="hrnet").system.name == "hrnet"


@pytest.mark.parametrize(
    ("name", "checkpoint", "lifter", "message"),
    [
        ("hrnet_lifter", "hrnet", None, "system=hrnet_lifter: needs its second stage"),
        (
            "hrnet_lifter",
            "crop",
            "crop",
            "checkpoint=.*: hrnet_lifter needs a run of hrnet here, not of lifter",
        ),
        ("hrnet_lifter", "hrnet", "hrnet", "lifter_checkpoint=.*needs a run of lifter here, not of hrnet"),
        ("hrnet_lifter", "hrnet", "image", "trained on pixels of its cameras"),
        ("lifter", "hrnet", None, "system=lifter: .*hrnet.*ckpt-7 is of hrnet"),
        ("pare", "hrnet", None, "system=pare: .*hrnet.*ckpt-7 is of hrnet"),
    ],
)
def test_what_does_not_fit_is_one_line(runs, name, checkpoint, lifter, message):
    with pytest.raises(UserError, match=message):
        load(runs[checkpoint], lifter=runs.get(lifter), system=name)


def test_a_body_model_is_refused(runs):
    with pytest.raises(UserError, match=r"body_model=a\.pkl: hrnet has no body model"):
        load(runs["hrnet"], body_model="a.pkl")

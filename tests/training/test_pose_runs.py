"""A run on poses: its statistics and its course come back when it is resumed, and it is judged by what it lifts."""

import collections
import dataclasses
import json
import pathlib
import shutil
import sys

import numpy as np
import pytest
from tensorflow.python.framework import ops
from tensorflow.python.ops import resource_variable_ops

from hpe.datasets.pose_sequence import SequenceSource
from hpe.errors import UserError
from hpe.inference.predictor import Predictor
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.records.poses import write_sequences
from hpe.runs import RunDirectory, load
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.systems.lifter import InputFrame, LifterConfig, LifterLoss
from hpe.training.config import OptimizationConfig, TrainingConfig
from hpe.training.data import open_source
from hpe.training.loop import train
from hpe.training.settings import RunConfig
from hpe.training.step import TrainingStep
from tests.pipeline import poses

STEPS = 2


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poses")
    sequences = [poses.sequence(12, seed) for seed in range(2)]
    write_sequences(SequenceSource("people", 2, lambda: iter(sequences)), folder, progress=False)
    return RunConfig(
        "lifter",
        LifterConfig(
            linear_size=16,
            num_blocks=1,
            dropout=0.2,
            input_frame=InputFrame.RAY,
            lifter_loss=LifterLoss.MPJPE,
            max_norm=True,
        ),
        PosePipelineConfig(reproject=True, bone_max=0.1, undistort=True),
        TrainingConfig(
            data_dir=str(folder),
            datasets=("people",),
            val_datasets=("people",),
            batch_size=8,
            max_steps=STEPS,
            checkpoint_steps=1,
            eager=True,
            seed=3,
        ),
        OptimizationConfig(generator_lr=1e-3, ema_decay=0.9, clip_norm=1.0),
    )


def go(config, path, *, steps=STEPS, resume=False):
    changes = {"max_steps": steps, "use_validation": steps == STEPS}
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))
    run = RunDirectory(path)
    return train(config, run, resume=resume, show_progress=False)


def values(path):
    """All that the last checkpoint of a run holds: weights, averages, statistics, moments, step."""
    checkpoint = Checkpoint(latest_checkpoint(RunDirectory(path).checkpoints))
    return {name: checkpoint.read(name) for name in checkpoint.shapes}


def test_nothing_is_read_from_the_device_but_in_steps_that_log(config, tmp_path, monkeypatch):
    settings = {"batch_size": 4, "max_steps": 6, "log_every": 3, "eager": False}
    settings |= {"checkpoint_steps": 99, "use_validation": False}
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **settings))
    reads, ours = collections.Counter(), collections.Counter()
    done, call = 0, TrainingStep.__call__

    def counted(kind, name):
        read = getattr(kind, name)

        def watched(tensor, *arguments, **options):
            reads[done] += 1
            ours[done] += "hpe" in pathlib.Path(sys._getframe(1).f_code.co_filename).parts
            return read(tensor, *arguments, **options)

        monkeypatch.setattr(kind, name, watched)

    def step(self, *arguments, **options):
        nonlocal done
        done += 1
        return call(self, *arguments, **options)

    monkeypatch.setattr(TrainingStep, "__call__", step)
    for kind in (ops._EagerTensorBase, resource_variable_ops.BaseResourceVariable):
        for name in ("numpy", "__int__", "__float__", "__bool__", "__index__", "__array__"):
            if hasattr(kind, name):
                counted(kind, name)
    train(config, RunDirectory(tmp_path / "run"), show_progress=False)
    # Before the first step the run is built; at the end of an epoch a checkpoint is written, too.
    assert reads.keys() == {0, 3, 6}
    assert ours[3] == 1  # TensorBoard's writer reads what lies on the host by then


def test_a_resumed_run_ends_as_an_undisturbed_one_and_predicts_the_same(config, tmp_path):
    result = go(config, tmp_path / "whole")
    go(config, tmp_path / "resumed", steps=STEPS - 1)
    resumed = go(config, tmp_path / "resumed", resume=True)
    expected, found = values(tmp_path / "whole"), values(tmp_path / "resumed")
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    measured = result.evaluation.values()
    assert measured == resumed.evaluation.values()
    expected = {"mpjpe@h36m17", "pa_mpjpe@h36m17", "mpjpe_actions@h36m17", "mpjpe@h36m17/Walking"}
    assert expected <= measured.keys()

    # From the checkpoint alone: the statistics are in it.
    loaded = load(tmp_path / "whole")
    predictor, step = Predictor(loaded.system), loaded.step
    assert step == STEPS
    statistics = open_source(config, ["people"]).statistics()
    seen = np.asarray(predictor.system.standardized(statistics["joints2d"]))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-3)


def test_a_run_does_not_go_on_with_other_data(config, tmp_path):
    def write(count, *, first=0):
        sequences = [poses.sequence(12, seed) for seed in range(first, first + count)]
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        write_sequences(
            SequenceSource("people", count, lambda: iter(sequences)), tmp_path / "data", progress=False
        )

    changes = {"data_dir": str(tmp_path / "data")}
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))
    write(2)
    go(config, tmp_path / "run", steps=1)
    write(3)
    with pytest.raises(
        UserError, match=r"36 poses now, 24 then; 3 records of people now, 2 then\); give .*`data_dir`"
    ):
        go(config, tmp_path / "run", resume=True)
    write(2, first=1)
    with pytest.raises(
        UserError, match=r"began with \(as many records of people as then, but others\); give"
    ):
        go(config, tmp_path / "run", resume=True)

    # A run of before digests were noted, and records that are made anew of the same.
    settings = RunDirectory(tmp_path / "run").params
    content = json.loads(settings.read_text())
    digest = content["data"].pop("digest of people")
    settings.write_text(json.dumps(content))
    write(2)
    assert open_source(config, ["people"]).shards[0].digest == digest
    assert go(config, tmp_path / "run", resume=True).step == STEPS

"""A run in one step that writes everything, the test of a finished run, and rates that a plateau lowers."""

import dataclasses
import json

import numpy as np
import pytest

from hpe.errors import SettingError, UserError
from hpe.evaluation.judging import Evaluation
from hpe.evaluation.report import Metric
from hpe.pipeline import PipelineConfig
from hpe.runs import RunDirectory
from hpe.systems.settings.pare import Method, PareConfig
from hpe.training.config import LearningRateSchedule, OptimizationConfig
from hpe.training.history import read_history
from hpe.training.loop import train
from hpe.training.settings import RunConfig
from tests.written_people import run_config

BASELINE = PareConfig(method=Method.BASELINE, skeleton="spin49", compile_body=False)


def config(data, *, optimization=None, **training) -> RunConfig:
    """Settings of a small run of the smallest network of bodies."""
    common = run_config(data, **{"use_validation": True, **training}).training
    pipeline = PipelineConfig(img_size=16, shuffle_buffer=20)
    return RunConfig("pare", BASELINE, pipeline, common, OptimizationConfig(**(optimization or {})))


def test_a_fast_dev_run_is_one_batch_each_and_writes_everything(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    result = train(config(data, fast_dev_run=True, max_steps=None), run, show_progress=False)
    assert (result.step, result.interrupted) == (1, None)
    assert [(entry.step, entry.kind) for entry in read_history(run.history)] == [
        (1, "train"),
        (1, "validation"),
    ]
    assert result.evaluation.find("keypoint_loss@cocoplus19").count == 4
    assert {path.name for path in run.checkpoints.glob("*.index")} == {"ckpt-1.index"}
    test = json.loads((run.path / "test.json").read_text())
    assert (test["step"], test["datasets"]) == (1, ["people"])
    joints = np.loadtxt(run.path / "test_pred_joints.csv", delimiter=",")
    assert joints.shape == (4, 147)
    assert np.isfinite(joints).all()


def test_a_plateau_lowers_the_rates_and_a_resumed_run_knows_it(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    schedule = {
        "lr_schedule": LearningRateSchedule.PLATEAU,
        "lr_plateau_metric": "mpjpe",
        "lr_plateau_patience": 1,
        "lr_step_factor": 0.5,
        "generator_lr": 0.01,
    }
    settings = config(
        data, optimization=schedule, max_steps=3, validation_step_size=1, log_every=1, checkpoint_steps=1
    )

    def standstill(predictor):
        return Evaluation([Metric("mpjpe@lsp14", 100.0)], [])

    train(settings, run, evaluate=standstill, show_progress=False)
    longer = dataclasses.replace(settings, training=dataclasses.replace(settings.training, max_steps=4))
    train(longer, run, evaluate=standstill, resume=True, show_progress=False)
    rates = [
        entry.values["run/learning_rate_main"] for entry in read_history(run.history) if entry.kind == "train"
    ]
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0025])


def test_a_plateau_needs_what_it_is_told_by(data, tmp_path):
    for options, message in (
        ({"lr_schedule": LearningRateSchedule.PLATEAU}, "needs `lr_plateau_metric`"),
        ({"lr_plateau_metric": "mpjpe"}, "needs `lr_schedule=plateau`, not constant"),
        (
            {"lr_schedule": LearningRateSchedule.PLATEAU, "lr_plateau_metric": "speed"},
            "lr_plateau_metric: 'speed' is no metric",
        ),
    ):
        with pytest.raises(SettingError, match=message):
            OptimizationConfig(**options)
    plateau = {"lr_schedule": LearningRateSchedule.PLATEAU, "lr_plateau_metric": "mpjpe"}
    with pytest.raises(UserError, match="nothing is validated"):
        train(config(data, optimization=plateau, use_validation=False), RunDirectory(tmp_path / "run"))

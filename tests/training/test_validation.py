"""Early stopping and the best checkpoint in a run, and the same ones after a kill at any moment."""

import itertools
import json
import os
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from hpe import files
from hpe.errors import UserError
from hpe.evaluation.judging import Evaluation
from hpe.evaluation.report import Metric
from hpe.fields import Needs
from hpe.runs import RunDirectory
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.training import loop
from hpe.training.history import read_history
from hpe.training.loop import train
from hpe.training.settings import RunConfig, read_config
from tests.written_people import run_config

# By step: the best is that of step 3, and from step 5 on nothing gets better any more.
VALUES = {1: 0.2, 2: 0.3, 3: 0.6, 4: 0.5, 5: 0.4, 6: 0.1}
SETTINGS = {
    "max_steps": 8,
    "validation_step_size": 1,
    "checkpoint_steps": 2,
    "early_stopping_metric": "silhouette_iou",
    "early_stopping_patience": 2,
    "keep_best_metric": "silhouette_iou",
}


class Killed(BaseException):
    """Stands for kill -9: nothing of the run may act on it."""


class System:
    """A network of one variable: these tests are about the loop around it."""

    input_key = "image"
    body_models = ()

    def __init__(self):
        self.needs = Needs(fields=("image",), skeleton2d="lsp14")
        self.training_networks = {}
        self.networks = {
            "net": types.SimpleNamespace(
                name="net", variables=[keras.Variable(np.zeros(2, np.float32), name="weight")]
            )
        }

    def adapt(self, statistics):
        """Needs nothing."""

    def infer(self, images):
        return images


class Step:
    """Changes the variable by what is in the batch and the step it is at."""

    average = None
    last: "Step"

    def __init__(self, system, *_, step, **__):
        self.system = system
        (self.weights,) = system.networks["net"].variables
        self.step, self.bad_steps = step, tf.Variable(0, dtype=tf.int64)
        self.optimizers = {
            "main": types.SimpleNamespace(name="adam", variables=[keras.Variable(0.0, name="rate")])
        }
        Step.last = self

    def __call__(self, batch, **_):
        self.step.assign_add(1)
        self.weights.assign(0.5 * self.weights.value + [float(batch["number"]), float(self.step)])
        return {"loss/total": tf.constant(1.0), "run/bad_steps": tf.constant(0.0)}


def batches(config, source, needs, distribution, *, start_step):
    return ({"number": tf.constant(float(step))} for step in itertools.count(start_step))


@pytest.fixture(scope="module", autouse=True)
def _small_parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "TrainingStep", Step)
        patch.setattr(loop, "training_batches", batches)
        patch.setattr(RunConfig, "build_system", lambda self, **_: System())
        yield


class Validation:
    """Measures what `VALUES` says of the step that a run is at; `killed_at` names the steps that it dies in."""

    def __init__(self, *, killed_at=()):
        self.killed_at = set(killed_at)

    def __call__(self, predictor):
        step = int(Step.last.step)
        if step in self.killed_at:
            self.killed_at.remove(step)
            raise Killed
        return Evaluation([Metric("silhouette_iou", VALUES[step]), Metric("images", 12)], [])


def go(config, run, evaluate, *, resume=False):
    return train(config, run, resume=resume, evaluate=evaluate, show_progress=False)


def config_of(data, **changes):
    return run_config(data, **{**SETTINGS, **changes})


def networks(directory):
    checkpoint = Checkpoint(latest_checkpoint(directory))
    return {
        name: checkpoint.read(name) for name in checkpoint.shapes if name.startswith(("networks/", "best_"))
    }


def validated(run):
    return [(e.step, e.values["silhouette_iou"]) for e in read_history(run.history) if e.kind == "validation"]


def best_of(run):
    return json.loads((run.best / "best.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """A run that stops early at step 5 and keeps step 3."""
    run = RunDirectory(tmp_path_factory.mktemp("undisturbed") / "run")
    return run, go(config_of(data), run, Validation())


def test_a_run_stops_early_and_keeps_its_best(undisturbed, data):
    run, result = undisturbed
    assert (result.step, result.best) == (5, (0.6, 3))
    assert result.stopped_early == "silhouette_iou has not improved on 0.6 of step 3 in 2 validations"
    assert best_of(run) == {"metric": "silhouette_iou", "value": 0.6, "step": 3}
    assert latest_checkpoint(run.checkpoints).endswith("ckpt-5")  # no step had asked for it
    assert [path.name for path in (run.best / "checkpoints").glob("*.index")] == ["ckpt-3.index"]
    assert read_config(RunDirectory(run.best)) == read_config(run)
    resumed = go(config_of(data), run, Validation(), resume=True)
    assert resumed.was_finished
    assert (resumed.step, resumed.stopped_early) == (5, result.stopped_early)
    assert [step for step, _ in validated(run)] == [1, 2, 3, 4, 5]


def test_more_patience_lets_a_run_go_on(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    assert go(config_of(data, early_stopping_patience=1), run, Validation()).step == 4
    assert go(config_of(data, early_stopping_patience=3), run, Validation(), resume=True).step == 6


def test_networks_alone_are_no_run_to_go_on_with(undisturbed, data):
    run, _ = undisturbed
    with pytest.raises(
        UserError, match=r"ckpt-3: holds networks alone, .*start a new run from it with `init"
    ):
        go(config_of(data), RunDirectory(run.best), Validation(), resume=True)


@pytest.mark.parametrize("moment", ["checkpoint", "validation", "best", "best.json", "history"])
def test_a_killed_run_ends_like_the_undisturbed_one(undisturbed, data, tmp_path, monkeypatch, moment):
    expected, result = undisturbed
    run, config = RunDirectory(tmp_path / "run"), config_of(data)
    # There is a checkpoint of step 2, and none of step 3.
    evaluate = Validation(killed_at={"checkpoint": [2], "validation": [3]}.get(moment, []))

    write, calls = files.write_text, []

    def dying(path, text, **options):
        """Writes `best.json`, but for the third time: the best of step 3 is there, the checkpoint that of 2."""
        calls.extend([path] if path.name == "best.json" else [])
        third = path.name == "best.json" and len(calls) == 3
        if third and moment == "best":
            raise Killed
        write(path, text, **options)
        if third and moment == "best.json":
            raise Killed

    monkeypatch.setattr(files, "write_text", dying)
    told = loop.RunLog.validation

    def dying_too(self, evaluation, step):
        """Writes the line of the history; the run dies after that of step 5, which has no checkpoint yet."""
        told(self, evaluation, step)
        if step == 5 and moment == "history" and not calls.count("history"):
            calls.append("history")
            raise Killed

    monkeypatch.setattr(loop.RunLog, "validation", dying_too)

    with pytest.raises(Killed):
        go(config, run, evaluate)
    resumed = go(config, run, evaluate, resume=True)
    assert (resumed.step, resumed.stopped_early, resumed.best) == (5, result.stopped_early, result.best)
    assert validated(run) == validated(expected)
    assert best_of(run) == best_of(expected)
    for directory in ("checkpoints", "best/checkpoints"):
        there = networks(expected.path / directory)
        here = networks(run.path / directory)
        assert here.keys() == there.keys()
        for name, value in there.items():
            np.testing.assert_array_equal(here[name], value, err_msg=name)


def test_a_signal_in_a_validation_changes_nothing(undisturbed, data, tmp_path):
    expected, result = undisturbed
    run, config = RunDirectory(tmp_path / "run"), config_of(data)
    evaluate = Validation()

    def interrupted(predictor):
        if int(Step.last.step) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(predictor)

    assert go(config, run, interrupted).interrupted == "SIGTERM"
    resumed = go(config, run, evaluate, resume=True)
    assert (resumed.step, resumed.stopped_early) == (5, result.stopped_early)
    assert validated(run) == validated(expected)
    assert best_of(run) == best_of(expected)


def test_a_best_of_another_metric_is_replaced(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    config = config_of(data, max_steps=1, early_stopping_metric=None)
    go(config, run, Validation())
    evaluate = lambda predictor: Evaluation([Metric("mpjpe", 99.0)], [])  # noqa: E731
    changed = config_of(data, max_steps=2, early_stopping_metric=None, keep_best_metric="mpjpe")
    assert go(changed, run, evaluate, resume=True).best == (99.0, 2)
    assert best_of(run) == {"metric": "mpjpe", "value": 99.0, "step": 2}
    (run.best / "checkpoints" / "ckpt-2.index").write_bytes(b"garbage")
    with pytest.raises(
        UserError, match=r"ckpt-2: is not a readable checkpoint .*delete .*best to keep the best"
    ):
        go(changed, run, evaluate, resume=True)


def test_metrics_that_are_not_there_are_named(data, tmp_path):
    with pytest.raises(UserError, match="early_stopping_metric=silhouette_iou: nothing is validated"):
        go(config_of(data), RunDirectory(tmp_path / "none"), None)
    assert not (tmp_path / "none").exists()
    run = RunDirectory(tmp_path / "run")
    config = config_of(data, max_steps=1, keep_best_metric="pve")
    message = "keep_best_metric=pve: the validation does not yield it; it yields silhouette_iou. Resume"
    with pytest.raises(UserError, match=message):
        go(config, run, Validation())
    # Nothing is lost: the run goes on by another metric.
    resumed = go(config_of(data, max_steps=1), run, Validation(), resume=True)
    assert resumed.best == (0.2, 1)

"""The loop, in this process: what a run writes, and every way in which it can end and go on."""

import dataclasses
import os
import random
import signal
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpe.errors import UserError
from hpe.evaluation.judging import Evaluation
from hpe.evaluation.report import Metric
from hpe.inference.predictor import Predictor
from hpe.losses.means import Mean
from hpe.runs import RunDirectory, load
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.systems.base import Losses
from hpe.training import loop
from hpe.training.history import read_history
from hpe.training.loop import train
from hpe.training.settings import read_config
from tests.written_people import run_config, write_people

NO_CRITIC = {"encoder_only": True}


def go(config, run, *, resume=False, evaluate=None):
    return train(config, run, resume=resume, evaluate=evaluate, show_progress=False)


def changed(config, **training):
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **training))


def evaluation(predictor):
    assert predictor.image_size == 48
    return Evaluation([Metric("keypoint_loss", 4.5)], [])


def on_step(monkeypatch, step, action):
    """Calls `action(scalars)` after a step of the run."""
    call = loop.TrainingStep.__call__

    def watched(self, batch, *, done):
        scalars = call(self, batch, done=done)
        return (action(self, scalars) or scalars) if int(self.step) == step else scalars

    monkeypatch.setattr(loop.TrainingStep, "__call__", watched)


def variables(run):
    checkpoint = Checkpoint(latest_checkpoint(run.checkpoints))
    return {name: checkpoint.read(name) for name in checkpoint.shapes if "/" in name}


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run of three steps with a critic: an epoch of 12 people in fours."""
    run = RunDirectory(tmp_path_factory.mktemp("finished") / "run")
    model = {"use_mesh_repro_loss": True}
    config = run_config(
        data,
        model=model,
        log_every=1,
        log_img_step=2,
        checkpoint_steps=1,
        keep_checkpoints=2,
        keep_best_metric="keypoint_loss",
    )
    return config, run, go(config, run, evaluate=evaluation)


def test_a_run_writes_settings_checkpoints_and_a_log(finished):
    config, run, result = finished
    assert (result.step, result.interrupted, result.was_finished) == (3, None, False)
    assert result.evaluation.values() == {"keypoint_loss": 4.5}
    assert read_config(run) == config
    assert {path.stem for path in run.checkpoints.glob("*.index")} == {"ckpt-2", "ckpt-3"}
    events = EventAccumulator(str(run.tensorboard), size_guidance={"tensors": 0}).Reload()
    steps = {name: [e.step for e in events.Tensors(name)] for name in events.Tags()["tensors"]}
    for name in (
        "loss/kpr_loss",
        "loss/mr_loss",
        "critic/penalty",
        "bones/avg_total_bone_length_gt",
    ):
        assert steps[name] == [1, 2, 3]
    assert steps["vis_images"] == [2]
    assert steps["validation/keypoint_loss"] == [3]
    assert steps["settings"] == [0]
    panel = tf.io.decode_image(tf.make_ndarray(events.Tensors("vis_images")[0].tensor_proto)[2]).numpy()
    assert panel.shape[0] > 4 * 200
    assert panel.std() > 20


def test_the_history_holds_what_the_log_holds(finished):
    _, run, _ = finished
    entries = read_history(run.history)
    assert [(entry.step, entry.kind) for entry in entries] == [
        (1, "train"),
        (2, "train"),
        (3, "train"),
        (3, "validation"),
    ]
    assert [entry.epoch for entry in entries] == [1 / 3, 2 / 3, 1, 1]
    assert entries[3].values == {"keypoint_loss": 4.5}
    events = EventAccumulator(str(run.tensorboard), size_guidance={"tensors": 0}).Reload()
    logged = tf.make_ndarray(events.Tensors("loss/kpr_loss")[1].tensor_proto)
    assert entries[1].values["loss/kpr_loss"] == logged


def test_the_log_tells_input_from_compute(finished):
    _, run, _ = finished
    first, second, _, _ = (entry.values for entry in read_history(run.history))
    assert not any(name.startswith("time/") for name in first)  # mostly compilation
    assert 0 <= second["time/input_wait_ms"] < 60_000
    assert 0 < second["time/step_ms"] < 60_000
    both = second["time/input_wait_ms"] + second["time/step_ms"]
    assert second["time/images_per_s"] == pytest.approx(4 / (both / 1000))
    assert second["time/input_share"] == pytest.approx(second["time/input_wait_ms"] / both)


def test_a_slow_input_binds(data, tmp_path, monkeypatch):
    read = loop.training_batches

    def slow(*args, **kwargs):
        for example in read(*args, **kwargs):
            time.sleep(0.5)
            yield example

    monkeypatch.setattr(loop, "training_batches", slow)
    run = RunDirectory(tmp_path / "run")
    go(run_config(data, model=NO_CRITIC, max_steps=2, log_every=1), run)
    values = read_history(run.history)[-1].values
    assert values["time/input_wait_ms"] >= 500
    assert values["time/input_share"] == pytest.approx(
        values["time/input_wait_ms"] / (values["time/input_wait_ms"] + values["time/step_ms"])
    )


def test_a_finished_run_says_so_at_once_and_is_validated_again(finished, capsys):
    config, run, _ = finished

    def told_before(predictor):
        assert "had no step left: it was finished at step 3" in capsys.readouterr().out
        return evaluation(predictor)

    result = go(config, run, resume=True, evaluate=told_before)
    assert result.was_finished
    assert (result.step, result.evaluation.values()) == (3, {"keypoint_loss": 4.5})
    assert go(changed(config, keep_best_metric=None), run, resume=True).evaluation is None
    assert len(read_history(run.history)) == 4  # nothing is written twice


def test_a_predictor_is_loaded_by_run_by_folder_and_by_checkpoint(finished):
    _, run, _ = finished
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    exact = run.checkpoints / "ckpt-2"
    loaded = load(run.path)
    assert (loaded.step, loaded.settings.input.img_size) == (3, 48)
    predictor = Predictor(loaded.system)
    prediction = predictor.predict_one(image)
    assert prediction.vertices.shape[0] == len(prediction) == 1
    assert load(run.checkpoints).step == load(run.best).step == 3
    assert load(exact).step == load(f"{exact}.index").step == 2
    with pytest.raises(UserError, match="ckpt-7: no such run directory, checkpoint or file"):
        load(run.checkpoints / "ckpt-7")
    with pytest.raises(ValueError, match=r"Inputs must be \(B, 48, 48, 3\)"):
        predictor.predict_one(image[:40])


def test_a_run_that_has_no_checkpoint_yet_starts_over(data, tmp_path, capsys, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, model=NO_CRITIC, max_steps=2)

    def crash(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        on_step(patch, 1, crash)
        with pytest.raises(ZeroDivisionError):
            go(config, run)
    assert run.params.exists()
    assert latest_checkpoint(run.checkpoints) is None
    assert go(config, run, resume=True).step == 2
    assert "was killed before its first checkpoint; starts over at step 0 with the same seed" in (
        capsys.readouterr().out
    )
    other = RunDirectory(tmp_path / "other")
    go(config, other)
    for name, value in variables(other).items():
        np.testing.assert_allclose(value, variables(run)[name], atol=1e-3, err_msg=name)


def test_resuming_needs_no_encoder_weights(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, model=NO_CRITIC, max_steps=1)
    weights = tmp_path / "encoder.weights.h5"
    config.build_system().encoder.save_weights(weights)
    model = dataclasses.replace(config.model, encoder_weights=str(weights))
    config = dataclasses.replace(config, model=model)
    go(config, run)
    weights.unlink()
    assert go(changed(config, max_steps=2), run, resume=True).step == 2
    with pytest.raises(UserError, match=r"encoder\.weights\.h5: there is no such file"):
        go(config, RunDirectory(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_and_saves(data, tmp_path, monkeypatch, number):
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, model=NO_CRITIC, max_steps=50)
    on_step(monkeypatch, 2, lambda *_: os.kill(os.getpid(), number))
    result = go(config, run, evaluate=evaluation)
    assert (result.step, result.interrupted, result.evaluation) == (2, number.name, None)
    assert latest_checkpoint(run.checkpoints).endswith("ckpt-2")


def test_a_signal_leaves_validation_and_loses_nothing(data, tmp_path):
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, model=NO_CRITIC, max_steps=2, validation_step_size=1)

    def interrupted(_):
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("validation went on")

    result = go(config, run, evaluate=interrupted)
    assert (result.step, result.interrupted) == (1, "SIGTERM")
    assert latest_checkpoint(run.checkpoints).endswith("ckpt-1")  # no step had asked for it
    assert read_history(run.history) == []
    assert go(config, run, resume=True, evaluate=evaluation).step == 2
    # The validation that the signal took is made up for.
    assert [entry.step for entry in read_history(run.history) if entry.kind == "validation"] == [1, 2]


def test_a_run_leaves_the_process_as_it_was(data, tmp_path):
    config = run_config(data, model=NO_CRITIC, max_steps=1)
    random.seed(1)
    before = random.getstate(), np.random.get_state()[1].tolist()
    with pytest.MonkeyPatch.context() as patch:
        for owner in (tf.config.experimental, keras.utils, tf.random, np.random):
            for name in ("enable_op_determinism", "set_random_seed", "set_seed", "seed"):
                if hasattr(owner, name):
                    patch.setattr(owner, name, lambda *_: pytest.fail("a switch of the process was thrown"))
        go(config, RunDirectory(tmp_path / "one"))
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before
        random.seed(2)
        go(config, RunDirectory(tmp_path / "two"))
    # First weights are a function of the run's seed alone. Kernels may round otherwise.
    one, two = (variables(RunDirectory(tmp_path / name)) for name in ("one", "two"))
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, atol=1e-3, err_msg=name)


def test_too_many_losses_that_are_not_finite_end_the_run(data, tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, model=NO_CRITIC, max_steps=20, max_bad_steps=2, log_every=1, checkpoint_steps=1)

    def spoil(step, scalars):
        nan = Mean(tf.constant(np.nan), tf.constant(1.0))
        step.system.losses = lambda *_: Losses({"kpr_loss": nan}, {"kpr_loss": 60.0})

    on_step(monkeypatch, 1, spoil)
    with pytest.raises(UserError, match=r"step 3: .* not finite for 2 steps in a row, .*/ckpt-2\. "):
        go(config, run)
    # That of step 2, which was skipped, holds what step 1 made.
    for name, value in variables(run).items():
        assert np.isfinite(value).all(), name


def test_a_batch_larger_than_the_data_writes_nothing(data, tmp_path):
    with pytest.raises(UserError, match=r"batch_size=13: is larger than the dataset: people has 12 images"):
        go(run_config(data, batch_size=13), RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_step_that_does_not_fit_into_memory_says_so(data, tmp_path, monkeypatch):
    def exhaust(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    on_step(monkeypatch, 1, exhaust)
    with pytest.raises(UserError, match="batch_size=4: a step does not fit into memory"):
        go(run_config(data, model=NO_CRITIC), RunDirectory(tmp_path / "run"))


def test_a_record_that_goes_bad_under_way_is_named(tmp_path):
    write_people(tmp_path, count=8)
    (shard,) = tmp_path.glob("people-*.tfrecords")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(UserError, match=rf"{shard.name}: record \d is damaged"):
        go(run_config(tmp_path, model=NO_CRITIC), RunDirectory(tmp_path / "run"))

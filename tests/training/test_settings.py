"""Run directories: settings come back as they were, and what is wrong with them is one line."""

import dataclasses
import datetime
import json
import os

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.runs import RunDirectory, latest_run
from hpe.runs.store import CheckpointStore
from hpe.systems.hybrid_hmr import MocapShapes
from hpe.training.config import LearningRateSchedule
from hpe.training.settings import new_run, new_run_name, read_config, write_config
from tests.written_people import run_config

NOW = datetime.datetime(2024, 5, 6, 7, 8, 9)


@pytest.fixture
def config(tmp_path):
    model = {"mocap_shapes": MocapShapes.NORMAL, "use_mesh_repro_loss": True, "encoder_bn_momentum": 0.5}
    return run_config(tmp_path, model=model, logs=str(tmp_path / "runs"))


def edit(run, change):
    content = json.loads(run.params.read_text())
    change(content)
    run.params.write_text(json.dumps(content))


def test_settings_come_back_as_they_were(tmp_path, config):
    run = RunDirectory(tmp_path / "deep" / "run")
    write_config(run, config)
    assert read_config(run) == config
    assert os.listdir(run.path) == ["params.json"]
    assert json.loads(run.params.read_text())["versions"].keys() == {"hpe", "tensorflow", "keras", "numpy"}
    write_config(run, dataclasses.replace(config, system="hybrid_hmr"))
    assert os.listdir(run.path) == ["params.json"]


def test_settings_that_an_older_run_lacks_have_their_defaults(tmp_path, config):
    run = RunDirectory(tmp_path)
    write_config(run, config)
    edit(run, lambda content: content["training"].pop("seed"))
    assert read_config(run) == config


def test_a_run_older_than_the_section_of_updates_keeps_its_settings(tmp_path, config):
    optimization = dataclasses.replace(
        config.optimization, generator_lr=3e-4, lr_schedule=LearningRateSchedule.COSINE
    )
    model = dataclasses.replace(config.model, do_bone_evaluation=False)
    config = dataclasses.replace(config, optimization=optimization, model=model)
    run = RunDirectory(tmp_path)
    write_config(run, config)

    def as_it_was(content):
        del content["optimization"], content["model"]["do_bone_evaluation"]
        settings = {"generator_lr": 3e-4, "critic_lr": 5e-4, "lr_schedule": "cosine"}
        content["training"].update(settings, do_bone_evaluation=False)

    edit(run, as_it_was)
    assert read_config(run) == config
    edit(run, lambda content: content["training"].update(tempo=3))
    with pytest.raises(UserError, match=r"training\.tempo: unknown setting"):
        read_config(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["model"].update(tempo=3),
            r"this version of hpe .model\.tempo: unknown setting\)",
        ),
        (lambda c: c["model"].update(num_stage="three"), "model.num_stage: cannot be 'three'; expected int"),
        (lambda c: c["model"].update(num_stage=True), "model.num_stage: cannot be True"),
        (lambda c: c["model"].update(num_stage=0), "model.num_stage: must be at least 1"),
        (lambda c: c["model"].update(encoder=None), "model.encoder: cannot be None; expected a string"),
        (
            lambda c: c["model"].update(mocap_shapes="odd"),
            "model.mocap_shapes: cannot be 'odd'; expected 'auto'",
        ),
        (
            lambda c: c["training"].update(datasets="people"),
            "training.datasets: cannot be 'people'; expected",
        ),
        (
            lambda c: c["training"].update(datasets=[1]),
            r"training\.datasets\[0\]: cannot be 1; expected a string",
        ),
        (
            lambda c: c.update(model=["encoder"]),
            r"model: cannot be .*; expected an object",
        ),
        (lambda c: c.pop("pipeline"), "it lacks `pipeline`"),
        (
            lambda c: c.update(system="martinez"),
            "unknown system 'martinez'; this version has hemlets, hrnet, hybrid_hmr, lifter",
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path, config, change, message):
    run = RunDirectory(tmp_path)
    write_config(run, config)
    edit(run, change)
    with pytest.raises(UserError, match=message) as error:
        read_config(run)
    assert str(error.value).startswith(f"{run.params}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe garbage", b"[1, 2]", b'"text"', b"3"])
def test_garbage_is_one_line(tmp_path, content):
    run = RunDirectory(tmp_path)
    run.params.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.json: (not valid JSON|does not fit)") as error:
        read_config(run)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"not a run directory .no readable params\.json: No such file"):
            read_config(RunDirectory(path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Not a directory"):
        read_config(RunDirectory(tmp_path / "file"))


def test_settings_that_cannot_be_written_are_named(tmp_path, config):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/run: cannot be written .*set `model_dir`"):
        write_config(RunDirectory(tmp_path / "file" / "run"), config)


def test_names_tell_system_data_evidence_and_start(config):
    assert new_run_name(config, NOW) == "hybrid_hmr_people_kp_mr_critic_20240506-070809"
    model = dataclasses.replace(config.model, use_mesh_repro_loss=False, encoder_only=True)
    training = dataclasses.replace(config.training, datasets=("a", "/elsewhere/b.tfrecords"))
    changed = dataclasses.replace(config, model=model, training=training)
    assert new_run_name(changed, NOW) == "hybrid_hmr_a-b_kp_20240506-070809"


def test_runs_of_the_same_second_do_not_share_a_directory(config):
    names = [new_run(config, NOW).path.name for _ in range(3)]
    name = new_run_name(config, NOW)
    assert names == [name, f"{name}-2", f"{name}-3"]


def test_logs_that_are_no_folder_are_named(tmp_path, config):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match=r"runs"):
        new_run(config, NOW)


def test_a_run_that_wrote_nothing_leaves_nothing(config):
    run = new_run(config, NOW)
    run.remove_if_empty()
    assert not run.path.exists()
    write_config(run, config)
    run.remove_if_empty()
    assert run.params.exists()


def test_a_restored_system_needs_no_file_of_means(tmp_path, config):
    path = tmp_path / "mean.npz"
    np.savez(path, pose=np.zeros(72), shape=np.full(10, 2.0))
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, mean_params=str(path)))
    write_config(RunDirectory(tmp_path / "run"), config)
    first = config.build_system()
    assert (first.regressor.mean_theta.numpy()[0, 75:] == 2).all()
    CheckpointStore(tmp_path / "run" / "checkpoints", first).save()
    path.unlink()
    stored = read_config(RunDirectory(tmp_path / "run"))
    with pytest.raises(UserError, match=r"mean_params=.*mean\.npz: there is no such file"):
        stored.build_system()
    again = stored.build_system(pretrained=False)
    CheckpointStore(tmp_path / "run" / "checkpoints", again).restore()
    np.testing.assert_array_equal(again.regressor.mean_theta.numpy(), first.regressor.mean_theta.numpy())


def test_the_latest_run_is_the_one_that_wrote_its_settings_last(tmp_path, config):
    with pytest.raises(UserError, match="holds no run to resume"):
        latest_run(tmp_path / "runs")
    for age, name in enumerate(("b", "a", "c")):
        run = RunDirectory(tmp_path / "runs" / name)
        write_config(run, config)
        os.utime(run.params, (1000 - age, 1000 - age))
    (tmp_path / "runs" / "no_run").mkdir()
    assert latest_run(tmp_path / "runs").path.name == "b"


def test_settings_of_the_input_stand_alone_and_are_found_in_older_runs(tmp_path, config):
    run = RunDirectory(tmp_path)
    write_config(run, config)
    content = json.loads(run.params.read_text())
    assert content["input"] == {"img_size": config.input.img_size, "box_share": 0.8}
    assert not content["input"].keys() & content["pipeline"].keys()
    edit(run, lambda content: content["pipeline"].update(content.pop("input")))
    assert read_config(run) == config

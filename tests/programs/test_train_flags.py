"""Flags of train: two names for one, those of the chosen system alone, and the recipes in configs/."""

import contextlib
import json
import pathlib

import pytest
from absl import flags

from hpe import pipeline, systems
from hpe.programs import train
from hpe.runs import RunDirectory
from hpe.training.settings import write_config
from tests.written_people import run_config

CONFIGS = sorted(pathlib.Path(__file__).parents[2].glob("configs/*.cfg"))


@contextlib.contextmanager
def parsed(*arguments):
    """Defines and parses the flags of train, and forgets them at the end."""
    before = set(flags.FLAGS)
    try:
        train.define_flags(arguments)
        flags.FLAGS(["train", *arguments])
        yield
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
        flags.FLAGS.unparse_flags()


def read(*arguments):
    """Returns the configuration of a command line of train."""
    with parsed(*arguments):
        return train.read_config()


@pytest.mark.parametrize("name", ["smpl_model_path", "body_model"])
def test_the_body_model_goes_by_both_names(name):
    with parsed(f"--{name}=somewhere/model.pkl"):
        assert train.read_config().model.smpl_model_path == "somewhere/model.pkl"
        assert flags.FLAGS["smpl_model_path"].present == 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path, monkeypatch):
    monkeypatch.chdir(path.parents[1])  # a recipe may build on another one
    config = read(f"--flagfile={path}")
    named = [line for line in path.read_text().splitlines() if line.startswith("--system=")]
    if named:
        assert f"--system={config.system}" in named


def test_a_recipe_by_its_name_says_whose_flags_there_are(monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--flagfile=weakly_supervised_small_1"])
    before = set(flags.FLAGS)
    try:
        train.define_flags()
        assert flags.FLAGS["system"].default == "weakly_supervised"
        assert "task" in flags.FLAGS
    finally:
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)


@pytest.mark.parametrize("system", systems.names())
def test_a_system_brings_its_own_flags_and_defaults(system):
    config = read(f"--system={system}")
    assert config.system == system
    assert isinstance(config.model, systems.get(system).config)
    assert isinstance(config.pipeline, pipeline.CONFIGS[systems.get(config.system).input_key])
    for name, value in systems.get(system).defaults.items():
        found = next(
            getattr(part, name)
            for part in (config.model, config.pipeline, config.training, config.optimization)
            if hasattr(part, name)
        )
        assert getattr(found, "value", found) == value


def test_spellings_of_pose_hg3d_are_taken():
    config = read(
        *(
            "--system=weakly_supervised",
            "--exp_id=runs/fusion",
            "--task=human3d",
            "--dataset=mpii_train,h36m",
        ),
        *("--ratio_3d=1", "--weight_3d=0.1", "--weight_var=0.01", "--load_model=runs/mpii", "--arch=msra_18"),
        *(
            "--num_epoch=60",
            "--lr=1e-4",
            "--lr_step=45",
            "--lr_schedule=step",
            "--input_h=128",
            "--output_h=32",
        ),
        *("--random_seed=3", "--val_intervals=5"),
    )
    model, training, rates = config.model, config.training, config.optimization
    assert (training.model_dir, training.datasets) == ("runs/fusion", ("mpii_train", "h36m"))
    assert (training.init_from, training.num_epochs, training.seed) == ("runs/mpii", 60, 3)
    assert (training.validation_epochs, config.pipeline.ratio_3d, config.pipeline.img_size) == (5, 1, 128)
    assert (model.task.value, model.weight_3d, model.weight_var, model.encoder) == (
        "human3d",
        0.1,
        0.01,
        "msra_18",
    )
    assert (model.heatmap_size, rates.generator_lr, rates.step_epochs) == (32, 1e-4, (45,))


def test_flags_of_another_system_are_unknown():
    with pytest.raises(flags.UnrecognizedFlagError, match="linear_size"):
        read("--linear_size=8")
    assert read("--system=lifter", "--linear_size=8").model.linear_size == 8


def test_a_resumed_run_says_what_system_it_is_of(tmp_path):
    run = RunDirectory(tmp_path / "run")
    write_config(run, run_config(tmp_path))
    assert read("--resume", f"--model_dir={run.path}").system == "hybrid_hmr"
    stored = json.loads(run.params.read_text())
    run.params.write_text(json.dumps({**stored, "system": "lifter"}))
    assert read("--resume", f"--model_dir={run.path}").system == "lifter"

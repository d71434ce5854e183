"""Checkpoints: everything comes back, and what does not fit or is damaged is one line."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.runs import RunDirectory, load
from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from hpe.runs.store import CheckpointStore
from hpe.runs.weights import averaged_variables
from hpe.training.settings import write_config
from hpe.training.step import TrainingStep
from tests.training.conftest import build_system, state
from tests.written_people import run_config

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), dtype=np.uint8)


class Run:
    """A system with optimizers and a checkpoint store, as the trainer has them."""

    def __init__(self, data, directory, *, seed=0, **options):
        self.config = run_config(data, **options)
        self.system = build_system(self.config, seed=seed)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.update = TrainingStep(self.system, self.config.optimization, seed=0, step=self.step, eager=True)
        self.store = CheckpointStore(
            directory,
            self.system,
            optimizers=self.update.optimizers,
            step=self.step,
            average=self.update.average,
            keep=2,
        )

    def state(self):
        networks = [*self.system.networks.values(), *self.system.training_networks.values()]
        return state(*networks, *self.update.optimizers.values())


@pytest.fixture(scope="module")
def trained(data, examples, tmp_path_factory):
    """A run after one step, saved."""
    run = Run(data, tmp_path_factory.mktemp("run") / "checkpoints")
    run.update(examples, done=0)
    run.store.save()
    return run


@pytest.fixture
def copied(trained, tmp_path):
    """A copy of its checkpoints that may be spoiled."""
    return pathlib.Path(shutil.copytree(trained.store.directory, tmp_path / "checkpoints"))


def test_everything_comes_back(data, trained):
    other = Run(data, trained.store.directory, seed=1)
    before = other.state()
    assert sum((one != two).any() for one, two in zip(before, trained.state(), strict=True)) > 100
    assert other.store.restore() == 1
    assert int(other.step) == 1
    for one, two in zip(other.state(), trained.state(), strict=True):
        np.testing.assert_array_equal(one, two)
    # Among them what the original lost, and what Keras keeps in lists of layers.
    mean = trained.system.regressor.mean_theta.numpy()
    fresh = build_system(trained.config).regressor.mean_theta.numpy()
    assert (mean != fresh).any()
    np.testing.assert_array_equal(other.system.regressor.mean_theta.numpy(), mean)
    assert int(other.update.optimizers["critic"].iterations) == 1
    for name, value in trained.system.infer(IMAGES).items():
        np.testing.assert_array_equal(value, other.system.infer(IMAGES)[name])


def test_for_prediction_critic_and_optimizers_are_left_out(data, trained):
    system = build_system(trained.config, seed=2, build_critic=False)
    assert CheckpointStore(trained.store.directory, system).restore() == 1
    for name, value in trained.system.infer(IMAGES).items():
        np.testing.assert_array_equal(value, system.infer(IMAGES)[name])


def test_old_ones_go_and_the_newest_is_found(data, tmp_path, trained):
    run = Run(data, tmp_path / "checkpoints")
    assert latest_checkpoint(tmp_path / "checkpoints") is None
    with pytest.raises(UserError, match="checkpoints: holds no checkpoint"):
        run.store.restore()
    for step in (8, 9, 10):
        run.step.assign(step)
        run.store.save()
    assert {path.stem for path in run.store.directory.glob("*.index")} == {"ckpt-9", "ckpt-10"}
    assert latest_checkpoint(run.store.directory).endswith("ckpt-10")
    assert {path.name.split(".")[0] for path in run.store.directory.iterdir()} == {"ckpt-9", "ckpt-10"}
    (run.store.directory / ".unfinished").mkdir()  # what kill -9 leaves of a save
    (run.store.directory / ".unfinished" / "ckpt-11.index").write_bytes(b"half")
    resumed = CheckpointStore(
        run.store.directory, run.system, optimizers=run.update.optimizers, step=run.step
    )
    assert resumed.restore() == 10
    run.step.assign(12)
    resumed.save()
    assert latest_checkpoint(run.store.directory).endswith("ckpt-12")
    assert not (run.store.directory / ".unfinished").exists()
    assert run.store.restore(str(run.store.directory / "ckpt-9")) == 9


@pytest.mark.parametrize(
    ("options", "message", "advice"),
    [
        ({"model": {"num_stage": 2}}, None, ""),  # stages share their weights: the same architecture
        (
            {"model": {"encoder": "MobileNetV2"}, "pipeline": {"img_size": 48}},
            "its encoder is of another",
            "start a new run with `init_from`",
        ),
        (
            {"model": {"critic_use_rotations": False}},
            "its critic is of another architecture",
            "start a new run with `init_from`",
        ),
        (
            {"model": {"encoder_only": True}},
            "does not fit this system",
            "use the settings of its params.json",
        ),
    ],
)
def test_another_architecture(data, trained, options, message, advice):
    other = Run(data, trained.store.directory, **options)
    if message is None:
        assert other.store.restore() == 1
        return
    with pytest.raises(UserError, match=message) as error:
        other.store.restore()
    assert str(error.value).startswith(str(trained.store.directory / "ckpt-1"))
    assert advice in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_critic_does_not_resume_a_run_with_one(data, tmp_path):
    alone = Run(data, tmp_path, model={"encoder_only": True})
    alone.store.save()
    with pytest.raises(UserError, match="ckpt-0: holds no critic; it was written by another system"):
        Run(data, tmp_path).store.restore()


def data_file(directory):
    return directory / "ckpt-1.data-00000-of-00001"


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: truncate(data_file(d)), "is damaged or incomplete"),
        (lambda d: flip_byte(data_file(d)), "is damaged or incomplete"),
        (lambda d: data_file(d).unlink(), "is damaged or incomplete"),
        (lambda d: data_file(d).write_bytes(b""), "is damaged or incomplete"),
        (lambda d: truncate(d / "ckpt-1.index"), "is not a readable checkpoint"),
        (lambda d: (d / "ckpt-1.index").write_bytes(b"garbage"), "is not a readable checkpoint"),
        (lambda d: (d / "ckpt-1.index").write_bytes(b""), "is not a readable checkpoint"),
    ],
)
def test_damaged_files_are_named(trained, copied, spoil, message):
    spoil(copied)
    store = CheckpointStore(copied, trained.system, optimizers=trained.update.optimizers, step=trained.step)
    with pytest.raises(UserError, match=message) as error:
        store.restore()
    assert str(copied / "ckpt-1") in str(error.value)
    assert "\n" not in str(error.value)
    trained.store.restore()  # the tests share this system


def test_averaged_weights_come_back_and_are_what_predicts(data, examples, tmp_path):
    run = Run(data, tmp_path / "run" / "checkpoints", optimization={"ema_decay": 0.5})
    for done in range(2):
        run.update(examples, done=done)
    path = run.store.save()
    averages = {name: variable.numpy() for name, variable in run.update.average.variables.items()}
    stored = Checkpoint(path).average
    for name, average in averages.items():
        np.testing.assert_array_equal(stored.read(name), average)
    other = Run(data, tmp_path / "run" / "checkpoints", optimization={"ema_decay": 0.5}, seed=1)
    other.store.restore()
    for name, average in averages.items():
        np.testing.assert_array_equal(other.update.average.variables[name].numpy(), average)
    assert int(other.update.average.updates) == 2

    write_config(RunDirectory(tmp_path / "run"), run.config)
    loaded = load(tmp_path / "run")
    assert loaded.step == 2
    own = averaged_variables(run.system)
    for name, variable in averaged_variables(loaded.system).items():
        np.testing.assert_array_equal(variable.numpy(), averages[name])
    assert any((averages[name] != own[name].numpy()).any() for name in averages)


def test_optimizers_of_another_layout_are_named(trained, data):
    changed = Run(data, trained.store.directory)
    optimizers = {**changed.update.optimizers, "main": changed.update.optimizers["critic"]}
    changed.store = CheckpointStore(
        trained.store.directory, changed.system, optimizers=optimizers, step=changed.step
    )
    with pytest.raises(UserError, match=r"its optimizer main is of another layout.*`init_from`"):
        changed.store.restore()


FULL_DISK = """
import resource, sys
import keras
import tensorflow as tf
from hpe.runs.store import CheckpointStore

class System:
    training_networks = {}
    def __init__(self, size):
        self.networks = {"net": self}
        self.name = "net"
        self.variables = [keras.Variable(tf.zeros(size), name="weight")]

step = tf.Variable(1, dtype=tf.int64)
store = CheckpointStore(sys.argv[1], System(100_000), step=step)
store.save()
step.assign(2)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    store.save()
except Exception as error:
    print(type(error).__name__, error)
print("restored", CheckpointStore(sys.argv[1], System(100_000)).restore())
"""


@pytest.mark.slow
def test_a_full_disk_is_named_and_older_checkpoints_stay(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "checkpoints")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    first, second = done.stdout.splitlines()
    assert first.startswith(
        f"UserError {tmp_path / 'checkpoints'}: the checkpoint of step 2 cannot be written"
    )
    assert "free space and go on with `resume`" in first
    assert second == "restored 1"
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert not any("ckpt-2" in name for name in names), names

"""Run directories: what prediction reads of them, their names, and their one writer."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.runs import RunDirectory, Settings, load
from hpe.runs.checkpoints import latest_checkpoint
from hpe.runs.store import CheckpointStore
from hpe.systems.inputs import JointsInput
from hpe.systems.lifter import LifterConfig

SETTINGS = Settings("lifter", LifterConfig(linear_size=4, num_blocks=1), JointsInput())


def write_run(path, *steps, keep=3):
    """Writes a run of random weights, saved after each of the steps; the lifter's first bias tells the step."""
    run = RunDirectory(path)
    run.write_sections(SETTINGS.system, {"model": SETTINGS.model, "input": SETTINGS.input, "training": {}})
    system, step = SETTINGS.build(), tf.Variable(0, dtype=tf.int64)
    store = CheckpointStore(run.checkpoints, system, step=step, keep=keep)
    for number in steps:
        step.assign(number)
        system.lifter.variables[1].assign(np.full(4, number))
        store.save()
    return run


def bias(loaded):
    return loaded.system.lifter.variables[1].numpy()[0]


@pytest.mark.parametrize("name", ["lr[1]", "run*", "a?b", "back\\slash", "näme mit Leerzeichen", "[!x]"])
def test_a_run_of_any_name_is_written_kept_and_read_and_others_are_left_alone(tmp_path, name):
    other = write_run(tmp_path / "lr1", 1, 2)
    before = sorted(path.name for path in other.checkpoints.iterdir())
    run = write_run(tmp_path / name, 1, 2, 3, keep=2)
    assert sorted(path.stem for path in run.checkpoints.glob("*.index")) == ["ckpt-2", "ckpt-3"]
    assert sorted(path.name for path in other.checkpoints.iterdir()) == before
    loaded = load(run.path)
    assert (loaded.step, bias(loaded)) == (3, 3)
    assert load(run.checkpoints / "ckpt-2").step == 2


def test_a_list_of_checkpoints_that_leads_elsewhere_is_not_believed(tmp_path):
    victim, run = write_run(tmp_path / "victim", 4, 5), write_run(tmp_path / "run", 1, 2)
    before = sorted(path.name for path in victim.checkpoints.iterdir())
    (run.checkpoints / "checkpoint").write_text(
        'model_checkpoint_path: "../../victim/checkpoints/ckpt-5"\n'
        'all_model_checkpoint_paths: "../../victim/checkpoints/ckpt-4"\n'
        'all_model_checkpoint_paths: "../../victim/checkpoints/ckpt-5"\n'
    )
    assert latest_checkpoint(run.checkpoints) == str(run.checkpoints / "ckpt-2")
    loaded = load(run.path)
    assert (loaded.step, bias(loaded)) == (2, 2)
    store = CheckpointStore(run.checkpoints, SETTINGS.build(), step=tf.Variable(3, dtype=tf.int64), keep=1)
    store.save()
    assert sorted(path.name for path in victim.checkpoints.iterdir()) == before
    assert [path.stem for path in run.checkpoints.glob("*.index")] == ["ckpt-3"]


def test_checkpoints_of_a_course_that_was_left_go(tmp_path):
    run = write_run(tmp_path / "run", 1, 2, 3)
    (run.checkpoints / "ckpt-3.index").write_bytes(b"cut short")
    assert latest_checkpoint(run.checkpoints).endswith("ckpt-2")
    CheckpointStore(run.checkpoints, SETTINGS.build(), step=tf.Variable(2, dtype=tf.int64)).save()
    assert sorted(path.stem for path in run.checkpoints.glob("*.index")) == ["ckpt-1", "ckpt-2"]


def edit(run, change):
    content = json.loads(run.params.read_text())
    change(content)
    run.params.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["training"].update(a_flag_of_last_year=1),
        lambda content: content.update(training="nonsense", pipeline=[1], optimization=None, more={"a": 1}),
        lambda content: content.pop("training"),
        lambda content: content.update(pipeline={"flip": "maybe", **content.pop("input")}),
    ],
)
def test_settings_that_prediction_does_not_need_never_stop_it(tmp_path, change):
    run = write_run(tmp_path / "run", 1)
    edit(run, change)
    assert load(run.path).settings == SETTINGS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["model"].update(tempo=3), "model.tempo: unknown setting"),
        (lambda content: content["input"].update(undistort=3), "input.undistort: cannot be 3"),
        (lambda content: content.pop("model"), "it lacks `model`"),
        (lambda content: content.update(system="pose"), "unknown system 'pose'"),
    ],
)
def test_settings_that_prediction_needs_are_named(tmp_path, change, message):
    run = write_run(tmp_path / "run", 1)
    edit(run, change)
    with pytest.raises(UserError) as error:
        load(run.path)
    assert str(error.value).startswith(f"{run.params}: ")
    assert message in str(error.value)


def test_a_moved_run_is_read_where_it_lies(tmp_path):
    run = write_run(tmp_path / "run", 1)
    moved = run.path.rename(tmp_path / "other")
    assert load(moved).step == load(moved / "checkpoints").step == 1
    assert str(tmp_path) not in (moved / "params.json").read_text()


def test_the_only_run_in_a_folder_is_meant_by_the_folder(tmp_path):
    write_run(tmp_path / "demo" / "training", 1)
    assert load(tmp_path / "demo").step == 1
    write_run(tmp_path / "demo" / "other", 1)
    with pytest.raises(UserError, match="demo: holds several runs; give one of other, training in it"):
        load(tmp_path / "demo")


HOLD = """
import sys, time
from hpe.runs import RunDirectory
with RunDirectory(sys.argv[1]).writing():
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_run_has_one_writer_even_after_the_first_was_killed(tmp_path):
    run = RunDirectory(tmp_path / "run")
    process = subprocess.Popen([sys.executable, "-c", HOLD, run.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=rf"run: is being written by process {process.pid} on") as error,
        run.writing(),
    ):
        pass
    assert "\n" not in str(error.value)
    process.kill()
    process.wait()
    with run.writing():
        pass
    assert not list(run.path.iterdir())


def test_a_run_that_failed_before_its_first_file_leaves_nothing(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(ZeroDivisionError), run.writing():
        raise ZeroDivisionError
    assert not run.path.exists()


IMPORTS = """
import sys
from hpe.runs import load
before = set(sys.modules)
assert not any(name.split(".")[0] in ("tensorflow", "keras") for name in before), "loaded with hpe.runs"
load(sys.argv[1])
print(*sorted(name for name in sys.modules if name.startswith("hpe.")))
"""


def test_loading_imports_nothing_that_trains(tmp_path):
    run = write_run(tmp_path / "run", 1)
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, run.path], capture_output=True, text=True, check=True, timeout=600
    )
    modules = done.stdout.split()
    packages = {name.split(".")[1] for name in modules}
    assert "runs" in packages
    assert not packages & {
        *(
            "training",
            "pipeline",
            "datasets",
            "records",
            "evaluation",
            "synthetic",
            "programs",
            "visualization",
        ),
    }
    assert len(modules) < 60, modules

"""A run that is killed and resumed ends bit-identical to one that was not."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from tests.people import write_people

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 7
# Dropout, critic, augmentation and batch statistics are all on: each has randomness or state to carry over.
FLAGS = (
    "--datasets=people --val_datasets= --mocap_datasets=random --encoder=small --encoder_weights=none "
    "--img_size=48 --batch_size=4 --use_mesh_repro_loss=True --checkpoint_steps=2 --log_img_step=3 "
    f"--max_steps={STEPS} --num_epochs=100 --use_validation=False --seed=3"
).split()


def train(data, run, *flags):
    command = [sys.executable, "-m", "train", f"--data_dir={data}", f"--model_dir={run}", *FLAGS, *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def wait_for_checkpoint(process, run, step):
    deadline = time.monotonic() + 300
    while not list((run / "checkpoints").glob(f"ckpt-{step}.index")):
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(0.05)


def final_state(run):
    path = tf.train.latest_checkpoint(str(run / "checkpoints"))
    assert path.endswith(f"ckpt-{STEPS}")
    reader = tf.train.load_checkpoint(path)
    names = [n for n in reader.get_variable_to_shape_map() if n != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {
        name: reader.get_tensor(name) for name in names if name != "save_counter/.ATTRIBUTES/VARIABLE_VALUE"
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("records")
    write_people(directory)
    return directory


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    code, output = finish(train(data, run))
    assert code == 0, output
    return final_state(run)


@pytest.mark.slow
def test_a_killed_run_resumes_bit_identical(data, undisturbed, tmp_path):
    run = tmp_path / "run"
    process = train(data, run)
    wait_for_checkpoint(process, run, 2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((run / "checkpoints").glob(f"ckpt-{STEPS}.index")), "killed too late to show anything"

    code, output = finish(train(data, run, "--resume"))
    assert code == 0, output
    resumed = final_state(run)
    assert resumed.keys() == undisturbed.keys()
    for name, value in undisturbed.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)


@pytest.mark.slow
def test_sigterm_saves_and_says_how_to_go_on(data, tmp_path):
    run = tmp_path / "run"
    process = train(data, run, "--max_steps=100000", "--checkpoint_steps=2")
    wait_for_checkpoint(process, run, 2)
    process.terminate()
    code, output = finish(process)
    assert code == 143
    assert "SIGTERM: saved at step" in output
    assert "--resume" in output


@pytest.mark.slow
def test_resuming_with_another_seed_is_refused(data, tmp_path):
    run = tmp_path / "run"
    assert finish(train(data, run, "--max_steps=1"))[0] == 0
    code, output = finish(train(data, run, "--resume", "--seed=4"))
    assert code == 1
    assert "--seed=4 differs from the run" in output
    code, output = finish(train(data, run))
    assert code == 1
    assert "holds a run already; add --resume" in output

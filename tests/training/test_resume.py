"""A run that is killed and resumed ends bit-identical to one that was not."""

import os
import shutil
import signal
import time

import numpy as np
import pytest

from hpe.runs.checkpoints import Checkpoint, latest_checkpoint
from tests.conftest import PATIENCE

STEPS = 7
# Dropout, critic, augmentation and batch statistics are all on: each has randomness or state to carry over.
FLAGS = (
    "--datasets=people --val_datasets= --mocap_datasets=random --encoder=small --encoder_weights=none "
    "--img_size=48 --batch_size=4 --use_mesh_repro_loss=True --checkpoint_steps=2 --log_img_step=3 "
    f"--max_steps={STEPS} --num_epochs=100 --use_validation=False --seed=3"
).split()


def train(server, data, run, *flags):
    flags = (f"--data_dir={data}", f"--model_dir={run}", *FLAGS, *flags)
    return server.start("train", *flags, output=run.with_suffix(".txt"))


def wait_for_checkpoint(process, run, step):
    deadline = time.monotonic() + PATIENCE
    # The first checkpoint is whole when the file that names it is there; its index appears before.
    while not (run / "checkpoints" / f"ckpt-{step}.index").exists():
        if process.has_ended():
            pytest.fail(process.finish())
        assert time.monotonic() < deadline
        time.sleep(0.02)


def final_state(run):
    path = latest_checkpoint(run / "checkpoints")
    assert path.endswith(f"ckpt-{STEPS}")
    checkpoint = Checkpoint(path)
    return {name: checkpoint.read(name) for name in checkpoint.shapes}


@pytest.mark.slow
def test_a_killed_run_resumes_bit_identical(server, data, tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    process = train(server, data, undisturbed)
    wait_for_checkpoint(process, undisturbed, 2)
    # What lies on the disk while nothing runs is what `kill -9` would leave now; the process itself goes on after.
    os.kill(process.pid, signal.SIGSTOP)
    try:
        shutil.copytree(undisturbed, killed)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert not (killed / "checkpoints" / f"ckpt-{STEPS}.index").exists(), "stopped too late to show anything"

    for going in (train(server, data, killed, "--resume"), process):
        assert f"finished at step {STEPS}" in going.finish()
    expected, resumed = final_state(undisturbed), final_state(killed)
    assert resumed.keys() == expected.keys()
    assert len(resumed) > 200
    for name, value in expected.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)

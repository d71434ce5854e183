"""TensorBoard's files, and the timer with a clock that the test turns."""

import os

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpe.errors import UserError
from hpe.runs import RunDirectory
from hpe.training import log as logging
from hpe.training.data import RunLength
from hpe.training.log import RunLog, StepTimer, TensorBoard, binding, rates


def test_scalars_images_and_texts(tmp_path):
    log = TensorBoard(tmp_path / "tensorboard")
    log.scalars({"kpr_loss": tf.constant(1.5), "total": 2}, 10, prefix="loss/")
    log.scalars({"kpr_loss": float("nan")}, 20, prefix="loss/")
    picture = np.zeros((8, 12, 3), np.uint8)
    picture[..., 0] = 200
    log.image("vis_images", picture, 10)
    log.text("settings", "seed: 3")
    log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"), size_guidance={"tensors": 0}).Reload()
    values = {
        (name, event.step): tf.make_ndarray(event.tensor_proto)
        for name in events.Tags()["tensors"]
        for event in events.Tensors(name)
    }
    assert values["loss/kpr_loss", 10] == 1.5
    assert values["loss/total", 10] == 2
    assert np.isnan(values["loss/kpr_loss", 20])
    assert values["settings", 0].item() == b"seed: 3"
    encoded = values["vis_images", 10][2]
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert (decoded == picture[..., ::-1]).all()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.tensorboard: the log cannot be written"):
        TensorBoard(tmp_path / "file" / "tensorboard").scalars({"x": 1}, 0)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("quick", [False, True])
def test_who_waits_long_for_the_first_step_is_told_why(tmp_path, capsys, monkeypatch, quick):
    monkeypatch.setattr(logging, "_SILENCE_S", 60.0 if quick else 0.0)
    run = RunDirectory(tmp_path)
    run.params.write_text("{}")
    with RunLog(run, RunLength(1, 4), first_step=0, show_progress=True, shown={}) as log:
        log.starting()
        notice = log._notice
        if not quick:
            notice.join()
        log.advance()
    notice.join()
    assert ("the first step waits for its batch and is compiled" in capsys.readouterr().err) is not quick


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def take_steps(timer, clock, *, wait, step, count):
    for _ in range(count):
        with timer.waiting():
            clock.now += wait
        with timer.computing():
            clock.now += step
        clock.now += 7.0  # a validation


def test_samples_are_called_what_the_feed_calls_them():
    clock = Clock()
    timer = StepTimer(64, unit="pose", clock=clock)
    take_steps(timer, clock, wait=0.0, step=0.1, count=2)
    assert rates(timer.lap()) == {"poses/s": pytest.approx(640)}
    assert rates({"loss/total": 1.0}) == {}


def test_waiting_and_computing_are_told_apart_and_nothing_else_counts():
    clock = Clock()
    timer = StepTimer(8, clock=clock)
    take_steps(timer, clock, wait=0.03, step=0.05, count=3)
    scalars = timer.lap()
    assert scalars == {
        "time/input_wait_ms": pytest.approx(30),
        "time/step_ms": pytest.approx(50),
        "time/images_per_s": pytest.approx(100),
        "time/input_share": pytest.approx(0.375),
    }
    assert binding(scalars) == "input"
    assert rates(scalars) == {"images/s": scalars["time/images_per_s"]}
    take_steps(timer, clock, wait=0.001, step=0.199, count=2)
    later = timer.lap()
    assert later["time/step_ms"] == pytest.approx(199)  # the steps before are forgotten
    assert binding(later) == "compute"


def test_waiting_for_results_is_computing():
    clock = Clock()
    timer = StepTimer(8, clock=clock)
    take_steps(timer, clock, wait=0.01, step=0.02, count=2)
    with timer.reading():
        clock.now += 0.1  # what an accelerator still had to do
    assert timer.lap()["time/step_ms"] == pytest.approx(70)


def test_without_a_step_there_are_no_times():
    clock = Clock()
    timer = StepTimer(8, clock=clock)
    assert timer.lap() == {}
    assert binding({"loss/total": 1.0}) is None
    take_steps(timer, clock, wait=1, step=1, count=1)
    timer.reset()
    assert timer.lap() == {}

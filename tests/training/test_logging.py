"""What is logged is in the event file, under its name and step."""

import os

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpe.errors import UserError
from hpe.training.logging import TrainingLog


def test_scalars_images_and_texts(tmp_path):
    log = TrainingLog(tmp_path / "tensorboard")
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
        TrainingLog(tmp_path / "file" / "tensorboard").scalars({"x": 1}, 0)
    assert os.listdir(tmp_path) == ["file"]

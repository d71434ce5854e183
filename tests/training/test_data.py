"""What a run reads: how many steps it makes, and batches with the streams that a system needs."""

import types

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.fields import Needs
from hpe.training.config import TrainingConfig
from hpe.training.data import RunLength, open_source, training_batches
from hpe.training.distribution import Distribution
from tests.written_people import run_config


def test_a_run_is_as_long_as_its_epochs_or_its_steps(data):
    source = open_source(run_config(data), ["people"])
    length = RunLength.of(source, TrainingConfig(batch_size=5, num_epochs=3))
    assert (source.count, length) == (12, RunLength(epoch_steps=2, total_steps=6))
    assert RunLength.of(source, TrainingConfig(batch_size=5, max_steps=4)).total_steps == 4
    assert length.epoch(3) == 1.5
    # Every fifth step, and at the ends of epochs and of the run.
    assert [step for step in range(1, 7) if RunLength(4, 7).is_due(step, 5)] == [4, 5]
    assert RunLength(4, 7).is_due(7, 5)
    with pytest.raises(UserError, match="batch_size=13: is larger than the dataset: people has 12 images"):
        RunLength.of(source, TrainingConfig(batch_size=13, datasets=("people",)))


def test_batches_hold_what_is_needed_and_its_streams(data):
    config = run_config(data)
    source, distribution = open_source(config, ["people"]), Distribution(config.training)

    def first(*fields, start_step=0, **streams):
        needs = Needs(fields=fields, skeleton2d="lsp14", streams=streams)
        return next(training_batches(config, source, needs, distribution, start_step=start_step))

    plain, fed = first("image"), first("image", "silhouette", mocap=6)
    assert not any(key.startswith("mocap") for key in plain)
    assert np.max(plain.get("silhouette", 0)) == 0
    assert np.max(fed["silhouette"]) == 1
    assert (fed["mocap/pose"].shape, fed["mocap/shape"].shape) == ((4, 6, 72), (4, 6, 10))
    np.testing.assert_array_equal(plain["image"], fed["image"])
    assert np.any(first("image", mocap=6, start_step=1)["mocap/pose"] != fed["mocap/pose"])


def test_workers_share_out_every_batch_and_all_its_streams(data):
    config = run_config(data)
    source, needs = open_source(config, ["people"]), Needs(("image",), "lsp14", streams={"mocap": 3})

    def second(worker, num_workers):
        distribution = types.SimpleNamespace(worker=worker, num_workers=num_workers)
        return next(training_batches(config, source, needs, distribution, start_step=1))

    whole, parts = second(0, 1), [second(worker, 2) for worker in range(2)]
    assert {"image", "mocap/pose", "mocap/shape"} <= whole.keys()
    for key, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[key] for part in parts]), value, err_msg=key)

"""The benchmark of the lifter: both sides train the same network on the same poses."""

import importlib.util

import numpy as np
import pytest

from benchmarks import lifter, torch_lifter

NEEDS_TORCH = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


def test_an_epoch_takes_every_batch_once_and_learns():
    call = lifter.epoch(lifter.people(64), lifter.AUGMENTED, batch_size=16, width=8)
    losses = [float(call()) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@NEEDS_TORCH
def test_the_other_side_trains_in_a_process_of_its_own_and_ends(tmp_path):
    poses = np.random.default_rng(0).normal(size=(2, 64, 4)).astype(np.float32)
    with torch_lifter.TorchLifter(tmp_path / "poses.npz", *poses, width=8, dropout=0.5) as theirs:
        seconds, processor = theirs.epochs(16, 0).run(2)
    assert seconds > 0
    assert processor > 0
    assert theirs._process.returncode == 0


@NEEDS_TORCH
def test_the_other_side_has_the_same_network():
    network = torch_lifter._network(32, 48, 1024, 0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_291_632

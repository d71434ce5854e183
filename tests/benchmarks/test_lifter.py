"""The benchmark of the lifter: both sides train the same network on the same poses."""

import importlib.util

import numpy as np
import pytest

from benchmarks import lifter, torch_lifter


def test_an_epoch_takes_every_batch_once_and_learns():
    call = lifter.epoch(lifter.people(64), lifter.AUGMENTED, batch_size=16, width=8)
    losses = [float(call()) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_the_other_side_has_the_same_network():
    network = torch_lifter._network(32, 48, 1024, 0.5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_291_632

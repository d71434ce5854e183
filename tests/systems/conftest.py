"""One small system for all tests of this folder; they leave its weights as they are."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hpe.body.data import load_body_model
from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig

SIZE = 56
SEED = np.array([1, 2], np.int32)


def build(**options):
    """Builds a system with the small encoder and random weights."""
    size = options.pop("image_size", SIZE)
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(
        **{"encoder": "small", "encoder_weights": "none", "compile_body": False, **options}
    )
    return HybridHmr(config, load_body_model(), image_size=size)


@pytest.fixture(scope="session")
def system():
    return build(use_mesh_repro_loss=True)


@pytest.fixture(scope="session")
def images():
    return np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def outputs(system, images):
    """What a forward pass in training yields."""
    return system.forward(images, training=True, seed=SEED)

"""The same tests of systems on the JAX backend of Keras."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent

# Forward, all losses, both sides of the critic and their gradients, once. JAX compiles for long.
CHOSEN = "specification or its_own_term or jax"


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="this is the run on another backend")
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_passes_on_jax():
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        # These tests compile much and compute little.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, str(FOLDER)],
        env=environment,
        cwd=FOLDER.parents[1],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "test_on_jax.py:" in done.stdout  # the one skip that it reports: proof that it ran on JAX

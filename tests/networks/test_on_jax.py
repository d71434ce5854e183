"""The same tests of networks, losses, input gradients and the nearest search on the JAX backend of Keras."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import keras
import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
FILES = ("losses", "networks", "test_autodiff.py", "test_nearest.py")
# What says nothing about the backend, or takes JAX long to compile: files of weights, whole backbones.
LEFT_OUT = "saved_and_loaded or wrong_arguments or (test_backbones and not small_encoder_loads)"


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
    arguments = ["-q", "-p", "no:cacheprovider", "-k", f"not ({LEFT_OUT})"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *(str(TESTS / name) for name in FILES)],
        env=environment,
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "test_regressor.py:" in done.stdout  # the one skip it reports: proof that they ran, and on JAX

"""Runs tests again on the JAX backend of Keras."""

import importlib.util
import os
import subprocess
import sys

import keras
import pytest

from tests.conftest import PATIENCE, PROJECT_ROOT
from tests.xla import COMPILE_QUICKLY


def jax_environment() -> dict[str, str]:
    """Returns the environment of a process on the JAX backend."""
    return {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{COMPILE_QUICKLY} --xla_cpu_multi_thread_eigen=false",
    }


def runs_on_jax(test):
    """Marks a test that calls `passes_on_jax`: it is slow, needs JAX, and has no use where the tests are on it."""
    for mark in (
        pytest.mark.slow,
        pytest.mark.skipif(
            keras.backend.backend() != "tensorflow", reason="this is the run on another backend"
        ),
        pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed"),
    ):
        test = mark(test)
    return test


def passes_on_jax(paths, *, select, proof):
    """Runs the tests in `paths` (relative to tests/) that `select` chooses; `proof` must be among the skips."""
    arguments = ["-q", "-p", "no:cacheprovider", "-k", select]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, *(f"tests/{path}" for path in paths)],
        env=jax_environment(),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert proof in done.stdout  # the one skip that it reports: proof that they ran, and on JAX

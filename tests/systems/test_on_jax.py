"""The system computes on the JAX backend of Keras, compiled, what it computes on this one."""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.conftest import PATIENCE, PROJECT_ROOT
from tests.jax_run import jax_environment
from tests.systems import on_jax
from tests.systems.conftest import SIZE


def inputs():
    rng = np.random.default_rng(0)
    mask = np.zeros((2, SIZE, SIZE), np.uint8)
    mask[:, 12:48, 20:34] = 1
    visible = (rng.uniform(size=(2, 19)) < 0.7).astype(np.float32)
    return {
        "images": rng.integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8),
        "joints2d": rng.uniform(-1, 1, (2, 19, 2)).astype(np.float32),
        "joints2d_weight": visible,
        "silhouette": mask,
        "silhouette_weight": np.float32([1, 0]),
        "pose": rng.normal(scale=0.3, size=(2, 72)).astype(np.float32),
        "shape": rng.normal(size=(2, 10)).astype(np.float32),
        "pose_weight": np.float32([0, 1]),
        "shape_weight": np.float32([0, 1]),
        "joints3d": rng.normal(scale=0.4, size=(2, 19, 3)).astype(np.float32),
        "joints3d_weight": np.ones((2, 19), np.float32),
        "real_pose": rng.normal(scale=0.3, size=(6, 72)).astype(np.float32),
        "real_shape": rng.normal(size=(6, 10)).astype(np.float32),
    }


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compares TensorFlow with JAX")
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_computes_the_same(tmp_path):
    system, given = on_jax.build_system(), inputs()
    weights = {
        f"weights_{index}_{n:04d}": value
        for index, network in enumerate(on_jax.networks(system))
        for n, value in enumerate(network.get_weights())
    }
    np.savez(tmp_path / "inputs.npz", **given, **weights)
    done = subprocess.run(
        [sys.executable, "-m", "tests.systems.on_jax", tmp_path / "inputs.npz", tmp_path / "outputs.npz"],
        env=jax_environment(),
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = np.load(tmp_path / "outputs.npz")
    expected = on_jax.compute(system, given)
    assert set(found) == set(expected)
    for name, value in expected.items():
        value = keras.ops.convert_to_numpy(value)
        if name == "penalty":  # it draws its own numbers on every backend
            assert np.isfinite(found[name])
            continue
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(found[name], value, atol=2e-4 * scale, err_msg=name)
    assert np.abs(found["gradient"]).max() > 0.01

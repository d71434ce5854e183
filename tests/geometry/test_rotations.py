import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hpe.geometry import rotations


def _random_vectors(angles, seed=0):
    generator = np.random.default_rng(seed)
    axes = generator.normal(size=(len(angles), 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return (axes * np.asarray(angles)[:, None]).astype(np.float32)


ANGLES = np.concatenate(
    [[0.0, 1e-7, 1e-4, 5e-3, 9.9e-3, 1.01e-2, 0.02], np.linspace(0.1, 3.1, 60), [np.pi - 1e-4, np.pi]]
)


def test_axis_angle_to_rotmat_agrees_with_scipy():
    vectors = np.concatenate([_random_vectors(ANGLES), _random_vectors(ANGLES + np.pi, seed=1)])
    ours = np.asarray(rotations.axis_angle_to_rotmat(vectors))
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-5)


def test_rotmat_to_axis_angle_agrees_with_scipy():
    rotmats = Rotation.from_rotvec(_random_vectors(ANGLES)).as_matrix()
    ours = np.asarray(rotations.rotmat_to_axis_angle(rotmats.astype(np.float32)))
    np.testing.assert_allclose(Rotation.from_rotvec(ours).as_matrix(), rotmats, atol=1e-5)
    away_from_pi = np.pi - 1e-2 > ANGLES
    np.testing.assert_allclose(
        ours[away_from_pi], Rotation.from_matrix(rotmats).as_rotvec()[away_from_pi], atol=1e-5
    )


def test_half_turns_about_every_axis_survive_the_round_trip():
    axes = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, -1], [-1, 2, 3]], dtype=np.float64)
    vectors = np.pi * axes / np.linalg.norm(axes, axis=1, keepdims=True)
    rotmats = Rotation.from_rotvec(vectors).as_matrix().astype(np.float32)
    back = np.asarray(rotations.axis_angle_to_rotmat(rotations.rotmat_to_axis_angle(rotmats)))
    np.testing.assert_allclose(back, rotmats, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-3.0, 3.0, width=32), min_size=3, max_size=3))
def test_rotmats_are_rotations(vector):
    rotmat = np.asarray(rotations.axis_angle_to_rotmat(np.array(vector, dtype=np.float32)))
    np.testing.assert_allclose(rotmat @ rotmat.T, np.eye(3), atol=1e-5)
    assert np.linalg.det(rotmat) == pytest.approx(1.0, abs=1e-5)


def test_rot6d_is_the_first_two_columns_row_by_row():
    rotmat = Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix().astype(np.float32)
    rot6d = np.asarray(rotations.rotmat_to_rot6d(rotmat))
    np.testing.assert_array_equal(rot6d, rotmat[:, :2].ravel())
    np.testing.assert_allclose(np.asarray(rotations.rot6d_to_rotmat(rot6d)), rotmat, atol=1e-6)


def test_rot6d_of_any_scale_gives_the_same_rotation():
    raw = np.random.default_rng(3).normal(size=(2, 5, 6)).astype(np.float32)
    rotmats = np.asarray(rotations.rot6d_to_rotmat(raw))
    np.testing.assert_allclose(np.asarray(rotations.rot6d_to_rotmat(7.0 * raw)), rotmats, atol=1e-5)
    np.testing.assert_allclose(
        rotmats @ np.swapaxes(rotmats, -1, -2), np.broadcast_to(np.eye(3), (2, 5, 3, 3)), atol=1e-5
    )


def test_batch_shapes_are_kept():
    assert rotations.axis_angle_to_rotmat(np.zeros((2, 3, 4, 3), np.float32)).shape == (2, 3, 4, 3, 3)
    assert rotations.rotmat_to_axis_angle(np.tile(np.eye(3, dtype=np.float32), (5, 1, 1))).shape == (5, 3)
    assert rotations.rot6d_to_rotmat(np.ones((6,), np.float32)).shape == (3, 3)


# The gradient of a random projection of each conversion, at the angles where naive formulas divide by zero,
# against central differences.
_GRADIENTS = """
import numpy as np
import keras
from keras import ops
from hpe.geometry import rotations

probe = np.random.default_rng(0).normal(size=(3, 3)).astype("float32")
axis = np.array([0.48, -0.6, 0.64], dtype="float32")

def of_axis_angle(v):
    return ops.sum(rotations.axis_angle_to_rotmat(v) * probe)

def of_rotmat(m):
    return ops.sum(rotations.rotmat_to_axis_angle(m) * probe[0])

def gradient(function, x):
    if keras.backend.backend() == "jax":
        import jax
        return np.asarray(jax.grad(function)(x))
    import tensorflow as tf
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x).numpy()

for angle in (0.0, 1e-6, 9e-3, 1.1e-2, 1.0, np.pi, 2 * np.pi):
    vector = (angle * axis).astype("float32")
    exact = gradient(of_axis_angle, vector)
    step = 1e-2 * np.eye(3, dtype="float32")
    numeric = [(float(of_axis_angle(vector + d)) - float(of_axis_angle(vector - d))) / 2e-2 for d in step]
    np.testing.assert_allclose(exact, numeric, atol=2e-3)
    rotmat = np.asarray(rotations.axis_angle_to_rotmat(vector))
    assert np.isfinite(gradient(of_rotmat, rotmat)).all(), angle
print("gradients agree on", keras.backend.backend())
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_gradients_are_right_at_zero_and_pi(backend):
    environment = dict(os.environ, KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3", JAX_PLATFORMS="cpu")
    done = subprocess.run(
        [sys.executable, "-c", _GRADIENTS], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"gradients agree on {backend}" in done.stdout

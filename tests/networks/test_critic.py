"""Kinematic chain space and the critic's branches against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.spatial.transform import Rotation

from hpe.networks.critic import (
    Critic,
    RotationCritic,
    ShapeCritic,
    SkeletonCritic,
    bone_incidence,
    kinematic_chain_space,
)
from hpe.skeletons import LSP14, MPII16

# Specification of the hybrid HMR, section 7: the partner of joint b is the other end of bone b.
PARTNERS = (1, 2, 8, 9, 3, 4, 7, 8, 12, 12, 9, 10, 13)


def _numpy(x):
    return ops.convert_to_numpy(x)


def _chains(joints, skeleton=LSP14):
    return _numpy(kinematic_chain_space(ops.convert_to_tensor(joints), skeleton))


@pytest.fixture
def bodies():
    rng = np.random.default_rng(0)
    rotations = Rotation.random(6 * 23, random_state=0).as_matrix().reshape(6, 23, 3, 3)
    joints, shapes = rng.normal(size=(6, 14, 3)), rng.normal(size=(6, 10))
    return [x.astype("float32") for x in (joints, shapes, rotations)]


def test_incidence_is_the_specifications_and_has_rank_13():
    expected = np.zeros((14, 13))
    for bone, partner in enumerate(PARTNERS):
        expected[bone, bone], expected[partner, bone] = 1, -1
    np.testing.assert_array_equal(bone_incidence(LSP14), expected)
    assert np.linalg.matrix_rank(bone_incidence(LSP14)) == 13


def test_chain_space_is_the_products_of_bones(bodies):
    joints = bodies[0]
    bones = joints[:, :13] - joints[:, PARTNERS]
    chains = _chains(joints)
    np.testing.assert_allclose(chains, np.einsum("nbi,nci->nbc", bones, bones), atol=1e-5)
    lengths = np.linalg.norm(bones, axis=-1)
    np.testing.assert_allclose(np.diagonal(chains, axis1=1, axis2=2), lengths**2, rtol=1e-4)


def test_chain_space_of_a_batch_equals_single_evaluations(bodies):
    single = np.concatenate([_chains(joints[None]) for joints in bodies[0]])
    np.testing.assert_allclose(_chains(bodies[0]), single, atol=1e-6)


def test_chain_space_does_not_see_rotation_and_translation(bodies):
    rotation = Rotation.random(random_state=1).as_matrix()
    moved = (bodies[0] @ rotation.T + [1.0, -2.0, 0.5]).astype("float32")
    np.testing.assert_allclose(_chains(moved), _chains(bodies[0]), atol=1e-4)


def test_chain_space_of_another_skeleton():
    joints = np.random.default_rng(1).normal(size=(2, 16, 3)).astype("float32")
    assert _chains(joints, MPII16).shape == (2, 15, 15)
    assert tuple(SkeletonCritic("mpii16")(joints).shape) == (2, 1)


def _leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def _dense_chain(branch, x, activation):
    weights = [_numpy(w.value) for w in branch.weights]
    for kernel, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        x = activation(x @ kernel + bias)
    return x @ weights[-2] + weights[-1]


def test_branches_equal_numpy(bodies):
    joints, shapes, rotations = bodies
    shape_critic, rotation_critic, skeleton_critic = ShapeCritic(), RotationCritic(), SkeletonCritic()
    assert [w.shape[-1] for w in shape_critic.weights[::2]] == [64, 32, 1]
    assert [w.shape[-1] for w in rotation_critic.weights[::2]] == [300, 100, 1]
    assert [tuple(w.shape) for w in skeleton_critic.weights[::2]] == [(169, 100), (42, 100), (200, 1)]
    for branch in (shape_critic, rotation_critic, skeleton_critic):
        for bias in branch.weights[1::2]:  # zero biases would hide a wrong order
            bias.assign(ops.convert_to_tensor(np.linspace(-1, 1, bias.shape[0]), dtype="float32"))
    np.testing.assert_allclose(
        _numpy(shape_critic(shapes)), _dense_chain(shape_critic, shapes, _leaky), atol=1e-5
    )
    flat = rotations.reshape(6, -1)
    np.testing.assert_allclose(
        _numpy(rotation_critic(rotations)), _dense_chain(rotation_critic, flat, _leaky), atol=1e-5
    )

    weights = [_numpy(w.value) for w in skeleton_critic.weights]
    hidden = [
        _leaky(x.reshape(6, -1) @ kernel + bias)
        for x, kernel, bias in zip((_chains(joints), joints), weights[:4:2], weights[1:4:2], strict=True)
    ]
    expected = np.concatenate(hidden, axis=1) @ weights[4] + weights[5]
    np.testing.assert_allclose(_numpy(skeleton_critic(joints)), expected, atol=1e-4)


def test_critic_puts_its_branches_side_by_side(bodies):
    critic = Critic()
    scores = _numpy(critic(*bodies))
    assert scores.shape == (6, 3)
    for column, (branch, x) in enumerate(zip(critic.branches, bodies, strict=True)):
        np.testing.assert_allclose(scores[:, column : column + 1], _numpy(branch(x)), atol=1e-6)


def test_each_sample_is_scored_on_its_own(bodies):
    critic = Critic()
    alone = np.concatenate([_numpy(critic(*(x[i : i + 1] for x in bodies))) for i in range(6)])
    np.testing.assert_allclose(_numpy(critic(*bodies)), alone, atol=1e-5)


def test_weights_exist_from_the_start_and_belong_to_one_branch_each():
    critic = Critic()
    assert len(critic.trainable_variables) == 18
    assert len({id(v) for branch in critic.branches for v in branch.trainable_variables}) == 18
    expected = (169 + 42 + 2) * 100 + 201 + (11 * 64 + 65 * 32 + 33) + (208 * 300 + 301 * 100 + 101)
    assert critic.count_params() == expected


def test_saved_and_loaded_it_scores_the_same(bodies, tmp_path):
    critic = Critic()
    before = _numpy(critic(*bodies))
    critic.save_weights(tmp_path / "critic.weights.h5")
    other = Critic()
    other.load_weights(tmp_path / "critic.weights.h5")
    np.testing.assert_array_equal(_numpy(other(*bodies)), before)
    critic.save(tmp_path / "critic.keras")
    loaded = keras.saving.load_model(tmp_path / "critic.keras")
    np.testing.assert_array_equal(_numpy(loaded(*bodies)), before)


def test_scores_in_single_precision_under_a_mixed_policy(bodies):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        scores = Critic()(*bodies)
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"

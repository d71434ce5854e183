"""Critic losses; the gradient penalty per sample and sub-critic, and the original's defects not reproduced."""

import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses.adversarial import critic_loss, generator_loss, gradient_penalty
from hpe.networks.critic import SkeletonCritic, bone_incidence
from hpe.skeletons import LSP14


def _samples(n, shape=(5,), seed=0):
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(size=(2, n, *shape)).astype("float32")
    return real, fake, rng.random((n, 1)).astype("float32")


def _penalty(branch, real, fake, epsilon):
    return float(gradient_penalty(branch, *(ops.convert_to_tensor(x) for x in (real, fake, epsilon))).value)


def _half_square(x):
    """A critic whose gradient at x is x itself, so that it differs between samples."""
    return 0.5 * ops.sum(ops.square(x), axis=-1, keepdims=True)


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_linear_critic_pays_for_the_length_of_its_weights(n):
    """lambda (||w|| - 1)^2 for every batch size (here lambda = 1)."""
    weights = np.array([[1.0], [-2.0], [0.5], [0.1], [3.0]], "float32")
    found = _penalty(lambda x: ops.matmul(x, weights), *_samples(n))
    assert np.isclose(found, (np.linalg.norm(weights) - 1) ** 2, rtol=1e-5)


def test_norm_is_taken_per_sample_over_all_its_coordinates():
    real, fake, epsilon = _samples(6, (2, 3))
    between = epsilon[..., None] * real + (1 - epsilon[..., None]) * fake
    norms = np.linalg.norm(between.reshape(6, -1), axis=1)

    def branch(x):
        return _half_square(ops.reshape(x, (-1, 6)))

    found = _penalty(branch, real, fake, epsilon)
    assert np.isclose(found, np.mean((norms - 1) ** 2), rtol=1e-5)
    averaged_first = (np.linalg.norm(between.mean(axis=0)) - 1) ** 2
    assert not np.isclose(found, averaged_first, rtol=0.1)


def test_one_epsilon_for_all_coordinates_of_a_sample():
    epsilon = np.array([[0.0], [0.25], [1.0]], "float32")
    found = _penalty(_half_square, np.ones((3, 4), "float32"), np.zeros((3, 4), "float32"), epsilon)
    assert np.isclose(found, np.mean((2 * epsilon - 1) ** 2), rtol=1e-5)


def test_one_sample_does_not_touch_the_others():
    real, fake, epsilon = _samples(4)
    before = 4 * _penalty(_half_square, real, fake, epsilon)
    alone = _penalty(_half_square, real[:1], fake[:1], epsilon[:1])
    real[0] *= 100
    fake[0] *= 100
    after = 4 * _penalty(_half_square, real, fake, epsilon)
    changed = _penalty(_half_square, real[:1], fake[:1], epsilon[:1])
    assert np.isclose(after - changed, before - alone, rtol=1e-3)


def test_repeating_the_batch_changes_nothing():
    batch = _samples(5)
    twice = [np.concatenate([x, x]) for x in batch]
    assert np.isclose(_penalty(_half_square, *batch), _penalty(_half_square, *twice), rtol=1e-6)


def test_critic_that_ignores_its_input_pays_one_and_keeps_finite_gradients():
    real, fake, epsilon = _samples(3)
    assert _penalty(lambda x: 0.0 * x[:, :1], real, fake, epsilon) == 1.0

    def penalty_of_scale(scale):
        return gradient_penalty(
            lambda x: scale * ops.sum(x, axis=-1, keepdims=True), real, fake, epsilon
        ).value

    assert np.isfinite(
        ops.convert_to_numpy(input_gradient(penalty_of_scale, np.zeros((1,), "float32")))
    ).all()


def test_gradient_by_the_weights_equals_finite_differences():
    real, fake, epsilon = _samples(6)
    weights = np.random.default_rng(4).normal(size=(5, 1)).astype("float32")

    def penalty(w):
        return gradient_penalty(lambda x: ops.matmul(ops.tanh(x), w), real, fake, epsilon).value

    gradient = ops.convert_to_numpy(input_gradient(penalty, weights))
    for i in range(5):
        step = np.zeros_like(weights)
        step[i] = 1e-2
        slope = (float(penalty(weights + step)) - float(penalty(weights - step))) / 2e-2
        assert np.isclose(gradient[i, 0], slope, rtol=2e-2, atol=2e-3)


def _skeleton_score(weights, joints):
    """The skeleton branch in double precision: joints (1, 14, 3), weights of its three dense layers."""
    bones = bone_incidence(LSP14).T.astype(float) @ joints
    parts = [(bones @ bones.swapaxes(1, 2)).reshape(1, -1), joints.reshape(1, -1)]
    kernels, biases = weights[::2], weights[1::2]
    hidden = [x @ k + b for x, k, b in zip(parts, kernels[:2], biases[:2], strict=True)]
    hidden = np.concatenate([np.where(h > 0, h, 0.2 * h) for h in hidden], axis=1)
    return (hidden @ kernels[2] + biases[2])[0, 0]


def test_skeleton_penalty_sees_the_chain_space_inside():
    """The input gradient of the whole branch equals finite differences, which include the Psi path."""
    critic = SkeletonCritic()
    weights = [ops.convert_to_numpy(w).astype(float) for w in critic.weights]
    joints = np.random.default_rng(2).normal(size=(1, 14, 3)).astype("float32")
    assert np.isclose(float(critic(joints)[0, 0]), _skeleton_score(weights, joints), rtol=1e-4)
    gradient = ops.convert_to_numpy(input_gradient(critic, joints))
    for coordinate in range(joints.size):
        step = np.zeros(joints.size)
        step[coordinate] = 1e-6
        step = step.reshape(joints.shape)
        slope = (_skeleton_score(weights, joints + step) - _skeleton_score(weights, joints - step)) / 2e-6
        assert np.isclose(gradient.ravel()[coordinate], slope, rtol=1e-3, atol=1e-4)
    found = _penalty(critic, joints, joints, np.full((1, 1), 0.5, "float32"))
    assert np.isclose(found, (np.linalg.norm(gradient) - 1) ** 2, rtol=1e-4)


def test_critic_and_generator_losses_sum_over_the_sub_critics():
    real = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]], "float32")
    fake = np.array([[0.0, 1.0, -1.0], [0.0, 3.0, -3.0]], "float32")
    assert np.isclose(float(critic_loss(real, fake).value), (0 + 2 - 2) - (2 + 3 + 4))
    assert np.isclose(float(generator_loss(fake).value), -(0 + 2 - 2))
    assert np.isclose(float(generator_loss(real).value), -9)
    with pytest.raises(ValueError, match="as many real bodies"):
        critic_loss(real, fake[:1])

"""Wasserstein critic losses with the gradient penalty of Gulrajani et al. (2017), per sample."""

from __future__ import annotations

from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.losses.means import Mean, mean_of


def critic_loss(real_scores, fake_scores) -> Mean:
    """Returns sum over sub-critics of mean(D(fake)) - mean(D(real)), without the penalty.

    Args:
        real_scores: (N, K) scores of real bodies by K sub-critics.
        fake_scores: (N, K) scores of as many generated bodies.
    """
    real_scores, fake_scores = ops.convert_to_tensor(real_scores), ops.convert_to_tensor(fake_scores)
    if tuple(real_scores.shape) != tuple(fake_scores.shape):
        raise ValueError(
            "the critic compares as many real bodies as generated ones. Received: "
            f"{tuple(real_scores.shape)} and {tuple(fake_scores.shape)}"
        )
    return mean_of(ops.sum(fake_scores - real_scores, axis=1))


def generator_loss(fake_scores) -> Mean:
    """Returns - sum over sub-critics of mean(D(fake)) of scores (N, K)."""
    return mean_of(-ops.sum(ops.convert_to_tensor(fake_scores), axis=1))


def gradient_penalty(branch, real, fake, epsilon) -> Mean:
    """Penalises a sub-critic where its gradient, between real and fake samples, has not unit length.

    mean_n (|| dD(x_n) / dx_n || - 1)^2 at x_n = epsilon_n real_n + (1 - epsilon_n) fake_n, with the norm over
    all coordinates of one sample (Gulrajani et al., 2017, equation 3). The factor lambda is the caller's.

    Args:
        branch: maps samples (N, ...) to scores (N, 1), each sample on its own.
        real, fake: (N, ...) samples of equal shape.
        epsilon: (N, 1) uniform in [0, 1), one number per sample; the same for every sub-critic.

    Returns:
        Mean over the samples.
    """
    real, fake, epsilon = (ops.convert_to_tensor(x) for x in (real, fake, epsilon))
    per_sample = ops.reshape(epsilon, (-1,) + (1,) * (len(real.shape) - 1))
    between = per_sample * real + (1.0 - per_sample) * fake
    gradient = input_gradient(branch, between)
    squared = ops.sum(ops.square(gradient), axis=tuple(range(1, len(real.shape))))
    return mean_of(ops.square(_safe_sqrt(squared) - 1.0))


def _safe_sqrt(x):
    """Square root whose gradient at 0 is 0, not infinite; both arms of the choice stay finite."""
    positive = x > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, x, ops.ones_like(x))), ops.zeros_like(x))

"""The soft-argmax of volumes: the same as the direct form, differentiable, exact where one cell has it all."""

import numpy as np
import pytest
from keras import ops

from hpe.backends.autodiff import input_gradient
from hpe.networks.soft_argmax import volumetric_soft_argmax

B, H, W, J, Z = 2, 5, 6, 3, 4
LOGITS = np.random.default_rng(0).normal(0, 2, (B, H, W, J * Z)).astype(np.float32)
numpy = ops.convert_to_numpy


def direct(logits):
    """Softmax over all cells of a joint, times the place of each, in double precision."""
    volumes = logits.astype(np.float64).reshape(*logits.shape[:3], J, Z).transpose(0, 3, 4, 1, 2)
    weights = np.exp(volumes - volumes.max(axis=(2, 3, 4), keepdims=True))
    weights /= weights.sum(axis=(2, 3, 4), keepdims=True)
    z, y, x = np.meshgrid(*(np.arange(n) / (n - 1) for n in volumes.shape[2:]), indexing="ij")
    return np.stack([(weights * place).sum(axis=(2, 3, 4)) for place in (x, y, z)], axis=-1) - 0.5


def test_it_is_the_mean_place_under_the_softmax():
    np.testing.assert_allclose(numpy(volumetric_soft_argmax(LOGITS, J)), direct(LOGITS), atol=1e-5)
    # Logits of any size, which exp alone would not bear.
    np.testing.assert_allclose(numpy(volumetric_soft_argmax(LOGITS + 500, J)), direct(LOGITS), atol=1e-4)


def test_one_large_logit_is_its_place():
    logits = np.zeros((1, H, W, J * Z), np.float32)
    logits[0, 4, 2, 1 * Z + 3] = 100.0
    found = numpy(volumetric_soft_argmax(logits, J))[0]
    np.testing.assert_allclose(found[1], [2 / 5 - 0.5, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(found[[0, 2]], 0.0, atol=1e-6)


def test_the_gradient_is_that_of_finite_differences():
    pull = np.random.default_rng(1).normal(size=(B, J, 3)).astype(np.float32)
    gradient = numpy(input_gradient(lambda x: volumetric_soft_argmax(x, J) * pull, LOGITS))
    step = 1e-3
    for place in [(0, 0, 0, 0), (1, 4, 5, 11), (1, 2, 3, 6)]:
        more, less = LOGITS.astype(np.float64), LOGITS.astype(np.float64)
        more[place] += step
        less[place] -= step
        slope = ((direct(more) - direct(less)) * pull).sum() / (2 * step)
        assert gradient[place] == pytest.approx(slope, rel=1e-3, abs=1e-6)
    # What is added to all cells of a volume changes nothing.
    np.testing.assert_allclose(gradient.reshape(B, -1, J, Z).sum(axis=(1, 3)), 0.0, atol=1e-5)


@pytest.mark.parametrize(("shape", "joints"), [((1, 4, 4, 10), 3), ((1, 1, 4, 12), 3), ((1, 4, 4, 3), 3)])
def test_other_shapes_are_refused(shape, joints):
    with pytest.raises(ValueError, match=r"Received: shape=\(1, "):
        volumetric_soft_argmax(np.zeros(shape, np.float32), joints)

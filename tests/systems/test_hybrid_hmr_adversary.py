"""The critic's side: both kinds of bodies in one frame, switches, and which way gradients flow."""

import copy

import keras
import numpy as np
import pytest

from hpe.backends.autodiff import input_gradient
from hpe.networks.randomness import BatchSeed
from hpe.systems.hybrid_hmr import HybridHmrConfig
from hpe.systems.hybrid_hmr_adversary import KinematicAdversary
from tests.systems.conftest import SEED, build

numpy = keras.ops.convert_to_numpy


@pytest.fixture(scope="module")
def adversary(system):
    return system.adversary


@pytest.fixture(scope="module")
def real():
    rng = np.random.default_rng(3)
    return {
        "pose": rng.normal(scale=0.3, size=(6, 72)).astype(np.float32),
        "shape": rng.normal(size=(6, 10)).astype(np.float32),
    }


def with_root(pose, root):
    return np.concatenate([np.broadcast_to(np.float32(root), (len(pose), 3)), pose[:, 3:]], axis=1)


def build_like(system, **options):
    """An adversary of other settings over the same body."""
    return KinematicAdversary(system.body, num_stages=3, **options)


def posed(system, thetas):
    """What a generator of one stage yields for thetas."""
    thetas = keras.ops.convert_to_tensor(thetas)
    return {"stages": [thetas], **system.pose_body(thetas, vertices=False)}


def sides(adversary, outputs, real):
    """The critic's inputs, NumPy: of all stages, and of mocap frames."""
    return [[numpy(t) for t in side] for side in adversary.fake_and_real_bodies(outputs, real, seed=SEED)]


def test_the_heading_of_a_recording_changes_nothing(adversary, outputs, real):
    upright = sides(adversary, outputs, real)[1]
    turned = sides(adversary, outputs, {**real, "pose": with_root(real["pose"], [1.2, -0.7, 0.4])})[1]
    for one, other in zip(upright, turned, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_real_and_fake_bodies_of_the_same_pose_are_the_same(system, outputs, real):
    shape = np.random.default_rng(4).normal(size=(6, 10)).astype(np.float32)
    # The same bodies as a generator yields them: turned to the camera and seen from anywhere.
    thetas = np.concatenate(
        [np.full((6, 3), 0.7, np.float32), with_root(real["pose"], [np.pi, 0.1, 0]), shape], axis=1
    )
    one_stage = KinematicAdversary(system.body, num_stages=1, normal_shapes=False)
    fakes, reals = sides(one_stage, posed(system, thetas), {**real, "shape": shape})
    for fake, true in zip(fakes, reals, strict=True):
        np.testing.assert_allclose(fake, true, atol=1e-5)
    assert [tensor.shape for tensor in fakes] == [(6, 14, 3), (6, 10), (6, 23, 3, 3)]


def test_joints_are_centred_on_the_hips(adversary, outputs, real):
    for joints, *_ in sides(adversary, outputs, real):
        np.testing.assert_allclose(joints[:, 2:4].mean(axis=1), 0, atol=1e-6)
        # In the rest frame y points up: the head is above, the feet are below.
        assert (joints[:, 13, 1] > 0.3).all()
        assert (joints[:, [0, 5], 1] < 0).all()


def test_the_stages_of_one_image_stand_together(system, adversary, outputs, real):
    fakes, _ = sides(adversary, outputs, real)
    assert fakes[1].shape == (6, 10)
    assert adversary.real_examples_per_image() == 3
    for stage, theta in enumerate(outputs["stages"]):
        alone = adversary.bodies(*(posed(system, theta)[name] for name in ("rotmats", "shape", "joints3d")))
        for together, own in zip(fakes, alone, strict=True):
            np.testing.assert_allclose(together[stage::3], numpy(own), atol=1e-5)


def test_the_default_body_is_shown_shapes_of_the_normal_distribution(system, adversary):
    assert adversary.normal_shapes  # the coefficients in mocap files are SMPL's
    shape = np.full((1200, 10), 9.0, np.float32)
    shapes = numpy(adversary.real_shapes(shape, SEED))
    assert np.abs(shapes.mean(axis=0)).max() < 0.15
    np.testing.assert_allclose(shapes.std(axis=0), 1, atol=0.1)
    np.testing.assert_array_equal(shapes, numpy(adversary.real_shapes(shape, SEED)))
    assert (shapes != numpy(adversary.real_shapes(shape, SEED + 1))).all()
    assert (numpy(build_like(system, normal_shapes=False).real_shapes(shape, SEED)) == 9).all()


def test_a_shape_that_is_not_known_is_drawn(adversary):
    adversary = copy.copy(adversary)
    adversary.normal_shapes = False
    shape, weight = np.full((12, 10), 9.0, np.float32), np.float32([1, 0] * 6)
    shapes = numpy(adversary.real_shapes(shape, SEED, weight))
    np.testing.assert_array_equal(shapes[::2], 9)
    assert np.abs(shapes[1::2]).max() < 6


def test_half_a_batch_is_shown_the_shapes_of_its_half(adversary):
    shape = np.zeros((12, 10), np.float32)
    whole = numpy(adversary.real_shapes(shape, SEED))
    half = numpy(adversary.real_shapes(shape[:6], BatchSeed(SEED, first=2, samples=4)))
    np.testing.assert_array_equal(half, whole[6:])


def test_critic_losses_are_the_sum_of_their_parts(adversary, outputs, real):
    losses = adversary.critic_losses(outputs, real, seed=SEED)
    parts = {name: float(value) for name, value in losses.values().items()}
    assert float(losses.total) == pytest.approx(
        parts["critic_network_loss"] + 10 * parts["penalty"], rel=1e-5
    )
    fake, true = (numpy(adversary.critic(*side)).mean(0) for side in sides(adversary, outputs, real))
    assert parts["critic_network_loss"] == pytest.approx((fake - true).sum(), rel=1e-4, abs=1e-5)
    assert parts["penalty"] > 0


def test_generator_loss_is_the_weighted_score_of_the_last_stage(adversary, outputs, real):
    losses = adversary.generator_losses(outputs)
    last = [tensor[2::3] for tensor in sides(adversary, outputs, real)[0]]
    score = numpy(adversary.critic(*last)).mean(0).sum()
    assert float(losses.values()["generator_critic_loss"]) == pytest.approx(-score, rel=1e-4)
    assert float(losses.total) == pytest.approx(-HybridHmrConfig().critic_loss_weight * score, rel=1e-4)


def test_without_rotations_and_without_penalty(system, outputs, real):
    plain = build_like(system, use_rotations=False, penalty_weight=0.0)
    assert len(sides(plain, outputs, real)[0]) == len(plain.critic.branches) == 2
    losses = plain.critic_losses(outputs, real, seed=SEED)
    assert losses.parts.keys() == {"critic_network_loss"}
    assert float(losses.total) == float(losses.values()["critic_network_loss"])


def test_settings_reach_the_adversary():
    built = build(
        use_gradient_penalty=False, critic_use_rotations=False, critic_loss_weight=0.5, num_stage=2
    ).adversary
    assert (built.penalty_weight, built.generator_weight, built.num_stages) == (0.0, 0.5, 2)
    assert not built.critic.use_rotations


def test_gradients_reach_the_generator_through_its_own_term_alone(system, adversary, outputs, real):
    theta = numpy(outputs["stages"][-1])

    def generator_total(x):
        return adversary.generator_losses(posed(system, x)).total

    own = numpy(input_gradient(generator_total, theta))
    assert np.abs(own[:, 6:]).max(axis=0).min() > 0  # every body rotation and every shape coefficient
    # The critic judges neither the camera nor the heading, but for rounding.
    assert np.abs(own[:, :6]).max() < 1e-5 * np.abs(own).max()

    def critic_total(x):
        yielded = {**posed(system, x), "stages": [x] * 3}
        return adversary.critic_losses(yielded, real, seed=SEED).total

    assert np.abs(numpy(input_gradient(critic_total, theta))).max() == 0


def test_bones_are_measured_in_metres(adversary, outputs, real):
    measured = adversary.critic_losses(outputs, real, seed=SEED).measured
    assert measured.keys() == {"bones/avg_total_bone_length_pred", "bones/avg_total_bone_length_gt"}
    for mean in measured.values():
        assert 3.5 < float(mean.value) < 6.5  # all 13 bones of an adult together

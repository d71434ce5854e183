"""The critic's side: both kinds of bodies in one frame, switches, and which way gradients flow."""

import keras
import numpy as np
import pytest

from hpe.autodiff import input_gradient
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


def test_the_heading_of_a_recording_changes_nothing(adversary, real):
    upright = adversary.real_bodies(real, seed=SEED)
    turned = adversary.real_bodies({**real, "pose": with_root(real["pose"], [1.2, -0.7, 0.4])}, seed=SEED)
    for one, other in zip(upright, turned, strict=True):
        np.testing.assert_allclose(numpy(one), numpy(other), atol=1e-6)


def test_real_and_fake_bodies_of_the_same_pose_are_the_same(adversary, real):
    shape = np.random.default_rng(4).normal(size=(6, 10)).astype(np.float32)
    # The same bodies as a generator yields them: turned to the camera and seen from anywhere.
    thetas = np.concatenate(
        [np.full((6, 3), 0.7, np.float32), with_root(real["pose"], [np.pi, 0.1, 0]), shape], axis=1
    )
    fakes = adversary.fake_bodies({"stages": [thetas]})
    reals = build_like(adversary, normal_shapes=False).real_bodies({**real, "shape": shape}, seed=SEED)
    for fake, true in zip(fakes, reals, strict=True):
        np.testing.assert_allclose(numpy(fake), numpy(true), atol=1e-5)
    assert [tuple(tensor.shape) for tensor in fakes] == [(6, 14, 3), (6, 10), (6, 23, 3, 3)]


def test_joints_are_centred_on_the_hips(adversary, real):
    joints = numpy(adversary.real_bodies(real, seed=SEED)[0])
    np.testing.assert_allclose(joints[:, 2:4].mean(axis=1), 0, atol=1e-6)
    # In the rest frame y points up: the head is above, the feet are below.
    assert (joints[:, 13, 1] > 0.3).all()
    assert (joints[:, [0, 5], 1] < 0).all()


def build_like(adversary, **options):
    """An adversary of other settings over the same body."""
    return KinematicAdversary(adversary.body, num_stages=3, **options)


def test_stages_follow_each_other(adversary, outputs):
    fakes = adversary.fake_bodies(outputs)
    assert tuple(fakes[1].shape) == (6, 10)
    np.testing.assert_allclose(numpy(fakes[1])[2:4], numpy(outputs["stages"][1])[:, 75:], atol=0)
    assert adversary.real_examples_per_image() == 3


def test_the_default_body_is_shown_shapes_of_the_normal_distribution(adversary, real):
    assert adversary.normal_shapes  # the coefficients in mocap files are SMPL's
    many = {"pose": np.tile(real["pose"], (200, 1)), "shape": np.full((1200, 10), 9.0, np.float32)}
    shapes = numpy(adversary.real_bodies(many, seed=SEED)[1])
    assert np.abs(shapes.mean(axis=0)).max() < 0.15
    np.testing.assert_allclose(shapes.std(axis=0), 1, atol=0.1)
    np.testing.assert_array_equal(shapes, numpy(adversary.real_bodies(many, seed=SEED)[1]))
    assert (shapes != numpy(adversary.real_bodies(many, seed=SEED + 1)[1])).all()
    from_files = build_like(adversary, normal_shapes=False).real_bodies(many, seed=SEED)[1]
    assert (numpy(from_files) == 9).all()


def test_critic_losses_are_the_sum_of_their_parts(adversary, outputs, real):
    losses = adversary.critic_losses(outputs, real, seed=SEED)
    parts = {name: float(value) for name, value in losses.parts.items()}
    assert float(losses.total) == pytest.approx(
        parts["critic_network_loss"] + 10 * parts["penalty"], rel=1e-5
    )
    scores = numpy(adversary.critic(*adversary.fake_bodies(outputs))).mean(0) - numpy(
        adversary.critic(*adversary.real_bodies(real, seed=SEED))
    ).mean(0)
    assert parts["critic_network_loss"] == pytest.approx(scores.sum(), rel=1e-4, abs=1e-5)
    assert parts["penalty"] > 0


def test_generator_loss_is_the_weighted_score_of_the_last_stage(adversary, outputs):
    losses = adversary.generator_losses(outputs)
    score = numpy(adversary.critic(*adversary.fake_bodies({"stages": outputs["stages"][-1:]}))).mean(0).sum()
    assert float(losses.parts["generator_critic_loss"]) == pytest.approx(-score, rel=1e-4)
    assert float(losses.total) == pytest.approx(-0.01 * score, rel=1e-4)


def test_without_rotations_and_without_penalty(adversary, outputs, real):
    plain = build_like(adversary, use_rotations=False, penalty_weight=0.0)
    assert len(plain.fake_bodies(outputs)) == len(plain.critic.branches) == 2
    losses = plain.critic_losses(outputs, real, seed=SEED)
    assert losses.parts.keys() == {"critic_network_loss"}
    assert float(losses.total) == float(losses.parts["critic_network_loss"])


def test_settings_reach_the_adversary():
    built = build(
        use_gradient_penalty=False, critic_use_rotations=False, critic_loss_weight=0.5, num_stage=2
    ).adversary
    assert (built.penalty_weight, built.generator_weight, built.num_stages) == (0.0, 0.5, 2)
    assert not built.critic.use_rotations


def test_gradients_reach_the_generator_through_its_own_term_alone(adversary, outputs, real):
    theta = numpy(outputs["stages"][-1])
    own = numpy(input_gradient(lambda x: adversary.generator_losses({"stages": [x]}).total, theta))
    assert np.abs(own[:, 6:]).max(axis=0).min() > 0  # every body rotation and every shape coefficient
    # The critic neither judges the camera nor the heading.
    assert np.abs(own[:, :6]).max() == 0

    def critic_total(x):
        return adversary.critic_losses({"stages": [x] * 3}, real, seed=SEED).total

    assert np.abs(numpy(input_gradient(critic_total, theta))).max() == 0


def test_bones_are_measured_in_metres(adversary, outputs, real):
    measured = adversary.measurements(outputs, real, seed=SEED)
    assert measured.keys() == {"bones/avg_total_bone_length_pred", "bones/avg_total_bone_length_gt"}
    for value in measured.values():
        assert 3.5 < float(value) < 6.5  # all 13 bones of an adult together

"""One training step: what it changes, what a loss that is not finite leaves alone, eager as compiled."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.training.step import TrainingStep
from tests.training.conftest import build_system, state
from tests.written_people import run_config


def make_step(data, *, eager=True, model=None, seed=0, epoch_steps=1, total_steps=1, **optimization):
    model = {"use_mesh_repro_loss": True, **(model or {})}
    config = run_config(data, model=model, optimization=optimization)
    return TrainingStep(
        build_system(config),
        config.optimization,
        seed=seed,
        step=tf.Variable(0, dtype=tf.int64, trainable=False),
        epoch_steps=epoch_steps,
        total_steps=total_steps,
        eager=eager,
    )


NO_PLACE = {"joints2d": np.float32([np.nan, 0]), "mocap/pose": np.float32(np.nan)}


def take(step, batch):
    return step(batch, done=int(step.step))


def everything(step):
    networks = [*step.system.networks.values(), *step.system.training_networks.values()]
    return state(*networks, *step.optimizers.values())


@dataclasses.dataclass(frozen=True)
class FirstStep:
    """A step that was made once: what it returned, and variables before and after."""

    step: TrainingStep
    seeds: list
    scalars: dict
    groups: dict
    before: dict
    moments: list


def first_step(data, examples, *, eager):
    step = make_step(data, eager=eager, seed=3, generator_lr=3e-4, model={"dropout": 0.1})
    system = step.system
    groups = {
        **{name: list(optimizer.variables) for name, optimizer in system.optimizers.items()},
        "statistics": list(system.non_trainable_variables),
    }
    before = {name: [v.numpy() for v in group] for name, group in groups.items()}
    seeds, forward = [], system.forward

    def watched(images, *, seed, **options):
        seeds.append(seed.pair)
        return forward(images, seed=seed, **options)

    system.forward = watched
    step.step.assign(5)
    scalars = {name: float(value) for name, value in take(step, examples).items()}
    moments = [v.numpy() for v in step.optimizers["main"].variables if "momentum" in v.path]
    return FirstStep(step, seeds, scalars, groups, before, moments)


@pytest.fixture(scope="module")
def eager(data, examples):
    return first_step(data, examples, eager=True)


@pytest.fixture(scope="module")
def compiled(data, examples):
    return first_step(data, examples, eager=False)


def test_a_step_changes_weights_and_statistics(eager):
    for name, group in eager.groups.items():
        changed = [(v.numpy() != old).any() for v, old in zip(group, eager.before[name], strict=True)]
        still = [v.path for v, moved in zip(group, changed, strict=True) if not moved]
        # The last bias of a critic cancels out of its loss: real and fake scores both hold it.
        assert all(name == "critic" and "bias" in path for path in still), still
    assert int(eager.step.step) == 6


def test_a_step_reports_every_loss(eager):
    scalars, config = eager.scalars, eager.step.system.config
    assert scalars.keys() == {
        *(f"loss/{name}" for name in ("kpr_loss", "mr_loss", "body_loss", "joints3d_loss", "total")),
        "loss/generator_critic_loss",
        *(f"critic/{name}" for name in ("critic_network_loss", "penalty", "total")),
        *(f"bones/avg_total_bone_length_{side}" for side in ("pred", "gt")),
        *(f"{name}/gradient_norm" for name in ("loss", "critic")),
        *(f"run/learning_rate_{name}" for name in ("main", "critic")),
        "run/bad_steps",
    }
    assert scalars["loss/total"] == pytest.approx(
        config.kpr_loss_weight * scalars["loss/kpr_loss"]
        + config.mr_loss_weight * scalars["loss/mr_loss"]
        + config.critic_loss_weight * scalars["loss/generator_critic_loss"],
        rel=1e-4,
    )


def test_randomness_is_drawn_from_seed_and_step(eager):
    assert [np.array(seed).tolist() for seed in eager.seeds] == [[3, 5]]


def test_compiled_steps_equal_eager_ones(eager, compiled):
    assert eager.scalars.keys() == compiled.scalars.keys()
    for name, value in eager.scalars.items():
        assert value == pytest.approx(compiled.scalars[name], rel=1e-4, abs=1e-5), name
    assert len(eager.moments) == len(eager.groups["main"])
    for one, other in zip(eager.moments, compiled.moments, strict=True):
        # Other kernels round otherwise.
        assert np.abs(one - other).max() <= 1e-5 + 2e-3 * np.abs(one).max()


@pytest.mark.parametrize("spoiled", ["joints2d", "mocap/pose"])
def test_what_is_not_finite_changes_nothing_and_is_counted(compiled, examples, spoiled):
    step = compiled.step
    # Visible joints whose place is no number.
    bad = {**examples, spoiled: examples[spoiled] + NO_PLACE[spoiled]}
    before, done = everything(step), int(step.step)
    for times in (1, 2):
        scalars = take(step, bad)
        assert int(step.bad_steps) == float(scalars["run/bad_steps"]) == times
    for old, new in zip(before, everything(step), strict=True):
        np.testing.assert_array_equal(old, new)
    assert int(step.step) == done + 2  # the next step must see other data
    take(step, examples)
    assert int(step.bad_steps) == 0
    assert any((old != new).any() for old, new in zip(before, everything(step), strict=True))


def test_loss_falls(compiled, examples):
    losses = [float(take(compiled.step, examples)["loss/total"]) for _ in range(40)]
    assert np.mean(losses[-10:]) < 0.7 * compiled.scalars["loss/total"]


def test_without_a_critic_there_is_one_optimizer(data):
    assert make_step(data, model={"encoder_only": True}).optimizers.keys() == {"main"}


def changed(variables, before):
    return [bool((v.numpy() != old).any()) for v, old in zip(variables, before, strict=True)]


def test_a_network_that_is_frozen_stays_as_it_is_and_thaws(data, examples):
    step = make_step(data, epoch_steps=1, freeze_epochs=1.0)
    encoder, regressor = (step.system.networks[name] for name in ("encoder", "regressor"))
    assert step.optimizers.keys() == {"main", "encoder", "critic"}
    before = [v.numpy() for v in encoder.variables]
    weights = [v.numpy() for v in regressor.variables]
    take(step, examples)
    assert not any(changed(encoder.variables, before))  # statistics included
    assert all(changed(regressor.trainable_variables, weights))
    take(step, examples)
    assert all(changed(encoder.variables, before))
    # Its optimizer has seen one update, so that its first step is corrected as a first step.
    assert int(step.optimizers["encoder"].iterations) == 1
    assert int(step.optimizers["main"].iterations) == 2


def test_networks_that_do_not_exist_cannot_be_frozen(data):
    with pytest.raises(UserError, match=r"freeze_networks=backbone: .*encoder, regressor"):
        make_step(data, freeze_epochs=1.0, freeze_networks=("backbone",))


def test_clipped_gradients_have_the_norm_that_was_asked_for(data, examples, monkeypatch):
    free, clipped = make_step(data), make_step(data, clip_norm=1e-3)
    seen = {}
    for name, step in (("free", free), ("clipped", clipped)):
        optimizer = step.optimizers["main"]
        monkeypatch.setattr(optimizer, "apply_gradients", lambda pairs, name=name: seen.update({name: pairs}))
        scalars = take(step, examples)
        # What is logged is the norm before clipping.
        assert float(scalars["loss/gradient_norm"]) > 0.1
    norms = {name: float(tf.linalg.global_norm([g for g, _ in pairs])) for name, pairs in seen.items()}
    assert norms["clipped"] == pytest.approx(1e-3, rel=1e-4)
    assert norms["free"] > 0.1
    ratio = seen["clipped"][0][0] / seen["free"][0][0]
    np.testing.assert_allclose(ratio, norms["clipped"] / norms["free"], rtol=1e-3)


def test_the_weight_of_a_loss_follows_its_schedule(data, examples):
    step = make_step(data, epoch_steps=2, loss_schedules=("kpr_loss=0@0:1@1", "critic_network_loss=2@0"))
    weights = step.system.config
    for factor in (0.0, 0.5, 1.0, 1.0):
        scalars = {name: float(value) for name, value in take(step, examples).items()}
        expected = (
            factor * weights.kpr_loss_weight * scalars["loss/kpr_loss"]
            + weights.mr_loss_weight * scalars["loss/mr_loss"]
            + weights.critic_loss_weight * scalars["loss/generator_critic_loss"]
        )
        assert scalars["loss/total"] == pytest.approx(expected, rel=1e-4)
        critic = 2 * scalars["critic/critic_network_loss"] + 10 * scalars["critic/penalty"]
        assert scalars["critic/total"] == pytest.approx(critic, rel=1e-4)


def test_schedules_of_losses_that_are_not_there_are_refused(data):
    with pytest.raises(UserError, match=r"loss_schedules=silhouette.*kpr_loss, mr_loss"):
        make_step(data, loss_schedules=("silhouette=0@0",))


def test_the_critic_takes_as_many_turns_as_asked_for_each_with_frames_of_its_own(data, examples):
    streams = ("mocap/pose", "mocap/shape")
    more = {name: tf.concat([examples[name], examples[name][::-1]], axis=1) for name in streams}
    critic = {"pose": [], "shape": [], "seed": []}
    step = make_step(data, model={"critic_steps": 2})
    assert step.system.needs.streams == {"mocap": 6}
    losses = step.system.adversary.critic_losses

    def watched(outputs, frames, *, seed):
        for key, value in {**frames, "seed": seed.pair}.items():
            critic.setdefault(key, []).append(value.numpy())
        return losses(outputs, frames, seed=seed)

    step.system.adversary.critic_losses = watched
    take(step, {**examples, **more})
    assert int(step.optimizers["critic"].iterations) == 2
    assert int(step.optimizers["main"].iterations) == 1
    for turn, frames in enumerate(critic["pose"]):
        expected = more["mocap/pose"].numpy()[:, 3 * turn : 3 * turn + 3]
        np.testing.assert_array_equal(frames, expected.reshape(12, 72))
    assert (critic["seed"][0] != critic["seed"][1]).any()  # other draws


def test_the_average_follows_sound_steps_alone(data, examples):
    step = make_step(data, ema_decay=0.9)
    take(step, examples)
    assert int(step.average.updates) == 1
    before = [v.numpy() for v in step.average.variables.values()]
    take(step, {**examples, "joints2d": examples["joints2d"] + NO_PLACE["joints2d"]})
    assert int(step.average.updates) == 1
    assert not any(changed(step.average.variables.values(), before))


def test_steps_are_traced_once(compiled):
    # The examples of this module came in three kinds of dicts of the same shapes.
    assert compiled.step.times_traced == 1

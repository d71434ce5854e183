"""Starting from another run's weights: what fits is taken, and the rest is told."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.runs import RunDirectory, load
from hpe.runs.checkpoints import Checkpoint
from hpe.runs.initialization import describe, initialize
from hpe.runs.store import CheckpointStore
from hpe.runs.weights import all_networks, assign, named_variables
from hpe.systems.hrnet import HrnetConfig
from hpe.systems.lifter import InputFrame, LifterConfig
from hpe.training import loop
from hpe.training.config import TrainingConfig
from hpe.training.loop import train
from hpe.training.settings import RunConfig, read_config, write_config
from tests.training.conftest import build_system
from tests.written_people import run_config


@pytest.fixture(scope="module")
def source(data, tmp_path_factory):
    """A saved system, as the run directory that holds it."""
    path = tmp_path_factory.mktemp("source") / "run"
    system = build_system(run_config(data), seed=1)
    CheckpointStore(path / "checkpoints", system).save()
    return path, system


def other_system(data, **options):
    return build_system(run_config(data, **options), seed=2)


def same(one, other):
    pairs = zip(one.variables, other.variables, strict=True)
    return [a.shape == b.shape and (a.numpy() == b.numpy()).all() for a, b in pairs]


def by_name(matches):
    return {match.network: match for match in matches}


def test_all_of_the_same_architecture_is_taken(data, source):
    path, one = source
    # Another size of image and fewer stages leave the variables as they are.
    other = other_system(data, pipeline={"img_size": 64}, model={"num_stage": 2})
    assert not all(same(one.encoder, other.encoder))
    for taken in (path, path / "checkpoints", path / "checkpoints" / "ckpt-0"):
        matches = initialize(other, taken)
        assert [(m.network, m.matched == m.total) for m in matches] == [
            ("encoder", True),
            ("regressor", True),
            ("critic", True),
        ]
    for name, network in {**one.networks, **one.training_networks}.items():
        assert all(same(network, {**other.networks, **other.training_networks}[name])), name
    assert describe(matches, "runs/a").splitlines() == [
        "weights from runs/a:",
        "  encoder    77 of 77 variables matched",
        "  regressor  7 of 7 variables matched",
        "  critic     18 of 18 variables matched",
    ]


def test_another_encoder_leaves_what_depends_on_it(data, source):
    path, one = source
    other = other_system(data, model={"encoder": "MobileNetV2"})
    before = [variable.numpy() for variable in other.encoder.variables]
    matches = initialize(other, path)
    found = by_name(matches)
    assert found["encoder"].matched == 0
    assert all((v.numpy() == b).all() for v, b in zip(other.encoder.variables, before, strict=True))
    assert (found["regressor"].matched, found["regressor"].total) == (6, 7)
    ((name, here, there),) = found["regressor"].differing
    assert name.endswith("hidden_0/kernel")
    assert (here, there) == ((1280 + 85, 1024), (640 + 85, 1024))
    assert same(one.regressor, other.regressor) == [True, False, *[True] * 5]
    assert all(same(one.training_networks["critic"], other.training_networks["critic"]))
    report = describe(matches, path).splitlines()
    assert "    absent there, or of another architecture" in report
    assert f"    {name} is (1365, 1024), there (725, 1024)" in report


def test_a_network_of_fewer_parts_is_taken_and_one_with_more_parts_starts_new_ones(data, tmp_path):
    small = other_system(data, model={"critic_use_rotations": False})
    CheckpointStore(tmp_path / "run" / "checkpoints", small).save()
    matches = initialize(large := other_system(data), tmp_path / "run", networks=["critic"])
    (match,) = matches
    assert (match.network, match.matched, match.total, match.differing) == ("critic", 12, 18, ())
    assert all(name.startswith("critic/rotation/") for name in match.absent)
    here, there = (named_variables(one.training_networks) for one in (large, small))
    for name, variable in there.items():
        np.testing.assert_array_equal(variable.numpy(), here[name].numpy())
    assert describe(matches, "x").splitlines()[2].startswith("    absent there: critic/rotation/")
    # And the other way.
    CheckpointStore(tmp_path / "large" / "checkpoints", large).save()
    (match,) = initialize(small, tmp_path / "large", networks=["critic"])
    assert (match.matched, match.total, match.unused) == (12, 12, 6)
    assert "not in this network: 6 variables there" in describe([match], "x")


class Networks:
    """A system as far as its weights are concerned."""

    def __init__(self, **networks):
        self.networks = networks
        self.training_networks = {}


def test_a_small_resnet_fits_into_a_larger_one_by_name(tmp_path):
    small, large = (
        Networks(encoder=build(include_top=False, weights=None, input_shape=(32, 32, 3)))
        for build in (keras.applications.ResNet50, keras.applications.ResNet101)
    )
    CheckpointStore(tmp_path / "run" / "checkpoints", small).save()
    (match,) = initialize(large, tmp_path / "run")
    assert (match.matched, match.total, match.differing, match.unused) == (318, 624, (), 0)
    here, there = named_variables(large.networks), named_variables(small.networks)
    for name, variable in there.items():
        np.testing.assert_array_equal(variable.numpy(), here[name].numpy())


def two_layers(order, seed):
    """A network whose layers of one shape are made, and stand in its list of variables, in some order."""
    keras.utils.set_random_seed(seed)
    layers = {name: keras.layers.Dense(4, name=name, bias_initializer="normal") for name in order}
    inputs = keras.Input((4,))
    return layers, Networks(net=keras.Model(inputs, [layers[name](inputs) for name in order]))


def test_layers_of_one_shape_that_are_made_in_the_other_order_keep_their_weights(tmp_path):
    old, first = two_layers(("left", "right"), seed=0)
    path = CheckpointStore(tmp_path / "run" / "checkpoints", first).save()
    for take in (
        lambda system: initialize(system, path),
        lambda system: assign(system, Checkpoint(path).weights),
        lambda system: CheckpointStore(tmp_path / "run" / "checkpoints", system).restore(),
    ):
        new, second = two_layers(("right", "left"), seed=1)
        take(second)
        for name in old:
            np.testing.assert_array_equal(new[name].kernel, old[name].kernel)
            np.testing.assert_array_equal(new[name].bias, old[name].bias)


def write_numbered(path, system, step=5):
    """Writes a checkpoint as earlier versions did: variables numbered in their order."""

    class Listed(tf.Module):
        def __init__(self, variables):
            super().__init__()
            self.listed = {f"{i:04d}": variable.value for i, variable in enumerate(variables)}

    networks = {f"network_{name}": Listed(net.variables) for name, net in all_networks(system).items()}
    path.mkdir(parents=True)
    return tf.train.Checkpoint(step=tf.Variable(step, dtype=tf.int64), **networks).write(str(path / "ckpt-5"))


def test_a_checkpoint_of_an_earlier_version_is_a_start_and_nothing_else(data, tmp_path):
    config = run_config(data)
    old = build_system(config, seed=1)
    run = RunDirectory(tmp_path / "run")
    path = write_numbered(run.checkpoints, old)
    write_config(run, config)
    for refuse in (lambda: load(run.path), lambda: CheckpointStore(run.checkpoints, old).restore()):
        with pytest.raises(UserError, match=r"ckpt-5: was written by an earlier version.*`init_from`\.$"):
            refuse()
    new = other_system(data)
    assert all(match.matched == match.total for match in initialize(new, path))
    for name, variable in named_variables(all_networks(old)).items():
        np.testing.assert_array_equal(variable.numpy(), named_variables(all_networks(new))[name].numpy())
    # Of another architecture nobody knows which is which.
    with pytest.raises(UserError, match=r"nothing in .*ckpt-5 fits \(critic\); it holds critic, encoder"):
        initialize(other_system(data, model={"critic_use_rotations": False}), path, networks=["critic"])


def test_only_some_networks(data, source):
    path, one = source
    other = other_system(data)
    assert [match.network for match in initialize(other, path, networks=["critic"])] == ["critic"]
    assert not all(same(one.encoder, other.encoder))
    with pytest.raises(UserError, match="init_networks=decoder: the system has the networks encoder, regr"):
        initialize(other, path, networks=["decoder"])


def test_what_is_not_there_is_named(data, source, tmp_path):
    path, _ = source
    nothing = "no such run directory, checkpoint or file of weights"
    (tmp_path / "pare.ckpt").write_bytes(b"PK")
    for wrong, message in (
        (tmp_path / "none", nothing),
        (
            tmp_path / "pare.ckpt",
            "weights of PyTorch, which have to be converted first, by `hpe convert-pare`",
        ),
        (path / "checkpoints" / "ckpt-7", nothing),
        (tmp_path, "not a run directory"),
    ):
        with pytest.raises(UserError, match=f"init_from={wrong}: {message}"):
            initialize(other_system(data), wrong)
    alone = other_system(data, model={"encoder_only": True})
    CheckpointStore(tmp_path / "run" / "checkpoints", alone).save()
    message = r"nothing in .*ckpt-0 fits \(critic\); it holds encoder, regressor, see its settings"
    with pytest.raises(UserError, match=message):
        initialize(other_system(data), tmp_path / "run", networks=["critic"])
    (tmp_path / "run" / "checkpoints" / "ckpt-0.index").write_bytes(b"garbage")
    with pytest.raises(UserError, match="ckpt-0: is not a readable checkpoint"):
        initialize(alone, tmp_path / "run")


def test_a_run_starts_there_and_a_resumed_one_goes_on_from_its_own(
    data, source, tmp_path, capsys, monkeypatch
):
    path, one = source
    run = RunDirectory(tmp_path / "run")
    config = run_config(data, max_steps=1, init_from=str(path), init_networks=("encoder", "regressor"))
    seen = []
    built = type(config).build_system

    def watched(self, **options):
        seen.append(built(self, **options))
        return seen[-1]

    monkeypatch.setattr(type(config), "build_system", watched)
    call = loop.TrainingStep.__call__

    def first(self, *args, **kwargs):
        seen.append(same(one.regressor, seen[-1].regressor))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(loop.TrainingStep, "__call__", first)
    train(config, run, show_progress=False)
    assert all(seen[-1])
    assert "regressor  7 of 7 variables matched" in capsys.readouterr().out
    assert read_config(run).training.init_from == str(path)
    train(run_config(data, max_steps=2, init_from=str(path)), run, resume=True, show_progress=False)
    assert not any(seen[-1])
    assert "weights from" not in capsys.readouterr().out
    with pytest.raises(UserError, match="init_from=/none: no such run"):
        train(run_config(data, init_from="/none"), RunDirectory(tmp_path / "new"), show_progress=False)
    assert not (tmp_path / "new").exists()


def lifter(**settings):
    """Settings of a tiny lifter: those of its pipeline, and with `model` its own."""
    model = LifterConfig(linear_size=4, num_blocks=1, **settings.pop("model", {}))
    return RunConfig("lifter", model, PosePipelineConfig(**settings), TrainingConfig())


def test_weights_for_other_joints_are_refused_whatever_their_shape(tmp_path):
    run = RunDirectory(tmp_path / "run")
    config = lifter()
    write_config(run, config)
    CheckpointStore(run.checkpoints, config.build_system()).save()

    def start(config, **options):
        return initialize(config.build_system(), run.path, coordinates=config.coordinates, **options)

    assert all(match.matched == match.total for match in start(lifter(flip=False)))
    for other, flag in (
        (lifter(input_skeleton="mpii16"), "input_skeleton=mpii16"),
        (lifter(model={"input_frame": InputFrame.CROP}), "input_frame=crop"),
    ):
        with pytest.raises(UserError, match=f"its lifter is for `input_skeleton=h36m16` .*{flag}") as error:
            start(other)
        assert "\n" not in str(error.value)
    run.params.unlink()
    assert start(lifter(input_skeleton="mpii16"))


def test_a_backbone_knows_of_no_joints():
    config = run_config("data")
    assert config.coordinates == {}
    hrnet = RunConfig("hrnet", HrnetConfig(skeleton="mpii16"), config.pipeline, config.training)
    assert hrnet.coordinates == {"head": "`skeleton=mpii16`"}


def test_networks_without_a_source_are_refused(data):
    with pytest.raises(ValueError, match="init_networks=encoder: needs `init_from`"):
        run_config(data, init_networks=("encoder",))

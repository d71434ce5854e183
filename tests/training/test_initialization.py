"""Starting from another run's weights: what fits is taken, and the rest is told."""

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.systems.hrnet import HrnetConfig
from hpe.systems.lifter import InputFrame, LifterConfig
from hpe.training import trainer
from hpe.training.checkpoints import CheckpointStore
from hpe.training.config import TrainingConfig
from hpe.training.initialization import describe, find_checkpoint, initialize
from hpe.training.runs import RunConfig, RunDirectory
from hpe.training.trainer import train
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


def test_a_critic_of_fewer_parts_is_taken_up_to_the_difference(data, tmp_path):
    small = other_system(data, model={"critic_use_rotations": False})
    CheckpointStore(tmp_path / "run" / "checkpoints", small).save()
    matches = initialize(one_like := other_system(data), tmp_path / "run", networks=["critic"])
    (match,) = matches
    assert (match.network, match.matched, match.total, match.differing) == ("critic", 12, 18, ())
    assert len(match.absent) == 6
    critic = one_like.training_networks["critic"]
    for variable, expected in zip(
        critic.variables, small.training_networks["critic"].variables, strict=False
    ):
        np.testing.assert_array_equal(variable.numpy(), expected.numpy())
    assert describe(matches, "x").splitlines()[2].startswith("    absent there: ")


def test_only_some_networks(data, source):
    path, one = source
    other = other_system(data)
    assert [match.network for match in initialize(other, path, networks=["critic"])] == ["critic"]
    assert not all(same(one.encoder, other.encoder))
    with pytest.raises(UserError, match="init_networks=decoder: the system has the networks encoder, regr"):
        initialize(other, path, networks=["decoder"])


def test_what_is_not_there_is_named(data, source, tmp_path):
    path, _ = source
    for wrong in (tmp_path / "none", tmp_path, path / "checkpoints" / "ckpt-7"):
        with pytest.raises(UserError, match=f"init_from={wrong}: no such run directory or checkpoint"):
            find_checkpoint(wrong)
    alone = other_system(data, model={"encoder_only": True})
    CheckpointStore(tmp_path / "run" / "checkpoints", alone).save()
    message = r"nothing in .*ckpt-0 fits \(critic\); it holds encoder, regressor, see its params\.json"
    with pytest.raises(UserError, match=message):
        initialize(other_system(data), tmp_path / "run", networks=["critic"])
    (tmp_path / "run" / "checkpoints" / "ckpt-0.index").write_bytes(b"garbage")
    with pytest.raises(UserError, match="ckpt-0: is damaged or incomplete"):
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
    call = trainer.TrainingStep.__call__

    def first(self, *args, **kwargs):
        seen.append(same(one.regressor, seen[-1].regressor))
        return call(self, *args, **kwargs)

    monkeypatch.setattr(trainer.TrainingStep, "__call__", first)
    train(config, run, show_progress=False)
    assert all(seen[-1])
    assert "regressor  7 of 7 variables matched" in capsys.readouterr().out
    assert run.read_params().training.init_from == str(path)
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
    run.write_params(config)
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
    assert hrnet.coordinates == {"head": "--skeleton=mpii16"}


def test_networks_without_a_source_are_refused(data):
    with pytest.raises(ValueError, match="init_networks=encoder: needs `init_from`"):
        run_config(data, init_networks=("encoder",))

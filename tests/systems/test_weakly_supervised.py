"""Weakly supervised 3D pose as a system: its losses are those of its maps, its predictions are read from them."""

import dataclasses

import numpy as np
import pytest
from keras import ops

from hpe import skeletons, systems
from hpe.errors import UserError
from hpe.fields import Needs
from hpe.losses.depth_maps import bone_geometry, depth_smooth_l1, depth_targets, read_maps
from hpe.networks import heatmap_network
from hpe.networks.heatmaps import decode_heatmaps, draw_heatmaps, mirror_heatmaps
from hpe.systems.inputs import ImageInput
from hpe.systems.settings.weakly_supervised import Task
from hpe.systems.weakly_supervised import (
    LENGTHS,
    WeaklySupervised,
    WeaklySupervisedConfig,
    build_weakly_supervised,
)
from tests.networks.strided_backbone import strided_backbone

SIZE, CELLS, JOINTS = 64, 16, 16
MPII = skeletons.MPII16
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
numpy = ops.convert_to_numpy


def build(**options):
    options = {"encoder": "small", "deconv_width": 4, "weight_var": 0.01, **options}
    return WeaklySupervised(WeaklySupervisedConfig(**options), image_size=SIZE)


ENCODERS = heatmap_network.build_map_encoder


@pytest.fixture(scope="module", autouse=True)
def encoders():
    """What a system does with features does not depend on the encoder, which takes a while to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heatmap_network, "build_map_encoder", any_encoder)
        yield


def any_encoder(name, *, image_size, **_):
    return strided_backbone(4, image_size=image_size)


@pytest.fixture(scope="module")
def system(encoders):
    return build()


def skeleton3d():
    """A standing person in metres, x right and y down, arms stretched out, leaning backwards."""
    places = {
        "pelvis": (0, 0, 0),
        "thorax": (0, -0.45, 0.1),
        "neck": (0, -0.55, 0.12),
        "head_top": (0, -0.8, 0.15),
    }
    for side, sign in (("left", 1), ("right", -1)):
        places |= {
            f"{side}_hip": (0.13 * sign, 0, 0),
            f"{side}_knee": (0.13 * sign, 0.45, -0.05),
            f"{side}_ankle": (0.13 * sign, 0.9, 0),
            f"{side}_shoulder": (0.15 * sign, -0.5, 0.1),
            f"{side}_elbow": (0.43 * sign, -0.5, 0.1),
            f"{side}_wrist": (0.68 * sign, -0.5, 0.1 + 0.1 * sign),
        }
    return np.array([places[joint] for joint in MPII.joints], np.float32)


def truth():
    """The first person has 3D joints, the second not."""
    joints3d = np.stack([skeleton3d(), skeleton3d()])
    weight = np.ones((2, JOINTS), np.float32)
    weight[1] = 0
    return {
        "joints2d": 0.8 * joints3d[..., :2],
        "joints2d_weight": np.ones((2, JOINTS), np.float32),
        "joints3d": joints3d * weight[..., None],
        "joints3d_weight": weight,
    }


def test_it_is_a_system_of_images(system):
    assert (system.name, system.input_key, system.input_shape) == (
        "weakly_supervised",
        "image",
        (SIZE, SIZE, 3),
    )
    assert system.needs == Needs(("image", "joints2d", "joints3d"), skeleton2d="mpii16", skeleton3d="mpii16")
    assert set(system.networks) == {"encoder", "upsampling", "heatmap_head", "depth_head"}
    variables = [id(v) for network in system.networks.values() for v in network.variables]
    own = [id(v) for v in (*system.optimizers["main"].variables, *system.non_trainable_variables)]
    assert sorted(variables) == sorted(own)
    system.adapt({})


def test_a_task_of_2d_joints_has_no_depth():
    flat = build(task=Task.HUMAN2D, weight_var=0.0)
    assert set(flat.networks) == {"encoder", "upsampling", "heatmap_head"}
    assert flat.needs.fields == ("image", "joints2d")
    prediction = flat.to_prediction(flat.infer(IMAGES))
    assert (prediction.joints2d.shape, prediction.joints3d) == ((2, JOINTS, 2), None)
    assert set(flat.losses(flat.forward(IMAGES, training=False), truth()).weights) == {"heatmap_loss"}


def test_losses_are_those_of_the_maps(system):
    rng, batch = np.random.default_rng(1), truth()
    outputs = {
        "heatmaps": rng.normal(size=(2, CELLS, CELLS, JOINTS)).astype(np.float32),
        "depth": rng.normal(size=(2, CELLS, CELLS, JOINTS)).astype(np.float32),
    }
    losses = system.losses(outputs, batch)
    assert losses.weights == {"heatmap_loss": 2.0, "depth_loss": 0.1, "geometry_loss": 0.01}
    assert set(losses.weights) == set(system.optimizers["main"].loss_names)
    target, _ = draw_heatmaps(batch["joints2d"], batch["joints2d_weight"], CELLS, sigma=2.0)
    # Twice the halved mean square: the published mean over all cells of all maps.
    expected = np.mean((outputs["heatmaps"] - numpy(target)) ** 2)
    assert 2 * float(losses.parts["heatmap_loss"].value) == pytest.approx(expected, rel=1e-4)
    depth, seen = read_maps(outputs["depth"], batch["joints2d"], batch["joints2d_weight"])
    goal, known = depth_targets(*batch.values(), root=(6,))
    assert numpy(known).sum(axis=1).tolist() == [16, 0]
    assert float(losses.parts["depth_loss"].value) == pytest.approx(
        float(depth_smooth_l1(depth, goal, known).value), rel=1e-5
    )
    # Proportions are asked of the second person alone; the mean is over both.
    alone = bone_geometry(batch["joints2d"][1:] / 2, depth[1:], seen[1:], skeleton="mpii16")
    assert float(losses.parts["geometry_loss"].value) == pytest.approx(float(alone.value) / 2, rel=1e-4)


def test_maps_that_say_the_truth_cost_nothing_and_are_read_as_it(system):
    """2D joints within half a cell, 3D joints within that, in the size that people have."""
    batch = truth()
    target, _ = draw_heatmaps(batch["joints2d"], batch["joints2d_weight"], CELLS, sigma=2.0)
    depth = 0.4 * np.broadcast_to(skeleton3d()[None, None, None, :, 2], (2, CELLS, CELLS, JOINTS))
    maps = {"heatmaps": target, "depth": depth.astype(np.float32)}
    losses = system.losses(maps, batch)
    assert float(losses.parts["heatmap_loss"].value) == 0
    assert float(losses.parts["depth_loss"].value) < 1e-12
    assert float(losses.measured["heatmaps/accuracy"].value) == 1

    other = object.__new__(WeaklySupervised)
    other.__dict__.update(system.__dict__, config=dataclasses.replace(system.config, flip_test=False))
    other.forward = lambda inputs, training: maps
    prediction = other.to_prediction(other.infer(IMAGES))
    assert np.abs(prediction.joints2d - batch["joints2d"]).max() <= 0.5 * 2 / CELLS + 1e-6
    assert prediction.joints3d_skeleton == "mpii16"
    np.testing.assert_array_equal(prediction.joints3d[:, 6], 0)
    total = sum(
        np.linalg.norm(prediction.joints3d[0, MPII.index(a)] - prediction.joints3d[0, MPII.index(b)])
        for a, b, _ in LENGTHS
    )
    assert total == pytest.approx(sum(metres for *_, metres in LENGTHS), rel=1e-5)
    # A cell is 0.16 m here.
    assert np.abs(prediction.joints3d - skeleton3d()).max() < 0.16


def test_somebody_of_whom_nothing_is_found_is_finite(system):
    other = object.__new__(WeaklySupervised)
    other.__dict__.update(system.__dict__, config=dataclasses.replace(system.config, flip_test=False))
    nothing = np.zeros((1, CELLS, CELLS, JOINTS), np.float32)
    other.forward = lambda inputs, training: {"heatmaps": nothing, "depth": nothing}
    prediction = other.to_prediction(other.infer(IMAGES[:1]))
    assert np.isfinite(prediction.joints3d).all()
    assert not prediction.confidence.any()


def test_the_flip_test_is_the_mean_of_both_maps(system):
    maps = system.forward(IMAGES, training=False)
    mirrored = system.forward(IMAGES[:, :, ::-1], training=False)
    both = {key: 0.5 * (maps[key] + mirror_heatmaps(mirrored[key], MPII.flip)) for key in maps}
    joints2d, confidence = decode_heatmaps(both["heatmaps"])
    found = system.infer(IMAGES)
    np.testing.assert_allclose(numpy(found["joints2d"]), numpy(joints2d), atol=1e-6)
    np.testing.assert_allclose(numpy(found["confidence"]), numpy(confidence), atol=1e-6)
    assert numpy(found["joints3d"]).shape == (2, JOINTS, 3)


def test_a_frozen_encoder_keeps_its_statistics():
    small = build()
    before = [numpy(v.value) for v in small.networks["encoder"].non_trainable_variables]
    small.forward(IMAGES, training=True, frozen=("encoder",))
    for value, variable in zip(before, small.networks["encoder"].non_trainable_variables, strict=True):
        np.testing.assert_array_equal(value, numpy(variable.value))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_stride": 5}, "encoder_stride.*: must be one of 0, 4, 8, 16, 32"),
        ({"skeleton": "body25"}, "skeleton.*: must be one of .*coco17, "),
        ({"heatmap_size": -1}, "heatmap_size.*: must not be negative"),
        ({"heatmap_sigma": 0.0}, "heatmap_sigma.*: must be finite and above 0"),
        ({"deconv_width": 0}, "deconv_width.*: must be at least 1"),
        ({"weight_3d": float("nan")}, "weight_3d.*: must be finite and not negative"),
        ({"weight_3d": 0.0}, "weight_3d.*: must be above 0 where `weight_var` is 0"),
        (
            {"task": Task.HUMAN2D, "weight_var": 0.1},
            "weight_var.*: needs the maps of depth of `task=human3d`",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        WeaklySupervisedConfig(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "msra_50", "encoder_weights": "imagenet"}, "msra_50 takes none, or a PyTorch file"),
        (
            {"encoder": "small", "encoder_weights": "a.pth"},
            "a PyTorch file, which fits msra_18, .*, not small",
        ),
        ({"encoder": "msra_50", "encoder_weights": "gone.pth"}, r"gone\.pth"),
        ({"encoder": "msra_18", "encoder_stride": 8}, "encoder_stride=8: is 32 of msra_18"),
        ({"encoder_stride": 32}, "encoder=small: has no maps at stride 32"),
        ({"heatmap_size": 20}, "heatmap_size=20: the encoder's map has 4 cells a side"),
        ({"encoder": "resnet"}, "Unknown encoder 'resnet'"),
    ],
)
def test_weights_and_sizes_that_do_not_fit_are_one_line(options, message, monkeypatch):
    monkeypatch.setattr(heatmap_network, "build_map_encoder", ENCODERS)
    with pytest.raises(UserError, match=message) as caught:
        build(**options)
    assert "\n" not in str(caught.value)


def test_other_joint_sets_have_a_root_of_their_own():
    coco = build(skeleton="coco17")
    assert coco.root == (12, 11)
    assert coco.infer(IMAGES)["joints3d"].shape == (2, 17, 3)


def test_a_checkpoint_needs_no_file_of_weights():
    config = WeaklySupervisedConfig(encoder="msra_18", encoder_weights="gone.pth", deconv_width=4)
    built = build_weakly_supervised(config, ImageInput(img_size=SIZE), pretrained=False)
    assert built.input_shape == (SIZE, SIZE, 3)


def test_networks_are_for_the_joints_of_their_maps():
    entry = systems.get("weakly_supervised")
    assert entry.coordinates(entry.config(), ImageInput())["depth_head"] == "`skeleton=mpii16`"

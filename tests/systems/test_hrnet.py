"""HRNet as a system: its losses are those of its heat maps, its predictions are their peaks."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
from keras import ops

from hpe import skeletons
from hpe.errors import UserError
from hpe.fields import Needs
from hpe.networks import hrnet_weights
from hpe.networks.heatmaps import draw_heatmaps
from hpe.networks.hrnet import build_hrnet
from hpe.systems import hrnet
from hpe.systems.hrnet import Hrnet, HrnetConfig, build_hrnet_system
from hpe.systems.inputs import ImageInput
from tests.networks.hrnet_names import random_state
from tests.networks.strided_backbone import strided_backbone

SIZE, WIDTH, CELLS = 64, 2, 16
JOINTS = len(skeletons.LSP14)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
numpy = ops.convert_to_numpy


@pytest.fixture(autouse=True, scope="module")
def build_once():
    """Networks take seconds to build; those of one setting share theirs here."""
    once = functools.cache(build_hrnet)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet, "build_hrnet", once)
        patch.setattr(hrnet_weights, "build_hrnet", once)
        yield


@pytest.fixture(scope="module")
def weights():
    """Weights whose heat maps differ from picture to picture."""
    return hrnet_weights.from_pytorch(random_state(WIDTH, JOINTS), source="a.pth", skeleton="lsp14")[0]


@pytest.fixture(scope="module")
def weights_file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("hrnet") / "a.npz"
    hrnet_weights.save(path, weights)
    return str(path)


def build(**options):
    return Hrnet(HrnetConfig(hrnet_width=WIDTH, **options), image_size=SIZE)


@pytest.fixture(scope="module")
def system():
    with pytest.MonkeyPatch.context() as patch:
        # What it does with the maps of its backbone does not depend on the backbone.
        patch.setattr(hrnet, "build_hrnet", strided_backbone)
        return build()


def truth():
    rng = np.random.default_rng(1)
    joints, weight = rng.uniform(-0.8, 0.8, (2, JOINTS, 2)).astype("f4"), np.ones((2, JOINTS), "f4")
    joints[0, 3] = joints[1, 5] = weight[0, 3] = weight[1, 5] = 0
    return {"joints2d": joints, "joints2d_weight": weight}


def test_it_is_a_system_of_images(system):
    assert (system.name, system.input_key, system.input_shape) == ("hrnet", "image", (SIZE, SIZE, 3))
    assert system.skeleton == "lsp14"
    assert system.needs == Needs(fields=("image", "joints2d"), skeleton2d="lsp14")
    assert (tuple(system.body_models), set(system.networks)) == ((), {"backbone", "head"})
    variables = [id(v) for network in system.networks.values() for v in network.variables]
    own = [id(v) for v in (*system.optimizers["main"].variables, *system.non_trainable_variables)]
    assert sorted(variables) == sorted(own)
    system.adapt({})


def test_losses_are_those_of_the_heat_maps(system):
    outputs, batch = system.forward(IMAGES, training=False), truth()
    predicted = numpy(outputs["heatmaps"])
    assert predicted.shape == (2, CELLS, CELLS, JOINTS)
    target, used = (numpy(value) for value in draw_heatmaps(*batch.values(), CELLS, sigma=2.0))
    losses = system.losses(outputs, batch)
    assert set(losses.weights) == set(system.optimizers["main"].loss_names)
    expected = 0.5 * ((predicted - target) ** 2).mean(axis=(1, 2)) * used
    assert float(losses.total) == pytest.approx(expected.mean(), rel=1e-4)
    assert set(losses.measured) == {"heatmaps/accuracy"}
    agreeing = system.losses({"heatmaps": target}, batch)
    assert float(agreeing.total) == 0
    assert float(agreeing.measured["heatmaps/accuracy"].value) == 1


def test_a_frozen_backbone_keeps_its_statistics(system):
    before = [numpy(v.value) for v in system.non_trainable_variables]
    frozen = system.forward(IMAGES, training=True, frozen=("backbone",))["heatmaps"]
    inferred = system.forward(IMAGES, training=False)["heatmaps"]
    np.testing.assert_array_equal(numpy(frozen), numpy(inferred))
    for value, variable in zip(before, system.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(value, numpy(variable.value))


class Perfect:
    """Stands in for the backbone: sees red squares of 4 x 4 pixels, one joint's each, by their brightness."""

    def __call__(self, images, training):
        red = numpy(ops.convert_to_tensor(images))[..., 0].astype(int)
        joints = np.zeros((len(red), JOINTS, 2), np.float32)
        for sample, picture in enumerate(red):
            for joint in range(JOINTS):
                rows, columns = np.nonzero(picture == 10 + joint)
                joints[sample, joint] = np.array([columns.mean(), rows.mean()]) / SIZE * 2 - 1
        return draw_heatmaps(joints, np.ones(joints.shape[:2]), CELLS, sigma=1.0)[0]


def seeing(system, **options):
    """The system with networks that see what is there."""
    other = object.__new__(Hrnet)
    other.__dict__.update(system.__dict__, config=dataclasses.replace(system.config, **options))
    other.backbone, other.head = Perfect(), lambda features: features
    return other


def test_joints_are_predicted_where_they_are_seen(system):
    pictures = np.zeros((2, SIZE, SIZE, 3), np.uint8)
    pixels = np.stack(np.meshgrid([10, 22, 34, 46], [12, 28, 40, 52]), -1).reshape(-1, 2)[:JOINTS]
    pixels = np.stack([pixels, pixels[::-1]])
    for sample in range(2):
        for joint, (x, y) in enumerate(pixels[sample]):
            pictures[sample, y - 2 : y + 3, x - 2 : x + 3, 0] = 10 + joint
    expected = 2 * pixels / SIZE - 1
    prediction = None
    for flip_test in (False, True):
        seer = seeing(system, flip_test=flip_test)
        if flip_test:
            # In the mirror a person's left is on the other side, and a network calls it right.
            seer.backbone = Swapping(pictures)
        prediction = seer.to_prediction(seer.infer(pictures))
        assert np.abs(prediction.joints2d - expected).max() <= 0.5 * 2 / CELLS + 1e-6
        assert prediction.confidence.min() > 0.5
    assert prediction.skeleton == "lsp14"
    assert prediction.joints3d is None
    assert prediction.joints2d.dtype == prediction.confidence.dtype == np.float32


class Swapping(Perfect):
    """Exchanges left and right where it does not see the picture itself."""

    def __init__(self, pictures):
        self.pictures = pictures

    def __call__(self, images, training):
        heatmaps = super().__call__(images, training)
        if np.array_equal(numpy(ops.convert_to_tensor(images)), self.pictures):
            return heatmaps
        return ops.take(heatmaps, list(skeletons.LSP14.flip), axis=-1)


def test_the_flip_test_changes_what_a_real_network_says(system):
    without = object.__new__(Hrnet)
    without.__dict__.update(system.__dict__, config=dataclasses.replace(system.config, flip_test=False))
    both, one = (numpy(each.infer(IMAGES)["confidence"]) for each in (system, without))
    assert both.shape == one.shape == (2, JOINTS)
    assert np.abs(both - one).max() > 0


def test_gradients_reach_every_trainable_variable(system):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient by weights is taken by TensorFlow here")
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = system.losses(system.forward(IMAGES, training=True), truth()).total
    gradients = tape.gradient(loss, [v.value for v in system.optimizers["main"].variables])
    assert all(gradient is not None for gradient in gradients)
    assert all(np.isfinite(numpy(gradient)).all() for gradient in gradients)


def test_weights_of_another_network_are_one_line(weights, weights_file, tmp_path):
    bare = str(tmp_path / "bare.npz")
    kept = {key: value for key, value in weights.arrays.items() if not key.startswith("final_layer")}
    hrnet_weights.save(bare, dataclasses.replace(weights, skeleton="", arrays=kept))
    torn = str(tmp_path / "torn.npz")
    hrnet_weights.save(torn, dataclasses.replace(weights, arrays={**kept, "conv1/kernel": np.zeros(3)}))
    wide = str(tmp_path / "wide.npz")
    hrnet_weights.save(wide, dataclasses.replace(weights, width=32))
    cases = [
        ({"hrnet_weights": wide}, "weights of HRNet-W32; use `hrnet_width=32`"),
        (
            {"hrnet_weights": weights_file, "skeleton": "mpii16"},
            "heat maps of lsp14, not of `skeleton=mpii16`",
        ),
        ({"hrnet_weights": bare}, "no heat maps, not of `skeleton=lsp14`; use `backbone_only`"),
        ({"hrnet_weights": torn}, r"conv1/kernel is \(3,\), not \(3, 3, 3, 64\)"),
        ({"hrnet_weights": "none.npz"}, r"none\.npz: there is no such weights file"),
        (
            {"hrnet_weights": "pose.pth"},
            r"a PyTorch file; convert it by hpe convert-hrnet",
        ),
    ]
    for options, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            build(**options)
        assert "\n" not in str(caught.value)


def test_a_file_of_weights_is_read_before_networks_are_built(tmp_path, monkeypatch):
    (tmp_path / "cut.npz").write_bytes(b"PK")
    monkeypatch.setattr(hrnet, "build_hrnet", lambda *_, **__: pytest.fail("was built"))
    with pytest.raises(UserError, match=r"cut\.npz: not a weights file of HRNet"):
        build(hrnet_weights=str(tmp_path / "cut.npz"))


def test_the_backbone_alone_can_be_taken(weights, weights_file):
    other = build(hrnet_weights=weights_file, skeleton="mpii16", backbone_only=True)
    assert other.head.output_shape[-1] == 16
    np.testing.assert_array_equal(
        other.backbone.get_layer("bn1").get_weights()[2], weights.arrays["bn1/moving_mean"]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hrnet_width": 0}, "hrnet_width.*: must be at least 1"),
        ({"skeleton": "body25"}, "skeleton.*: must be one of .*coco17, "),
        ({"heatmap_sigma": 0.0}, "heatmap_sigma.*: must be finite and above 0"),
        ({"heatmap_sigma": float("nan")}, "heatmap_sigma.*: must be finite and above 0"),
        ({"backbone_only": True}, "backbone_only.*: needs `hrnet_weights`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        HrnetConfig(**options)


def test_a_checkpoint_needs_no_file_of_weights():
    config = HrnetConfig(hrnet_width=WIDTH, hrnet_weights="gone.npz", backbone_only=True)
    built = build_hrnet_system(config, ImageInput(img_size=SIZE), pretrained=False)
    assert built.input_shape == (SIZE, SIZE, 3)
    with pytest.raises(UserError, match=r"gone\.npz"):
        build_hrnet_system(config, ImageInput(img_size=SIZE))

"""HEMlets' network and its published weights: names, shapes, and the same numbers as a PyTorch build."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import hemlets_weights
from hpe.networks.hemlets import build_networks, split_maps
from hpe.networks.soft_argmax import volumetric_soft_argmax
from tests.formats.torch_pth import write
from tests.networks.hemlets_names import random_state, tensors

SIZE, CELLS, BRANCH, FEATURES = 64, 16, 4, 8
numpy = ops.convert_to_numpy


@pytest.fixture(scope="module")
def networks():
    keras.utils.set_random_seed(0)
    return build_networks(
        "msra_50",
        image_size=SIZE,
        cells=CELLS,
        depth_cells=CELLS,
        branch_width=BRANCH,
        feature_width=FEATURES,
    )


@pytest.fixture(scope="module")
def state():
    return random_state(50, branch=BRANCH, features=FEATURES, cells=CELLS)


def test_shapes_are_those_of_the_paper(networks):
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    encoded = networks["encoder"](images)
    assert encoded.shape == (1, 2, 2, 2048)
    features, maps = networks["features"](encoded), networks["maps"](encoded)
    assert (features.shape, maps.shape) == ((1, CELLS, CELLS, FEATURES), (1, CELLS, CELLS, 60))
    assert networks["volume"]([features, maps]).shape == (1, CELLS, CELLS, 18 * CELLS)
    # The spec's numbers of the branches of the published widths.
    assert sum(math.prod(v.shape) for v in networks["maps"].trainable_variables) == (
        16 * BRANCH * (2048 + 2 * BRANCH) + 6 * BRANCH + 60 * (9 * BRANCH + 1)
    )


def test_a_published_checkpoint_becomes_the_same_variables(networks, state, tmp_path):
    path = tmp_path / "hemlets.pth"
    write(path, {"model": {f"module.{name}": value for name, value in tensors(state).items()}})
    loaded = load_torch_file(path)
    found = hemlets_weights.describe(loaded, source="a.pth")
    assert found == hemlets_weights.PublishedNetwork(50, BRANCH, FEATURES, CELLS)
    assert hemlets_weights.assign(loaded, networks, source="a.pth") == []
    kernel = networks["maps"].get_layer("maps_deconv_layers_3").kernel
    np.testing.assert_array_equal(numpy(kernel), state["conv_FBI.conv_body.3.weight"].transpose(2, 3, 1, 0))
    layer = networks["volume"].get_layer("FBI_encoder_0")
    np.testing.assert_array_equal(numpy(layer.bias), state["FBI_encoder.0.bias"])


def test_it_computes_what_pytorch_computes(networks, state):
    torch = pytest.importorskip("torch")
    from tests.networks.torch_hemlets import Network

    network = Network(BRANCH, FEATURES, CELLS).eval()
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in state.items()}
    tensors.pop("volume_reg.dis_map")
    network.load_state_dict(tensors)
    hemlets_weights.assign(state, networks, source="a.pth")
    images = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    mean, deviation = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    with torch.no_grad():
        joints, maps = network(torch.from_numpy(((images - mean) / deviation).transpose(0, 3, 1, 2)))
    encoded = networks["encoder"](images)
    own = networks["maps"](encoded)
    volume = networks["volume"]([networks["features"](encoded), own])
    scale = np.abs(maps.numpy()).max()
    np.testing.assert_allclose(numpy(own), maps.numpy().transpose(0, 2, 3, 1), atol=1e-4 * scale)
    np.testing.assert_allclose(numpy(volumetric_soft_argmax(volume, 18)), joints.numpy(), atol=1e-4)


def test_what_is_no_such_checkpoint_is_refused(networks, state):
    def refused(changes, message):
        broken = {name: value for name, value in {**state, **changes}.items() if value is not None}
        before = numpy(networks["volume"].get_layer("FBI_encoder_0").bias)
        with pytest.raises(UserError, match=message):
            hemlets_weights.describe(broken, source="a.pth")
            hemlets_weights.assign(broken, networks, source="a.pth")
        np.testing.assert_array_equal(numpy(networks["volume"].get_layer("FBI_encoder_0").bias), before)

    refused({"conv_FBI.conv_tail.weight": None}, "a.pth: holds no network of HEMlets")
    refused({"conv_FBI.conv_tail.weight": np.zeros((59, BRANCH, 3, 3), "f4")}, "59 maps, not 60")
    refused({"conv_tail.3.weight": np.zeros((100, FEATURES, 1, 1), "f4")}, "100 channels are no volumes")
    refused({"backbone.layer4.2.conv1.weight": None}, r"of no ResNet|lacks backbone.layer4")
    refused({"FBI_encoder.1.running_var": None}, "lacks FBI_encoder.1.running_var")
    refused({"FBI_encoder.1.running_var": np.full(256, np.nan, "f4")}, "not finite")
    refused({"FBI_encoder.0.weight": np.zeros((256, 60, 1, 1), "f4")}, r"is \(256, 60, 1, 1\)")


def test_maps_are_taken_apart_as_the_settings_say():
    maps = np.random.default_rng(2).normal(size=(2, 3, 3, 60)).astype(np.float32)
    for joints_first, start in ((True, 0), (False, 42)):
        for by_part, place in ((True, 3 * 2 + 1), (False, 14 + 2)):
            joints, parts = split_maps(maps, joints_first=joints_first, by_part=by_part)
            np.testing.assert_array_equal(numpy(joints), maps[..., start : start + 18])
            assert parts.shape == (2, 3, 3, 14, 3)
            # The middle map of the third part.
            np.testing.assert_array_equal(
                numpy(parts)[..., 2, 1], maps[..., (18 if joints_first else 0) + place]
            )

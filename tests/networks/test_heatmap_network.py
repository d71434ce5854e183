"""Encoders, transposed convolutions and heads: against NumPy, and with published weights against PyTorch."""

import importlib.util

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import heatmap_network, pose_hg3d
from hpe.networks.heatmap_network import build_map_encoder, build_map_head, build_upsampling, doublings
from hpe.networks.pytorch_weights import layer_variables, published_name
from hpe.networks.resnet import DEPTHS, PublishedNormalization
from tests.formats.torch_pth import tensor, write

MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
JOINTS = 16
numpy = ops.convert_to_numpy

# How PyTorch calls what a variable holds, by our name; written down apart from the package.
OURS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@pytest.fixture(scope="module", autouse=True)
def shallow():
    """One block a level instead of two: the same code in half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEPTHS, 18, ((1, 1, 1, 1), False))
        yield


@pytest.fixture(scope="module")
def small(shallow):
    """The smallest ResNet with its heads."""
    encoder = build_map_encoder("msra_18", image_size=64)
    upsampling = build_upsampling(encoder.output_shape[1:], count=3, width=8)
    heads = {
        "heatmap_head": build_map_head(8, JOINTS, name="hm"),
        "depth_head": build_map_head(8, JOINTS, name="depth"),
    }
    return {"encoder": encoder, "upsampling": upsampling, **heads}


def state_of(networks, seed=0):
    """Returns a random state_dict for networks of ours, in PyTorch's names and layouts."""
    rng, state = np.random.default_rng(seed), {}
    for _, layer, variable in layer_variables(networks.values()):
        name = f"{published_name(layer, ('deconv_layers',))}.{OURS[variable.name]}"
        shape = tuple(variable.shape)
        if len(shape) == 4:
            shape = tuple(shape[axis] for axis in (3, 2, 0, 1))
        values = rng.normal(size=shape) * 0.05 if len(shape) == 4 else rng.uniform(0.5, 1.5, shape)
        state[name] = values.astype(np.float32)
    state["bn1.num_batches_tracked"] = np.array(3)
    return state


def transposed(x, kernel):
    """Transposed convolution of stride 2 and padding 1 as PyTorch defines it: x (C, H, W), kernel (C, O, 4, 4)."""
    _, height, width = x.shape
    whole = np.zeros((kernel.shape[1], 2 * height + 2, 2 * width + 2))
    for row in range(height):
        for column in range(width):
            patch = np.einsum("c,coyx->oyx", x[:, row, column], kernel)
            whole[:, 2 * row : 2 * row + 4, 2 * column : 2 * column + 4] += patch
    return whole[:, 1:-1, 1:-1]


def normalise(x, state, name):
    scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    return (x - state[f"{name}.running_mean"][:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][
        :, None, None
    ]


def test_transposed_convolutions_are_those_of_pytorch():
    parts = {
        "upsampling": build_upsampling((2, 2, 16), count=3, width=8),
        "depth_head": build_map_head(8, JOINTS, name="depth"),
    }
    state = state_of(parts)
    assert pose_hg3d.assign(state, parts, source="a.pth") == []
    features = np.random.default_rng(1).normal(size=(1, 2, 2, 16)).astype(np.float32)
    x = features[0].transpose(2, 0, 1)
    for index in (0, 3, 6):
        x = transposed(x, state[f"deconv_layers.{index}.weight"])
        x = np.maximum(normalise(x, state, f"deconv_layers.{index + 1}"), 0)
    found = numpy(parts["upsampling"](features))[0].transpose(2, 0, 1)
    assert found.shape == (8, 16, 16)
    np.testing.assert_allclose(found, x, atol=1e-5 * np.abs(x).max())
    maps = np.einsum("chw,oc->ohw", x, state["depth.weight"][..., 0, 0]) + state["depth.bias"][:, None, None]
    found = numpy(parts["depth_head"](parts["upsampling"](features)))[0].transpose(2, 0, 1)
    np.testing.assert_allclose(found, maps, atol=1e-5 * np.abs(maps).max())


def test_the_stem_pads_as_pytorch_does(small):
    state = state_of(small)
    pose_hg3d.assign(state, small, source="a.pth")
    x = ((IMAGES[0] / np.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, ((0, 0), (3, 3), (3, 3))), (7, 7), axis=(1, 2)
    )
    x = np.einsum("chwyx,ocyx->ohw", windows[:, ::2, ::2], state["conv1.weight"])
    x = np.maximum(normalise(x, state, "bn1"), 0)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::2, ::2].max(axis=(3, 4))
    encoder = small["encoder"]
    pool = next(layer for layer in encoder.layers if isinstance(layer, keras.layers.MaxPooling2D))
    found = numpy(keras.Model(encoder.input, pool.output)(IMAGES))[0].transpose(2, 0, 1)
    np.testing.assert_allclose(found, x, atol=1e-4)


def test_the_published_preprocessing_is_blue_first_and_256():
    found = numpy(PublishedNormalization()(IMAGES[:1]))
    expected = (IMAGES[:1, ..., ::-1] / np.float32(256) - MEAN) / DEVIATION
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(UserError, match=r"published_preprocessing.*: is that of msra_18, .*, not of small"):
        build_map_encoder("small", image_size=64, published=True)


def test_which_network_a_checkpoint_holds_is_told_by_its_shapes(small, tmp_path):
    state = {f"module.{name}": value for name, value in state_of(small).items()}
    path = write(tmp_path / "a.pth", {"epoch": 3, "state_dict": {k: tensor(v) for k, v in state.items()}})
    loaded = load_torch_file(path)
    assert pose_hg3d.describe(loaded, source="a") == pose_hg3d.PublishedNetwork(18, 8, JOINTS, True)
    flat = {name: value for name, value in state.items() if "depth" not in name}
    assert pose_hg3d.describe(flat, source="a").has_depth is False
    # A stage that knows no depth leaves the head as it is.
    before = small["depth_head"].get_weights()
    assert pose_hg3d.assign(flat, small, source="a") == ["depth_head"]
    np.testing.assert_array_equal(before[0], small["depth_head"].get_weights()[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deconv_layers.0.weight": None}, "holds no network of pose-hg-3d: no name in it ends in deconv"),
        ({"layer2.0.conv1.weight": None}, r"its levels of \[1, 0, 1, 1\] blocks are of no ResNet-18, 34,"),
        ({"hm.weight": None}, "holds no heat maps"),
        ({"bn1.bias": None}, "lacks bn1.bias, which the network of pose-hg-3d has"),
        ({"depth.bias": None}, "lacks depth.bias"),
        ({"bn1.bias": np.zeros(3, "f4")}, r"bn1.bias is \(3,\), but \(64,\)"),
        ({"bn1.bias": np.full(64, np.nan, "f4")}, "bn1.bias holds numbers that are not finite"),
        ({"hm.weight": np.broadcast_to(np.float32(0), (10**9, 8, 1, 1))}, "1000000000 heat maps"),
    ],
)
def test_what_is_no_such_checkpoint_is_one_line(small, change, message):
    state = {name: value for name, value in {**state_of(small), **change}.items() if value is not None}
    before = small["encoder"].get_weights()[0]
    with pytest.raises(UserError, match=message) as caught:
        pose_hg3d.describe(state, source="a.pth")
        pose_hg3d.assign(state, small, source="a.pth")
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(before, small["encoder"].get_weights()[0])


def test_any_encoder_ends_in_a_map():
    encoder = build_map_encoder("small", image_size=64, weights="pretrained", stride=8)
    assert encoder(IMAGES).shape == (2, 8, 8, 64)
    assert (heatmap_network.own_depth("ResNet34"), heatmap_network.own_depth("ResNet50")) == (34, None)


def test_sizes_that_do_not_fit_say_which_do():
    assert [doublings(8, 64), doublings(4, 16), doublings(8, 8)] == [3, 2, 0]
    for size in (60, 4):
        with pytest.raises(
            UserError, match=f"heatmap_size={size}: the encoder's map has 8 cells.*16, 32, 64"
        ):
            doublings(8, size)
    with pytest.raises(UserError, match="img_size=100: ResNets take multiples of 32, such as 96"):
        build_map_encoder("msra_50", image_size=100)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize(("depth", "size"), [(18, 64), pytest.param(50, 256, marks=pytest.mark.slow)])
def test_published_checkpoints_compute_what_pytorch_computes(tmp_path, monkeypatch, depth, size):
    import torch

    from tests.networks.torch_pose_resnet import random_network

    monkeypatch.setitem(DEPTHS, 18, ((2, 2, 2, 2), False))
    network = random_network(depth, {"hm": JOINTS, "depth": JOINTS})
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    inputs = (images[..., ::-1] / np.float32(256) - MEAN) / DEVIATION
    inputs = torch.tensor(np.ascontiguousarray(inputs.transpose(0, 3, 1, 2)))
    with torch.no_grad():
        for name, maps in network(inputs).items():
            getattr(network, name).weight /= maps.std()
        expected = network(inputs)
    torch.save({"epoch": 1, "state_dict": network.state_dict()}, tmp_path / "a.pth")
    loaded = load_torch_file(tmp_path / "a.pth")
    assert pose_hg3d.describe(loaded, source="a") == pose_hg3d.PublishedNetwork(depth, 256, JOINTS, True)
    encoder = build_map_encoder(f"msra_{depth}", image_size=size, published=True)
    upsampling = build_upsampling(encoder.output_shape[1:], count=3, width=256)
    heads = {name: build_map_head(256, JOINTS, name=name) for name in expected}
    networks = {"encoder": encoder, "upsampling": upsampling, **heads}
    assert pose_hg3d.assign(loaded, networks, source="a.pth") == []
    features = upsampling(encoder(images))
    for name, head in heads.items():
        theirs = expected[name].numpy().transpose(0, 2, 3, 1)
        assert 0.3 < theirs.std() < 5
        np.testing.assert_allclose(numpy(head(features)), theirs, atol=1e-4)

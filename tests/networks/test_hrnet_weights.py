"""Weights of HRNet: PyTorch checkpoints give the same network here, and what does not fit is named."""

import functools
import importlib.util
import re

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import hrnet_weights
from hpe.networks.hrnet import build_heatmap_head, build_hrnet
from tests.formats.torch_pth import write
from tests.networks.hrnet_names import random_state, tensors

WIDTH, JOINTS, SIZE = 2, 16, 64
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
MEAN, DEVIATION = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True, scope="module")
def build_once():
    """Networks take seconds to build, and these tests fill them anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hrnet_weights, "build_hrnet", functools.cache(build_hrnet))
        yield hrnet_weights.build_hrnet


@pytest.fixture(scope="module")
def state():
    return random_state(WIDTH, JOINTS)


@pytest.fixture(scope="module")
def networks(state, build_once):
    # The network that reading the checkpoint builds, too.
    backbone = build_once(WIDTH, image_size=SIZE, multi_scale=False)
    head = build_heatmap_head(WIDTH, JOINTS)
    weights, left = hrnet_weights.from_pytorch(state, source="a.pth")
    assert left == []
    hrnet_weights.assign(weights, backbone, head, source="a.pth")
    return backbone, head


def convolve(x, kernel, stride):
    """3x3 convolution as PyTorch does it: x (C, H, W) with a frame of zeros, kernel (O, C, 3, 3)."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("chwyx,ocyx->ohw", windows, kernel)


def normalise(x, state, name):
    scale = state[f"{name}.weight"] / np.sqrt(state[f"{name}.running_var"] + 1e-5)
    centred = x - state[f"{name}.running_mean"][:, None, None]
    return centred * scale[:, None, None] + state[f"{name}.bias"][:, None, None]


def test_the_stem_computes_what_the_checkpoint_says(state, networks):
    """Two strided convolutions with their statistics, in NumPy."""
    x = ((IMAGES[0] / np.float32(255) - MEAN) / DEVIATION).transpose(2, 0, 1)
    for number in (1, 2):
        x = convolve(x, state[f"conv{number}.weight"], 2)
        x = np.maximum(normalise(x, state, f"bn{number}"), 0)
    backbone, _ = networks
    stem = keras.Model(backbone.input, backbone.get_layer("layer1_0_conv1").input)
    found = ops.convert_to_numpy(stem(IMAGES))[0].transpose(2, 0, 1)
    assert found.shape == (64, 16, 16)
    np.testing.assert_allclose(found, x, atol=1e-4)


def test_an_exchange_downwards_computes_what_the_checkpoint_says(state, networks):
    """The path from the finest to the coarsest branch: an activation after every convolution but the last."""
    backbone, _ = networks
    name = "stage4.1.fuse_layers.3.0"
    layers = [
        backbone.get_layer(f"{name}.{step}.{part}".replace(".", "_")) for step in range(3) for part in (0, 1)
    ]
    x = np.random.default_rng(1).normal(size=(WIDTH, 16, 16)).astype("float32")
    y = ops.convert_to_tensor(x.transpose(1, 2, 0)[None])
    for step in range(3):
        x = normalise(convolve(x, state[f"{name}.{step}.0.weight"], 2), state, f"{name}.{step}.1")
        y = layers[2 * step + 1](layers[2 * step](ops.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)))))
        following = [node.operation for node in layers[2 * step + 1]._outbound_nodes]
        if step < 2:
            assert [type(layer) for layer in following] == [keras.layers.ReLU]
            x, y = np.maximum(x, 0), ops.relu(y)
        else:
            assert [type(layer) for layer in following] == [keras.layers.Add]
    np.testing.assert_allclose(ops.convert_to_numpy(y)[0].transpose(2, 0, 1), x, atol=1e-4)


def test_files_come_back(tmp_path, state):
    weights, _ = hrnet_weights.from_pytorch(state, source="a.pth")
    hrnet_weights.save(tmp_path / "a.npz", weights)
    again = hrnet_weights.load(tmp_path / "a.npz")
    assert (again.width, again.skeleton) == (WIDTH, "mpii16")
    assert set(again.arrays) == set(weights.arrays)
    for key, array in weights.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)
    np.testing.assert_array_equal(again.arrays["bn1/moving_variance"], state["bn1.running_var"])
    np.testing.assert_array_equal(again.arrays["conv2/kernel"][1, 2, 3, 4], state["conv2.weight"][4, 3, 1, 2])


@pytest.mark.parametrize(
    ("backbone", "head", "wrap"),
    [
        ("module.", "module.", lambda state: {"epoch": 3, "state_dict": state}),
        ("backbone.", "keypoint_head.", lambda state: {"meta": {"time": "now"}, "state_dict": state}),
        ("", "", lambda state: {"best": {"model": state}}),
    ],
)
def test_prefixes_and_wrappings_are_seen_through(state, backbone, head, wrap):
    renamed = {(head if "final_layer" in name else backbone) + name: value for name, value in state.items()}
    weights, left = hrnet_weights.from_pytorch(wrap(renamed), source="a.pth")
    assert (weights.skeleton, left) == ("mpii16", [])


def test_without_a_head_the_backbone_is_taken_and_the_rest_is_named(state):
    bare = {name: value for name, value in state.items() if not name.startswith("final_layer")}
    weights, left = hrnet_weights.from_pytorch({**bare, "classifier.bias": np.zeros(9)}, source="a.pth")
    assert (weights.skeleton, left) == ("", ["classifier.bias"])
    assert not any(key.startswith("final_layer") for key in weights.arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": None}, "a.pth: lacks conv1.weight, which HRNet-W2 has"),
        ({"bn1.weight": None, "bn2.bias": None}, "a.pth: lacks bn1.weight and 1 more, which HRNet-W2 has"),
        ({"final_layer.bias": None}, "a.pth: lacks final_layer.bias"),
        ({"transition1.0.0.weight": None}, "a.pth: holds no HRNet"),
        (
            {"transition1.0.0.weight": np.zeros(2, "f4")},
            r"transition1.0.0.weight is \(2,\), which is no conv",
        ),
        (
            {"stage2.0.branches.1.0.conv1.weight": np.zeros((4, 4, 1, 1), "f4")},
            r"stage2.0.branches.1.0.conv1.weight is \(4, 4, 1, 1\), but \(4, 4, 3, 3\) in HRNet-W2",
        ),
        ({"bn1.running_var": np.zeros(32, "f4")}, r"bn1.running_var is \(32,\), but \(64,\) in HRNet-W2"),
        ({"bn1.running_var": np.full(64, np.nan, "f4")}, "bn1.running_var holds numbers that are not finite"),
        (
            {"final_layer.weight": np.zeros((5, 2, 1, 1), "f4")},
            "its head has 5 joints; say which with `skeleton`",
        ),
        (
            {"transition1.0.0.weight": np.broadcast_to(np.float32(0), (10**9, 256, 3, 3))},
            "has 1000000000 channels, as no HRNet has",
        ),
        ({"transition1.0.0.weight": np.zeros((0, 256, 3, 3), "f4")}, "has 0 channels, as no HRNet has"),
        ({"transition1.0.0.weight": 3}, "a.pth: holds no HRNet"),
    ],
)
def test_what_is_no_hrnet_is_one_line(state, change, message):
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    with pytest.raises(UserError, match=message) as caught:
        hrnet_weights.from_pytorch(changed, source="a.pth")
    assert "\n" not in str(caught.value)


def test_a_dict_that_holds_itself_is_no_hrnet():
    endless = {}
    endless["model"] = endless
    with pytest.raises(UserError, match="holds no HRNet"):
        hrnet_weights.from_pytorch(endless, source="a.pth")


def test_the_joints_of_the_head_can_be_told(state):
    named, _ = hrnet_weights.from_pytorch(state, source="a.pth", skeleton="h36m16")
    assert named.skeleton == "h36m16"
    with pytest.raises(UserError, match="its head has 16 joints, `skeleton=lsp14` has 14"):
        hrnet_weights.from_pytorch(state, source="a.pth", skeleton="lsp14")


def test_other_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.npz: there is no such weights file"):
        hrnet_weights.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("x")
    np.savez(tmp_path / "evil.npz", width=8, skeleton="lsp14", x=np.array([{}], object))
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    np.savez(tmp_path / "damaged.npz", width=8, skeleton="lsp14", x=np.zeros(300))
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    damaged[-1200] ^= 0xFF
    (tmp_path / "damaged.npz").write_bytes(damaged)
    for name, reason in (
        ("other", "it holds no width"),
        ("text", "no npz file, or only a part of one"),
        ("cut", "no npz file, or only a part of one"),
        ("damaged", "damaged: not a readable npz file of array data (Bad CRC-32 for file 'x.npy')"),
        ("evil", "damaged: it holds a pickle"),
    ):
        message = re.escape(f"{name}.npz: not a weights file of HRNet ({reason})")
        with pytest.raises(UserError, match=message) as caught:
            hrnet_weights.load(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)


def compare(tmp_path, width, size, *, legacy=False, multi_scale=False):
    """Returns the largest difference of heat maps, and of all branches, to PyTorch's own, and their scale."""
    import torch

    from tests.networks.torch_hrnet import random_hrnet

    network = random_hrnet(width, JOINTS, multi_scale=multi_scale)
    torch.save(network.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    weights, left = hrnet_weights.from_pytorch(load_torch_file(tmp_path / "a.pth"), source="a.pth")
    assert left == []
    backbone = build_hrnet(width, image_size=size, multi_scale=multi_scale)
    head = build_heatmap_head(width, JOINTS)
    hrnet_weights.assign(weights, backbone, head, source="a.pth")
    images = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    branches = backbone(images)
    branches = branches if multi_scale else [branches]
    found = [head(branches[0]), *branches]
    inputs = ((images / np.float32(255) - MEAN) / DEVIATION).transpose(0, 3, 1, 2)
    with torch.no_grad():
        theirs = network.features(torch.tensor(np.ascontiguousarray(inputs)))
        expected = [network.final_layer(theirs[0]), *theirs]
    pairs = [
        (ops.convert_to_numpy(a), b.numpy().transpose(0, 2, 3, 1))
        for a, b in zip(found, expected, strict=True)
    ]
    return [float(np.abs(a - b).max()) for a, b in pairs], [float(np.abs(b).max()) for _, b in pairs]


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


@needs_torch
@pytest.mark.parametrize(("legacy", "multi_scale"), [(False, False), (True, True)])
def test_published_checkpoints_compute_what_pytorch_computes(tmp_path, legacy, multi_scale):
    differences, scales = compare(tmp_path, 8, 64, legacy=legacy, multi_scale=multi_scale)
    assert 1 < scales[0] < 10
    assert differences[0] < 1e-4
    for difference, scale in zip(differences[1:], scales[1:], strict=True):
        assert difference < 1e-5 * scale


@needs_torch
@pytest.mark.slow
def test_published_w32_computes_what_pytorch_computes_at_256(tmp_path):
    differences, scales = compare(tmp_path, 32, 256)
    assert 1 < scales[0] < 10
    assert differences[0] < 1e-4


def test_a_file_written_by_hand_is_read_as_pytorch_would(tmp_path, state):
    path = write(tmp_path / "a.pth", tensors(state))
    weights, _ = hrnet_weights.from_pytorch(load_torch_file(path), source="a.pth")
    np.testing.assert_array_equal(
        weights.arrays["layer1_0_conv1/kernel"][0, 0], state["layer1.0.conv1.weight"][..., 0, 0].T
    )

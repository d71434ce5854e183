"""MoveNet: 17 joints of the person in the middle of a picture, by a MobileNetV2 with a feature pyramid.

After the model card and the published graph of "MoveNet.SinglePose" (Google, 2021), versions Lightning and Thunder.
Batch normalisation is folded into the convolutions, as it is published. Heads on a map of stride 4 say where
people's centres are, where the joints of the person at a place lie roughly, how likely a joint is at a place, and
by what fraction of a cell it lies beside it.
"""

from __future__ import annotations

import dataclasses
import pathlib

import keras
import numpy as np
from keras import ops

from hpe.networks.heatmaps import highest
from hpe.skeletons import COCO17

NUM_JOINTS = len(COCO17)
# Channels of the encoder's end.
NUM_FEATURES = 1280
STRIDE = 4
# The picture's sides are halved five times and doubled again.
SIZE_MULTIPLE = 32

# Expansion of an inverted residual block, and which blocks halve the resolution (Sandler et al. 2018).
_EXPANSION = 6
_BLOCKS = (1, 2, 3, 4, 3, 3, 1)
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
# Groups of blocks whose maps the pyramid takes, at strides 4, 8 and 16.
_TAPS = (1, 2, 3)
_PYRAMID = (24, 32, 64)
_HEAD_WIDTH = 96
# A place's weight falls with its distance from the middle, or from the rough place of a joint, plus this (cells).
_SOFTENING = 1.8


@dataclasses.dataclass(frozen=True)
class MoveNetSize:
    """What distinguishes the published versions.

    Attributes:
        picture: side of the square picture that it was trained for.
        widths: of the stem and of the seven groups of blocks.
    """

    picture: int
    widths: tuple[int, ...]


SIZES = {
    "lightning": MoveNetSize(192, (32, 16, 24, 32, 64, 96, 160, 320)),
    "thunder": MoveNetSize(256, (56, 32, 40, 56, 112, 168, 280, 560)),
}


@keras.saving.register_keras_serializable(package="hpe")
class MoveNet(keras.Model):
    """The network and the decoding of its maps.

    Args:
        version: of `SIZES`.
        pretrained: whether it has the published weights; else they are random.
    """

    def __init__(self, version: str = "lightning", *, pretrained: bool = True, **kwargs):
        super().__init__(**kwargs)
        if version not in SIZES:
            raise ValueError(f"version must be one of {', '.join(SIZES)}. Received: version={version!r}")
        self.version, self.size = version, SIZES[version]
        self.maps = _build_maps(self.size.widths)
        self.built = True
        if pretrained:
            _load(self)

    def call(self, images, training=False):
        """Finds the joints of the person nearest to the middle of each picture.

        Args:
            images: (B, H, W, 3) RGB in [-1, 1], sides multiples of 32; the published version knows squares of
                `size.picture`.
            training: has no effect: there is nothing random, and no statistics.

        Returns:
            (B, 17, 3) x and y in pixels of the picture, centres of pixels at integers, and the score in [0, 1].
        """
        return decode_maps(self.maps(images))

    def with_taps(self) -> keras.Model:
        """Returns the model of all that `maps` yields, and `encoder` and `pyramid`, features at stride 4.

        Their channels, and the 17 of `heatmaps`, are `num_tapped` in all.
        """
        taps = [self.maps.get_layer(name).output for name in feature_layers(STRIDE)]
        outputs = dict(self.maps.output) | dict(zip(("encoder", "pyramid"), taps, strict=True))
        return keras.Model(self.maps.input, outputs, name="maps_with_taps")

    @property
    def num_tapped(self) -> int:
        """Number of channels of the encoder's and the pyramid's maps at stride 4, and of the heat maps."""
        return self.size.widths[_TAPS[0] + 1] + _PYRAMID[0] + NUM_JOINTS

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "version": self.version}


def weights_path(version: str) -> pathlib.Path:
    """Returns the file in the package with the published weights of a version, see tools/convert_movenet.py."""
    return pathlib.Path(__file__).parent / "assets" / f"movenet_{version}.safetensors"


def feature_layers(stride: int) -> tuple[str, ...]:
    """Returns the layers of `MoveNet.maps` with features at a stride: of the encoder, and of the pyramid.

    At stride 32, where the pyramid begins, the encoder's end is all there is.
    """
    if stride == STRIDE * 2 ** len(_TAPS):
        return ("out",)
    levels = [STRIDE * 2**level for level in range(len(_TAPS))]
    if stride not in levels:
        known = ", ".join(str(known) for known in (*levels, 2 * levels[-1]))
        raise ValueError(f"stride must be one of {known}. Received: stride={stride}")
    level = levels.index(stride)
    last_block = sum(_BLOCKS[: _TAPS[level] + 1]) - 1
    return f"block_{last_block}_sum", f"smooth_{level}_pointwise"


def _load(movenet: MoveNet) -> None:
    from safetensors.numpy import load_file

    stored = load_file(weights_path(movenet.version))
    for variable in movenet.maps.variables:
        variable.assign(stored[variable.path].astype(np.float32))


def decode_maps(maps):
    """Decodes the heads' maps as the published graph does.

    Args:
        maps: dict of heatmaps (B, h, w, 17) and centers (B, h, w, 1), logits; regression and offsets (B, h, w, 34),
            y and x per joint, in cells.

    Returns:
        (B, 17, 3) x, y in pixels of the picture and the score.
    """
    heat = ops.sigmoid(maps["heatmaps"])
    height, width = heat.shape[1:3]
    rows = np.arange(height, dtype=np.float32)[:, None, None]
    columns = np.arange(width, dtype=np.float32)[None, :, None]
    middle = np.sqrt((rows - height // 2) ** 2 + (columns - width // 2) ** 2) + _SOFTENING
    center = highest(ops.reshape(ops.sigmoid(maps["centers"]) / middle, (-1, height * width, 1)))[0][:, 0]
    rough = ops.reshape(_at(maps["regression"], center[:, None]), (-1, NUM_JOINTS, 2))
    rough_y = rough[..., 0] + ops.cast(center // width, "float32")[:, None]
    rough_x = rough[..., 1] + ops.cast(center % width, "float32")[:, None]
    distance = ops.sqrt(
        ops.square(rows - rough_y[:, None, None, :]) + ops.square(columns - rough_x[:, None, None, :])
    )
    likely = ops.reshape(heat / (distance + _SOFTENING), (-1, height * width, NUM_JOINTS))
    best, _ = highest(likely)  # (B, 17)
    scores = ops.take_along_axis(ops.reshape(heat, (-1, height * width, NUM_JOINTS)), best[:, None], axis=1)
    offsets = ops.reshape(_at(maps["offsets"], best), (-1, NUM_JOINTS, NUM_JOINTS, 2))
    # Of the offsets at the place of joint j those of joint j.
    own = np.eye(NUM_JOINTS, dtype=np.float32)[None, :, :, None]
    offsets = ops.sum(offsets * own, axis=2)
    y = ops.cast(best // width, "float32") + offsets[..., 0]
    x = ops.cast(best % width, "float32") + offsets[..., 1]
    # In the published graph 0 is the picture's edge and 1 the other; here centres of pixels are at integers.
    return ops.stack([STRIDE * x - 0.5, STRIDE * y - 0.5, scores[:, 0]], axis=-1)


def _at(maps, places):
    """Returns (B, N, C): the values of maps (B, h, w, C) at places (B, N) counted along rows."""
    flat = ops.reshape(maps, (-1, maps.shape[1] * maps.shape[2], maps.shape[3]))
    return ops.take_along_axis(flat, places[..., None], axis=1)


def _build_maps(widths):
    """Returns the convolutions: (B, H, W, 3) to the four maps, and `features` (B, H / 32, W / 32, 1280)."""
    inputs = keras.Input((None, None, 3), name="image")
    x = _conv(inputs, widths[0], 3, "stem", stride=2, activation="relu6")
    taps, block = [], 0
    for group, (width, count, stride) in enumerate(zip(widths[1:], _BLOCKS, _STRIDES, strict=True)):
        for index in range(count):
            x = _inverted_residual(x, width, stride if index == 0 else 1, f"block_{block}")
            block += 1
        if group in _TAPS:
            taps.append(x)
    features = _conv(x, NUM_FEATURES, 1, "out", activation="relu6")
    x = _conv(features, _PYRAMID[-1], 1, "lateral_3")
    for level, (tap, width) in reversed(list(enumerate(zip(taps, _PYRAMID, strict=True)))):
        up = keras.layers.UpSampling2D(interpolation="bilinear", name=f"up_{level}")(x)
        x = keras.layers.Add(name=f"sum_{level}")([up, _conv(tap, width, 1, f"lateral_{level}")])
        x = _separable(x, _PYRAMID[max(level - 1, 0)], f"smooth_{level}")
    maps = {
        name: _conv(_separable(x, _HEAD_WIDTH, f"{name}_inner"), channels, 1, name)
        for name, channels in (
            ("heatmaps", NUM_JOINTS),
            ("centers", 1),
            ("regression", 2 * NUM_JOINTS),
            ("offsets", 2 * NUM_JOINTS),
        )
    }
    return keras.Model(inputs, maps | {"features": features}, name="maps")


def _conv(x, width, size, name, *, stride=1, activation=None):
    layer = keras.layers.Conv2D(width, size, strides=stride, padding="same", activation=activation, name=name)
    return layer(x)


def _inverted_residual(x, width, stride, name):
    inputs, channels = x, x.shape[-1]
    if name != "block_0":
        x = _conv(x, _EXPANSION * channels, 1, f"{name}_expand", activation="relu6")
    x = keras.layers.DepthwiseConv2D(
        3, strides=stride, padding="same", activation="relu6", name=f"{name}_depthwise"
    )(x)
    x = _conv(x, width, 1, f"{name}_project")
    if stride == 1 and width == channels:
        x = keras.layers.Add(name=f"{name}_sum")([inputs, x])
    return x


def _separable(x, width, name):
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return _conv(x, width, 1, f"{name}_pointwise", activation="relu")


def published_names() -> dict[str, str]:
    """Returns the names of the published graph's tensors, by the path of the weight within `MoveNet.maps`."""
    graph = "StatefulPartitionedCall/"
    pyramid = f"{graph}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
    encoder = f"{pyramid}model/"
    names = {"stem": f"{encoder}Conv1/Conv2D", "out": f"{encoder}Conv_1/Conv2D"}
    depthwise = {}
    for block in range(sum(_BLOCKS)):
        published = "expanded_conv" if block == 0 else f"block_{block}"
        if block:
            names[f"block_{block}_expand"] = f"{encoder}{published}_expand/Conv2D"
        depthwise[f"block_{block}_depthwise"] = f"{encoder}{published}_depthwise/depthwise"
        names[f"block_{block}_project"] = f"{encoder}{published}_project/Conv2D"
    weights = {}
    for layer, name in (names | depthwise).items():
        weights[f"{layer}/kernel"] = f"{name}_weights"
        weights[f"{layer}/bias"] = f"{name}_bn_offset"
    heads = {"centers": "center_0", "heatmaps": "kpt_heatmap_0", "regression": "kpt_regress_0"}
    heads["offsets"] = "kpt_offset_0"
    plain = {f"lateral_{3 - level}": f"{pyramid}conv2d{_counted(level)}" for level in range(4)}
    plain |= {name: f"{graph}{head}/conv2d_{4 + i}" for i, (name, head) in enumerate(heads.items())}
    for layer, name in plain.items():
        weights[f"{layer}/kernel"] = f"{name}/Conv2D/ReadVariableOp"
        weights[f"{layer}/bias"] = f"{name}/BiasAdd/ReadVariableOp"
    for level in range(3):
        name = f"{pyramid}separable_conv2d{_counted(level)}/separable_conv2d"
        weights[f"smooth_{2 - level}_depthwise/kernel"] = f"{name}/ReadVariableOp"
        weights[f"smooth_{2 - level}_pointwise/kernel"] = f"{name}_weights"
        weights[f"smooth_{2 - level}_pointwise/bias"] = f"{name}_bn_offset"
    for i, (layer, head) in enumerate(heads.items()):
        name = f"{graph}{head}/separable_conv2d_{3 + i}"
        weights[f"{layer}_inner_depthwise/kernel"] = f"{name}/separable_conv2d/ReadVariableOp"
        weights[f"{layer}_inner_pointwise/kernel"] = f"{name}/separable_conv2d/ReadVariableOp_1"
        weights[f"{layer}_inner_pointwise/bias"] = f"{name}/BiasAdd/ReadVariableOp"
    return weights


def _counted(index):
    return f"_{index}" if index else ""

"""HEMlets' network: from a picture to heat maps of joints and parts, and from both to a volume for each joint.

After Zhou et al., "HEMlets Pose: Learning Part-Centric Heatmap Triplets for Accurate 3D Human Pose
Estimation" (2019), as the published inference code builds it: an encoder; two branches of transposed
convolutions, one that ends in features and one in 60 maps; and a head that sees both.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from hpe.errors import SettingError
from hpe.formats.torch_files import load_torch_file
from hpe.networks.heatmap_network import (
    PYTORCH_SUFFIXES,
    build_map_encoder,
    build_upsampling,
    doublings,
    own_depth,
    own_names,
)
from hpe.networks.pytorch_weights import assign_state
from hpe.networks.resnet import BATCH_NORM
from hpe.skeletons.parts import NUM_STATES, PARTS
from hpe.skeletons.sets import H36M18

NUM_JOINTS = len(H36M18)
NUM_PARTS = len(PARTS)
NUM_MAPS = NUM_JOINTS + NUM_STATES * NUM_PARTS

# Channels that the head makes of the maps before it joins them with the features.
_ENCODED_MAPS = 256
_DEVIATION = 0.001
# A convolution that every ResNet of PyTorch has.
_LANDMARK = "layer1.0.conv1.weight"


def build_networks(
    encoder: str,
    *,
    image_size: int,
    cells: int,
    depth_cells: int,
    branch_width: int,
    feature_width: int,
    weights: str = "none",
    stride: int = 0,
) -> dict[str, keras.Model]:
    """Builds the four networks.

    Args:
        encoder: of `hpe.networks.heatmap_network.build_map_encoder`.
        image_size: side S of the square pictures in pixels.
        cells: C, cells a side of the maps and of the volumes; the side of the encoder's map times a power of two.
        depth_cells: Z, cells along the depth of the volumes.
        branch_width: channels of the transposed convolutions.
        feature_width: channels F of the features, and of the head's hidden layer.
        weights: of the encoder.
        stride: pixels a cell of the encoder's map; 0 for the coarsest.

    Returns:
        `encoder`: pictures (B, S, S, 3) in [0, 255] to features (B, h, h, c); `features`: these to (B, C, C, F);
        `maps`: these to (B, C, C, 60); `volume`: features and maps to logits (B, C, C, 18 Z).

    Raises:
        UserError: there is no such encoder, or sizes or weights do not suit it.
    """
    backbone = _build_encoder(encoder, image_size, weights, stride)
    shape = backbone.output_shape[1:]
    try:
        count = doublings(shape[0], cells)
    except SettingError as error:
        raise SettingError("volume_size", error.message, cells) from error

    def branch(name: str, channels: int) -> keras.Model:
        body = build_upsampling(shape, count=count, width=branch_width, prefix=f"{name}_")
        tail = layers.Conv2D(
            channels, 3, padding="same", kernel_initializer=_initializer(), name=f"{name}_conv_tail"
        )
        return keras.Model(body.input, tail(body.output), name=name)

    return {
        "encoder": backbone,
        "features": branch("features", feature_width),
        "maps": branch("maps", NUM_MAPS),
        "volume": _build_volume(cells, depth_cells, feature_width),
    }


def _build_encoder(name: str, size: int, weights: str, stride: int) -> keras.Model:
    if not weights.endswith(PYTORCH_SUFFIXES):
        return build_map_encoder(name, image_size=size, weights=weights, stride=stride)
    if own_depth(name) is None:
        raise SettingError(
            "encoder_weights",
            f"a PyTorch file, which fits {', '.join(own_names())}, not {name}.",
            weights,
        )
    # What is wrong with the file is said before anything is built.
    loaded = load_torch_file(weights)
    encoder = build_map_encoder(name, image_size=size, stride=stride)
    source = f"encoder_weights={weights}"
    assign_state(loaded, {"encoder": encoder}, source=source, landmark=_LANDMARK, what=name)
    return encoder


def split_maps(maps, *, joints_first: bool, by_part: bool):
    """Takes the maps (B, C, C, 60) apart.

    Args:
        maps: of the network.
        joints_first: whether the maps of joints come before those of triplets; the published network does not say.
        by_part: whether the three maps of a part lie together, or those of a state of all parts.

    Returns:
        Maps of joints (B, C, C, 18), and of parts (B, C, C, 14, 3).
    """
    count = NUM_JOINTS if joints_first else NUM_STATES * NUM_PARTS
    first, second = maps[..., :count], maps[..., count:]
    joints, parts = (first, second) if joints_first else (second, first)
    sides = tuple(parts.shape[1:3])
    if by_part:
        return joints, ops.reshape(parts, (-1, *sides, NUM_PARTS, NUM_STATES))
    return joints, ops.swapaxes(ops.reshape(parts, (-1, *sides, NUM_STATES, NUM_PARTS)), 3, 4)


def _build_volume(cells: int, depth_cells: int, width: int) -> keras.Model:
    features = keras.Input((cells, cells, width), dtype="float32", name="features")
    maps = keras.Input((cells, cells, NUM_MAPS), dtype="float32", name="maps")
    encoded = _conv(_ENCODED_MAPS, 3, "FBI_encoder_0")(maps)
    encoded = layers.ReLU()(_norm("FBI_encoder_1")(encoded))
    x = layers.Concatenate()([features, encoded])
    x = layers.ReLU()(_norm("conv_tail_1")(_conv(width, 1, "conv_tail_0")(x)))
    x = _conv(NUM_JOINTS * depth_cells, 1, "conv_tail_3")(x)
    return keras.Model([features, maps], x, name="volume")


def _conv(channels: int, kernel: int, name: str) -> layers.Layer:
    return layers.Conv2D(channels, kernel, padding="same", kernel_initializer=_initializer(), name=name)


def _norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(name=name, **BATCH_NORM)


def _initializer():
    return keras.initializers.RandomNormal(stddev=_DEVIATION)

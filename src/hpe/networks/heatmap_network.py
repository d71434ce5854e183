"""Maps from any encoder: transposed convolutions that double the resolution, and one 1x1 convolution per output.

After Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking" (2018), with the maps of depth that
Zhou et al., "Towards 3D Human Pose Estimation in the Wild: a Weakly-supervised Approach" (2017), put beside the
heat maps. Layers bear the names of the published PyTorch weights, with `_` for `.`.
"""

from __future__ import annotations

import math
import re

import keras
from keras import layers

from hpe.errors import SettingError
from hpe.networks import backbones
from hpe.networks.resnet import BATCH_NORM, DEPTHS, STRIDE, build_resnet

# The published network has three.
USUAL_DOUBLINGS = 3

_OWN_NAME = re.compile(r"(?:msra_|resnet)(18|34|50|101|152)", re.IGNORECASE)
# Of the last level of the encoder `small`.
_SMALL_STRIDE = 16
_KERNEL = 4
_DEVIATION = 0.001
# Files of weights by PyTorch, such as torchvision's resnet50.pth.
PYTORCH_SUFFIXES = (".pth", ".pt", ".tar")


def own_depth(name: str) -> int | None:
    """Returns the depth of one of our own ResNets by its name, None of another encoder's name.

    `msra_18` to `msra_152` are the published ones; ResNet18 and ResNet34, too, which keras.applications lacks.
    """
    found = _OWN_NAME.fullmatch(name)
    if found is None or (name.lower().startswith("resnet") and int(found[1]) >= 50):
        return None
    return int(found[1])


def build_map_encoder(
    name: str, *, image_size: int, weights: str = "none", stride: int = 0, published: bool = False
) -> keras.Model:
    """Builds an encoder that ends in a map of features.

    Args:
        name: `msra_18` to `msra_152`, `ResNet18`, `ResNet34`, or any name that `hpe.networks.backbones` knows.
        image_size: side S of the square pictures in pixels.
        weights: as of `backbones.build_encoder`; our own ResNets start from `none` here.
        stride: of the map, of 4, 8, 16 and 32; 0 for the coarsest that the encoder has.
        published: preprocess as the published weights of our own ResNets expect it.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255], uint8 or float, to features (B, h, w, C).

    Raises:
        UserError: there is no such encoder, the image size, the stride or the weights do not suit it.
    """
    depth = own_depth(name)
    if depth is not None:
        if stride not in (0, STRIDE):
            raise SettingError("encoder_stride", f"is {STRIDE} of {name}.", stride)
        return build_resnet(depth, image_size=image_size, published=published)
    if published:
        raise SettingError(
            "published_preprocessing", f"is that of {', '.join(own_names())}, not of {name}.", True
        )
    stride = stride or (_SMALL_STRIDE if name.lower() == backbones.SMALL_ENCODER else STRIDE)
    encoder = backbones.build_feature_maps(name, image_size=image_size, strides=(stride,), weights=weights)
    return keras.Model(encoder.input, encoder.output[f"stride_{stride}"], name="encoder")


def own_names() -> tuple[str, ...]:
    """Returns the names of the published ResNets."""
    return tuple(f"msra_{depth}" for depth in DEPTHS)


def doublings(features_side: int, map_side: int) -> int:
    """Returns how often a map of features is doubled to reach the side of the heat maps.

    Raises:
        UserError: the one is not the other times a power of two.
    """
    ratio = map_side / features_side
    count = round(math.log2(ratio)) if ratio >= 1 else -1
    if count < 0 or features_side * 2**count != map_side:
        fitting = ", ".join(str(features_side * 2**power) for power in range(1, USUAL_DOUBLINGS + 2))
        raise SettingError(
            "heatmap_size",
            f"the encoder's map has {features_side} cells a side, which is doubled until it fits: {fitting}.",
            map_side,
        )
    return count


def build_upsampling(shape: tuple[int, int, int], *, count: int, width: int, prefix: str = "") -> keras.Model:
    """Builds the transposed convolutions.

    Args:
        shape: (h, w, C) of the encoder's features.
        count: how many of them; each doubles the resolution.
        width: channels of each.
        prefix: of the names of its layers, which no other network of a system may have.

    Returns:
        keras.Model from features (B, h, w, C) to (B, h 2^count, w 2^count, width).
    """
    features = keras.Input(shape, dtype="float32", name="features")
    x = features
    for index in range(count):
        # PyTorch's padding of 1 and Keras' "same" cut the same frame of one cell off.
        x = layers.Conv2DTranspose(
            width,
            _KERNEL,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=_initializer(),
            name=f"{prefix}deconv_layers_{3 * index}",
        )(x)
        x = layers.BatchNormalization(name=f"{prefix}deconv_layers_{3 * index + 1}", **BATCH_NORM)(x)
        x = layers.ReLU(name=f"{prefix}deconv_layers_{3 * index + 2}")(x)
    return keras.Model(features, x, name="upsampling")


def build_map_head(width: int, joints: int, *, name: str) -> keras.Model:
    """Builds a head: one map per joint, a linear combination of the features.

    Args:
        width: channels of the features.
        joints: maps.
        name: of the layer, as the published weights call it: `hm` or `depth`.

    Returns:
        keras.Model from features (B, H, W, width) to maps (B, H, W, joints), float32.
    """
    features = keras.Input((None, None, width), dtype="float32", name="features")
    maps = layers.Conv2D(joints, 1, kernel_initializer=_initializer(), name=name)
    return keras.Model(features, maps(features), name=f"{name}_head")


def _initializer():
    return keras.initializers.RandomNormal(stddev=_DEVIATION)

"""MoveNet's MobileNetV2 and feature pyramid as encoders, which have seen people in all postures."""

from __future__ import annotations

import keras
from keras import layers

from hpe.errors import SettingError
from hpe.networks.movenet import SIZE_MULTIPLE, SIZES, MoveNet, feature_layers

# Names of the encoders, and the versions of MoveNet that they are.
MOVENET_ENCODERS = {f"movenet_{version}": version for version in SIZES}

# Where a limb is in the image matters, so the features keep a coarse grid beside the global average.
_GRID = 6
_GRID_WIDTH = 64


def build_movenet_encoder(name: str, size: int, *, pretrained: bool) -> keras.Model:
    """Builds an encoder of MoveNet's last features.

    Args:
        name: of `MOVENET_ENCODERS`.
        size: side of the square images, pixels; a multiple of 32. The published weights are for 192 (Lightning)
            and 256 (Thunder).
        pretrained: whether it has the published weights; else they are random.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to features (B, 3584): the global average of 1280
        channels, and a grid of 6 x 6 of them, reduced to 64 by a layer `grid`, which always starts at random.

    Raises:
        SettingError: the size is no multiple of 32.
    """
    images, maps = _images_and_maps(name, size, (32,), pretrained)
    x = maps["stride_32"]
    grid = layers.Conv2D(_GRID_WIDTH, 1, name="grid")(x)
    grid = layers.AdaptiveAveragePooling2D(_GRID)(grid)
    features = [layers.GlobalAveragePooling2D()(x), layers.Flatten()(grid)]
    return keras.Model(images, layers.Concatenate()(features), name="encoder")


def build_movenet_maps(name: str, size: int, strides: tuple[int, ...], *, pretrained: bool) -> keras.Model:
    """Builds an encoder of MoveNet's maps; see `build_movenet_encoder` for the arguments.

    Args:
        strides: of 4, 8, 16 and 32.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to a dict of maps (B, S / stride, S / stride, C) by
        `stride_4` and the like: at stride 32 the 1280 channels of the encoder's end, at the others the encoder's
        own map beside that of the pyramid, which knows what the coarser ones saw.
    """
    images, maps = _images_and_maps(name, size, strides, pretrained)
    return keras.Model(images, maps, name="encoder")


def _images_and_maps(name, size, strides, pretrained):
    if size < SIZE_MULTIPLE or size % SIZE_MULTIPLE:
        raise SettingError(
            "img_size", f"does not suit the encoder {name}, which takes multiples of {SIZE_MULTIPLE}", size
        )
    movenet = MoveNet(MOVENET_ENCODERS[name], pretrained=pretrained).maps
    named = [feature_layers(stride) for stride in strides]
    wanted = {layer: movenet.get_layer(layer).output for names in named for layer in names}
    backbone = keras.Model(movenet.input, wanted, name=name)
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0, dtype="float32", name="preprocessing")(images)
    found = backbone(x)
    maps = {}
    for stride, names in zip(strides, named, strict=True):
        beside = [found[layer] for layer in names]
        maps[f"stride_{stride}"] = beside[0] if len(beside) == 1 else layers.Concatenate()(beside)
    return images, maps

"""A compact residual encoder that trains on a CPU."""

from __future__ import annotations

import keras
from keras import layers

from hpe.errors import SettingError

_MIN_SIZE = 32
_STEM_WIDTH = 32
_WIDTHS = (32, 64, 128)
_BLOCKS = 2
# Where a limb is in the image matters, so the features keep a coarse grid beside the global average.
_GRID = 4
_GRID_WIDTH = 32
# The usual 0.99 needs hundreds of steps before inference sees sensible statistics.
_BATCH_NORM_MOMENTUM = 0.9


def build_small(size: int) -> keras.Model:
    """Builds a residual network of three levels at strides 4, 8 and 16.

    Args:
        size: side of the square images, pixels.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to features (B, 640): the global average of the last
        level, and a coarse grid of it. The layers `level0` to `level2` yield the maps of the levels.

    Raises:
        SettingError: the images are too small.
    """
    if size < _MIN_SIZE:
        raise SettingError(
            "img_size",
            f"does not suit the encoder small, which takes at least {_MIN_SIZE} pixels",
            size,
        )
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0, dtype="float32", name="preprocessing")(images)
    # Every layer with weights has a name, by which they are found in files of weights.
    x = _convolution(x, _STEM_WIDTH, kernel=5, stride=2, name="stem")
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for level, width in enumerate(_WIDTHS):
        for block in range(_BLOCKS):
            stride = 2 if level > 0 and block == 0 else 1
            last = block == _BLOCKS - 1
            x = _residual_block(
                x,
                width,
                stride=stride,
                name=f"level{level}_block{block}",
                output=f"level{level}" if last else None,
            )
    grid = layers.Conv2D(_GRID_WIDTH, 1, name="grid")(x)
    grid = layers.AdaptiveAveragePooling2D(_GRID)(grid)
    features = [layers.GlobalAveragePooling2D()(x), layers.Flatten()(grid)]
    return keras.Model(images, layers.Concatenate()(features), name="encoder")


def _residual_block(x, width, *, stride, name, output):
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _convolution(x, width, kernel=1, stride=stride, name=f"{name}_shortcut")
    x = layers.ReLU()(_convolution(x, width, kernel=3, stride=stride, name=f"{name}_first"))
    x = _convolution(x, width, kernel=3, stride=1, name=f"{name}_second")
    return layers.ReLU(name=output)(layers.Add()([x, shortcut]))


def _convolution(x, width, *, kernel, stride, name):
    x = layers.Conv2D(
        width,
        kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)

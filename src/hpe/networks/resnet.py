"""ResNets as PyTorch has them, from pictures to maps of features, and the normalisations they were trained with.

After He et al., "Deep Residual Learning for Image Recognition" (2016), in the variant of torchvision, whose
bottlenecks halve the resolution in their 3x3 convolution; that of keras.applications does it in the first 1x1, so
that weights of the one compute nonsense in the other. Layers bear the names of PyTorch's weights, with `_` for `.`,
and what PyTorch pads on both sides is padded on both sides here, where "same" would pad one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras
import numpy as np
from keras import layers, ops

from hpe.errors import SettingError, UserError

# Residual blocks of the four levels, and whether they are bottlenecks.
DEPTHS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
_LEVELS = "1234"
_BLOCK = re.compile(rf"layer([{_LEVELS}])\.(\d+)\.conv1\.weight$")
# Of pictures to the last level.
STRIDE = 32

_STEM_WIDTH = 64
_EXPANSION = 4
# Of RGB / 255 over ImageNet.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
# Keras keeps what PyTorch forgets: its momentum of 0.1.
BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}


def published_depth(names: Iterable[str], *, source: str) -> int:
    """Tells which ResNet a PyTorch checkpoint holds, of `DEPTHS`.

    Args:
        names: of its weights, with any prefix.
        source: where they come from, for the message.

    Raises:
        UserError: it is none.
    """
    blocks, bottleneck = [0] * len(_LEVELS), False
    for name in names:
        if found := _BLOCK.search(name):
            level, index = _LEVELS.index(found[1]), int(found[2])
            blocks[level] = max(blocks[level], index + 1)
        bottleneck |= name.endswith("layer1.0.conv3.weight")
    for depth, kind in DEPTHS.items():
        if kind == (tuple(blocks), bottleneck):
            return depth
    known = ", ".join(map(str, DEPTHS))
    raise UserError(f"{source}: its levels of {blocks} blocks are of no ResNet-{known}.")


def build_resnet(depth: int, *, image_size: int, published: bool = False) -> keras.Model:
    """Builds a ResNet without its classifier.

    Args:
        depth: layers, of `DEPTHS`.
        image_size: side S of the square pictures in pixels, a multiple of 32.
        published: preprocess as `PublishedNormalization` does; else RGB / 255 by ImageNet's mean and deviation.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255], uint8 or float, to features (B, S/32, S/32, C); C is
        512 for depths 18 and 34, else 2048.

    Raises:
        UserError: the image size does not suit it.
    """
    if image_size < STRIDE or image_size % STRIDE:
        raise SettingError(
            "img_size",
            f"ResNets take multiples of {STRIDE}, such as {max(image_size // STRIDE, 1) * STRIDE}",
            image_size,
        )
    blocks, bottleneck = DEPTHS[depth]
    images = keras.Input((image_size, image_size, 3), dtype="float32", name="images")
    normalization = PublishedNormalization if published else ImageNormalization
    x = normalization(name="normalization")(images)
    x = _conv_bn(x, _STEM_WIDTH, "conv1", "bn1", kernel=7, stride=2)
    # Behind a ReLU nothing is below the zeros of the padding, which PyTorch leaves out of the maximum.
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for level, count in enumerate(blocks):
        width = _STEM_WIDTH * 2**level
        for index in range(count):
            stride = 2 if level > 0 and index == 0 else 1
            x = _block(x, width, f"layer{level + 1}_{index}", stride=stride, bottleneck=bottleneck)
    return keras.Model(images, x, name="encoder")


@keras.saving.register_keras_serializable(package="hpe")
class ImageNormalization(layers.Layer):
    """Turns RGB pixels in [0, 255] into RGB / 255, by ImageNet's mean and deviation."""

    _range, _channels = 255.0, slice(None)

    def __init__(self, **kwargs):
        # Half precision would cost the low bits of the pixels before they are even scaled.
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, images):
        """Returns normalised images (B, H, W, 3)."""
        scale = np.float32(1 / (self._range * np.array(_DEVIATION)))
        offset = np.float32(-np.array(_MEAN) / np.array(_DEVIATION))
        return ops.cast(images, "float32")[..., self._channels] * scale + offset


@keras.saving.register_keras_serializable(package="hpe")
class PublishedNormalization(ImageNormalization):
    """Turns RGB pixels into what the published pose-hg-3d weights saw: BGR / 256, by the mean and deviation of RGB.

    Its code reads pictures by OpenCV, whose channels are blue first, and normalises them as if red were
    (src/lib/datasets/mpii.py); weights that were trained so expect it.
    """

    _range, _channels = 256.0, slice(None, None, -1)


def _block(x, width, name, *, stride, bottleneck):
    """Residual block: 1x1, 3x3, 1x1 that ends in four times the width, or 3x3 twice."""
    wide = _EXPANSION * width if bottleneck else width
    shortcut = x
    if stride != 1 or x.shape[-1] != wide:
        names = (f"{name}_downsample_0", f"{name}_downsample_1")
        shortcut = _conv_bn(x, wide, *names, kernel=1, stride=stride, relu=False)
    steps = (
        ((width, 1, 1), (width, 3, stride), (wide, 1, 1))
        if bottleneck
        else ((width, 3, stride), (wide, 3, 1))
    )
    for number, (channels, kernel, step) in enumerate(steps, 1):
        names = (f"{name}_conv{number}", f"{name}_bn{number}")
        x = _conv_bn(x, channels, *names, kernel=kernel, stride=step, relu=number < len(steps))
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _conv_bn(x, width, conv, bn, *, kernel, stride=1, relu=True):
    """Convolution, normalisation and activation; `conv` and `bn` are the names of the layers."""
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2)(x)
    x = layers.Conv2D(
        width, kernel, strides=stride, use_bias=False, kernel_initializer="he_normal", name=conv
    )(x)
    x = layers.BatchNormalization(name=bn, **BATCH_NORM)(x)
    return layers.ReLU()(x) if relu else x

"""HRNet: branches of several resolutions that run side by side and exchange features, and its heat-map head.

After Sun et al., "Deep High-Resolution Representation Learning for Human Pose Estimation" (2019). Layers bear the
names of the published PyTorch weights, with `_` for `.`. A convolution of stride 2 pads one pixel on every side, as
PyTorch does and Keras' "same" does not, so that those weights compute here what they were trained to compute. It
also puts cell c of the heat maps on pixel 4 c of the picture, exactly.
"""

from __future__ import annotations

import functools

import keras
import numpy as np
from keras import layers, ops

from hpe.errors import SettingError

# Of pictures to heat maps; the smallest branch is another eight times coarser.
STRIDE = 4
_COARSEST = 32

# Of RGB / 255 over ImageNet, with which the published weights were trained.
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)

_STEM_WIDTH = 64
# Residual blocks of a branch in a module.
BLOCKS = 4
_BOTTLENECK_EXPANSION = 4
# Modules of the stages 2, 3 and 4, which have as many branches as their number says.
MODULES = {2: 1, 3: 4, 4: 3}
_LAST = max(MODULES)

_EPSILON = 1e-5
_MOMENTUM = 0.9
_INITIAL_DEVIATION = 0.001


def build_hrnet(width: int, *, image_size: int, multi_scale: bool = False, dtype="float32") -> keras.Model:
    """Builds the backbone: everything before the head.

    Args:
        width: channels of the finest branch (32 for W32); each further one has twice as many.
        image_size: side S of the square pictures in pixels, a multiple of 32.
        multi_scale: whether the last module ends in all four branches; without, only the finest is computed.
        dtype: Keras dtype policy of the layers behind the normalisation, such as "mixed_bfloat16".

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255], uint8 or float, to features (B, S/4, S/4, width), or
        with `multi_scale` to a list of four: (B, S/4, S/4, width), (B, S/8, S/8, 2 width), ...

    Raises:
        UserError: the image size does not suit it.
    """
    if image_size < _COARSEST or image_size % _COARSEST:
        raise SettingError(
            "img_size",
            f"HRNet takes multiples of {_COARSEST}, such as {max(image_size // _COARSEST, 1) * _COARSEST}",
            image_size,
        )
    build = _Builder(dtype)
    images = keras.Input((image_size, image_size, 3), dtype="float32", name="images")
    x = ImageNetNormalization(name="normalization")(images)
    x = build.conv_bn(x, _STEM_WIDTH, "conv1", "bn1", stride=2)
    x = build.conv_bn(x, _STEM_WIDTH, "conv2", "bn2", stride=2)
    for index in range(BLOCKS):
        x = build.bottleneck(x, _STEM_WIDTH, f"layer1_{index}")
    branches = [x]
    for stage, modules in MODULES.items():
        branches = build.transition(branches, width, stage)
        for module in range(modules):
            last = stage == _LAST and module == modules - 1
            outputs = 1 if last and not multi_scale else stage
            branches = build.module(branches, f"stage{stage}_{module}", outputs)
    return keras.Model(images, branches if multi_scale else branches[0], name="backbone")


def build_heatmap_head(width: int, joints: int) -> keras.Model:
    """Builds the head: one linear combination of the finest branch's channels per joint.

    Args:
        width: channels of the features.
        joints: joints K.

    Returns:
        keras.Model from features (B, H, W, width) to heat maps (B, H, W, K), float32.
    """
    features = keras.Input((None, None, width), dtype="float32", name="features")
    head = layers.Conv2D(joints, 1, kernel_initializer=_initializer(), dtype="float32", name="final_layer")
    return keras.Model(features, head(features), name="head")


@keras.saving.register_keras_serializable(package="hpe")
class ImageNetNormalization(layers.Layer):
    """Turns RGB pixels in [0, 255] into what networks trained on ImageNet by PyTorch expect, float32."""

    def __init__(self, **kwargs):
        # Half precision would cost the low bits of the pixels before they are even scaled.
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, images):
        """Returns normalised images (B, H, W, 3)."""
        scale = 1.0 / (255.0 * np.array(_DEVIATION))
        offset = -np.array(_MEAN) / np.array(_DEVIATION)
        return ops.cast(images, "float32") * np.float32(scale) + np.float32(offset)


def _initializer():
    return keras.initializers.RandomNormal(stddev=_INITIAL_DEVIATION)


class _Builder:
    """Adds the parts of the network to a graph of Keras layers.

    Args:
        dtype: dtype policy of the layers.
    """

    def __init__(self, dtype):
        self._relu = functools.partial(layers.ReLU, dtype=dtype)
        self._add = functools.partial(layers.Add, dtype=dtype)
        self._pad = functools.partial(layers.ZeroPadding2D, 1, dtype=dtype)
        self._upsample = functools.partial(layers.UpSampling2D, interpolation="nearest", dtype=dtype)
        self._conv = functools.partial(layers.Conv2D, use_bias=False, dtype=dtype)
        self._bn = functools.partial(
            layers.BatchNormalization, momentum=_MOMENTUM, epsilon=_EPSILON, dtype=dtype
        )

    def conv_bn(self, x, width, conv, bn, *, kernel=3, stride=1, relu=True):
        """Convolution, normalisation and activation; `conv` and `bn` are the names of the layers."""
        padding = "same"
        if stride == 2:
            x, padding = self._pad()(x), "valid"
        x = self._conv(
            width, kernel, strides=stride, padding=padding, kernel_initializer=_initializer(), name=conv
        )(x)
        x = self._bn(name=bn)(x)
        return self._relu()(x) if relu else x

    def bottleneck(self, x, width, name):
        """Residual block 1x1, 3x3, 1x1 that ends in four times `width` channels."""
        wide = _BOTTLENECK_EXPANSION * width
        shortcut = x
        if x.shape[-1] != wide:
            names = (f"{name}_downsample_0", f"{name}_downsample_1")
            shortcut = self.conv_bn(x, wide, *names, kernel=1, relu=False)
        x = self.conv_bn(x, width, f"{name}_conv1", f"{name}_bn1", kernel=1)
        x = self.conv_bn(x, width, f"{name}_conv2", f"{name}_bn2")
        x = self.conv_bn(x, wide, f"{name}_conv3", f"{name}_bn3", kernel=1, relu=False)
        return self._relu()(self._add()([x, shortcut]))

    def basic_block(self, x, name):
        """Residual block of two 3x3 convolutions."""
        y = self.conv_bn(x, x.shape[-1], f"{name}_conv1", f"{name}_bn1")
        y = self.conv_bn(y, x.shape[-1], f"{name}_conv2", f"{name}_bn2", relu=False)
        return self._relu()(self._add()([y, x]))

    def transition(self, branches, width, stage):
        """Goes from the branches of one stage to those of the next, which has one more, at half the resolution."""
        name = f"transition{stage - 1}"
        new = len(branches)
        ends = list(branches)
        if stage == 2:
            # Only here do the channels of a branch change.
            ends[0] = self.conv_bn(ends[0], width, f"{name}_0_0", f"{name}_0_1")
            new = 1
        names = (f"{name}_{new}_0_0", f"{name}_{new}_0_1")
        return [*ends, self.conv_bn(branches[-1], width * 2**new, *names, stride=2)]

    def module(self, branches, name, outputs):
        """Four residual blocks on every branch, then the exchange, of which the first `outputs` are computed."""
        own = []
        for index, x in enumerate(branches):
            for block in range(BLOCKS):
                x = self.basic_block(x, f"{name}_branches_{index}_{block}")
            own.append(x)
        return [self._fuse(own, target, f"{name}_fuse_layers_{target}") for target in range(outputs)]

    def _fuse(self, branches, target, name):
        width = branches[target].shape[-1]
        terms = []
        for source, x in enumerate(branches):
            if source > target:
                names = (f"{name}_{source}_0", f"{name}_{source}_1")
                x = self.conv_bn(x, width, *names, kernel=1, relu=False)
                x = self._upsample(2 ** (source - target))(x)
            for step in range(target - source):
                last = step == target - source - 1
                names = (f"{name}_{source}_{step}_0", f"{name}_{source}_{step}_1")
                channels = width if last else branches[source].shape[-1]
                x = self.conv_bn(x, channels, *names, stride=2, relu=not last)
            terms.append(x)
        return self._relu()(self._add()(terms))

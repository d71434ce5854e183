"""RTMDet-nano for one class, people: a one-stage detector of a million parameters.

After Lyu et al., "RTMDet: An Empirical Study of Designing Real-Time Object Detectors" (2022): a CSPNeXt backbone, a
CSPNeXt feature pyramid, and a head of two separable convolutions per level and task. Batch normalisations are
folded into the convolutions, as in the weights that `tools/convert_rtmdet.py` converts, so that this network is for
prediction.
"""

from __future__ import annotations

import keras
from keras import layers

STRIDES = (8, 16, 32)

# Of the nano model: a quarter of the large one's width, a third of its depth.
_STEM = (8, 8, 16)
_STAGES = ((32, 1), (64, 2), (128, 2), (256, 1))  # channels, blocks
_LEVEL_CHANNELS = 64
_POOLS = (5, 9, 13)


def build_rtmdet() -> keras.Model:
    """Builds the network, with random weights.

    Returns:
        A model from (B, H, W, 3) float32, BGR, normalised (`hpe.people.detection`), H and W multiples of 32, to a
        list of three pairs, one per stride of STRIDES: class logits (B, h, w, 1), and distances (B, h, w, 4) to
        left, top, right and bottom in units of the stride. Layers are named after their place.
    """
    return RtmdetBuilder().build()


class RtmdetBuilder:
    """Builds the network and remembers in which order.

    Attributes:
        convolutions: layers in the order in which they were built, which is that of published files; those of a
            model are sorted by depth.
    """

    def __init__(self):
        self.convolutions: list[layers.Layer] = []

    def build(self) -> keras.Model:
        """Returns the model, see `build_rtmdet`."""
        inputs = keras.Input((None, None, 3), name="image")
        x = inputs
        for index, filters in enumerate(_STEM):
            x = self._conv(x, filters, f"stem{index}", kernel=3, stride=2 if index == 0 else 1)
        levels = []
        for index, (filters, blocks) in enumerate(_STAGES, start=1):
            x = self._separable(x, filters, f"stage{index}_down", stride=2)
            last = index == len(_STAGES)
            if last:
                x = self._pyramid_pooling(x, filters, f"stage{index}_pool")
            x = self._csp(x, filters, f"stage{index}", blocks=blocks, residual=not last, attention=True)
            levels.append(x)
        outputs = []
        for level, feature in enumerate(self._pyramid(levels[1:])):
            heads = []
            for task, size in (("class", 1), ("box", 4)):
                y = self._separable(feature, _LEVEL_CHANNELS, f"level{level}_{task}0")
                y = self._separable(y, _LEVEL_CHANNELS, f"level{level}_{task}1")
                heads.append(self._add(layers.Conv2D(size, 1, name=f"level{level}_{task}"))(y))
            outputs.append(heads)
        return keras.Model(inputs, outputs, name="rtmdet_nano")

    def _pyramid(self, levels: list) -> list:
        """Mixes levels of strides 8, 16 and 32 from coarse to fine and back, and brings them to one width."""
        fine, middle, coarse = levels
        reduced = [self._conv(coarse, middle.shape[-1], "reduce0")]
        x = self._top_down(reduced[0], middle, "down0")
        reduced.append(self._conv(x, fine.shape[-1], "reduce1"))
        outputs = [self._top_down(reduced[1], fine, "down1")]
        for index, lateral in enumerate(reversed(reduced)):
            x = self._separable(outputs[-1], outputs[-1].shape[-1], f"up{index}_down", stride=2)
            x = layers.Concatenate(name=f"up{index}_join")([x, lateral])
            outputs.append(self._csp(x, x.shape[-1], f"up{index}"))
        return [self._separable(x, _LEVEL_CHANNELS, f"level{index}_in") for index, x in enumerate(outputs)]

    def _top_down(self, coarse, fine, name: str):
        up = layers.UpSampling2D(2, interpolation="nearest", name=f"{name}_upsample")(coarse)
        return self._csp(layers.Concatenate(name=f"{name}_join")([up, fine]), fine.shape[-1], name)

    def _csp(self, x, filters: int, name: str, *, blocks: int = 1, residual=False, attention=False):
        """A cross-stage partial block: half of the channels go through blocks of large kernels, half pass by."""
        half = filters // 2
        short = self._conv(x, half, f"{name}_short")
        main = self._conv(x, half, f"{name}_main")
        for index in range(blocks):
            y = self._separable(main, half, f"{name}_block{index}_a")
            y = self._separable(y, half, f"{name}_block{index}_b", kernel=5)
            main = layers.Add(name=f"{name}_block{index}_add")([y, main]) if residual else y
        x = layers.Concatenate(name=f"{name}_concat")([main, short])
        if attention:
            weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
            attend = layers.Conv2D(filters, 1, activation="hard_sigmoid", name=f"{name}_attention")
            x = layers.Multiply(name=f"{name}_attend")([x, self._add(attend)(weights)])
        return self._conv(x, filters, f"{name}_out")

    def _pyramid_pooling(self, x, filters: int, name: str):
        x = self._conv(x, filters // 2, f"{name}_in")
        pooled = [layers.MaxPooling2D(size, 1, padding="same", name=f"{name}{size}")(x) for size in _POOLS]
        joined = layers.Concatenate(name=f"{name}_concat")([x, *pooled])
        return self._conv(joined, filters, f"{name}_out")

    def _separable(self, x, filters: int, name: str, *, kernel: int = 3, stride: int = 1):
        """A depthwise and a pointwise convolution, each with SiLU."""
        x, padding = _padded(x, kernel, stride, name)
        depthwise = layers.DepthwiseConv2D(kernel, strides=stride, padding=padding, name=f"{name}_depthwise")
        x = layers.Activation("silu", name=f"{name}_depthwise_silu")(self._add(depthwise)(x))
        return self._conv(x, filters, f"{name}_pointwise")

    def _conv(self, x, filters: int, name: str, *, kernel: int = 1, stride: int = 1):
        x, padding = _padded(x, kernel, stride, name)
        convolution = layers.Conv2D(filters, kernel, strides=stride, padding=padding, name=name)
        return layers.Activation("silu", name=f"{name}_silu")(self._add(convolution)(x))

    def _add(self, layer):
        self.convolutions.append(layer)
        return layer


def _padded(x, kernel: int, stride: int, name: str):
    """Pads strided convolutions on all sides; "same" would on the right and below only."""
    if stride == 1:
        return x, "same"
    return layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x), "valid"

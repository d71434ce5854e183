"""PARE: two branches over one map of features: one says where the parts of a body are, one knows the body.

After Kocabas et al., "PARE: Part Attention Regressor for 3D Human Body Estimation" (2021). The part branch ends
in a map for the background and one for each of the 24 parts; the softmax of a part's map over all cells says from
where the body branch's features are gathered for this part's joint. So a part that is hidden can be told from where
others are seen. Layers bear the names of the published PyTorch weights, with `_` for `.`.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from hpe.body.data import NUM_JOINTS, NUM_SHAPES
from hpe.networks.upsampling import AlignedUpsampling

# Numbers of a rotation, see `hpe.geometry.rotations`.
ROT6D = 6
CAMERA = 3
# The maps of the part branch: background, then the parts by the joints of `smpl24` that move them.
PART_MAPS = 1 + NUM_JOINTS

# Words of the published names that have an underscore.
PUBLISHED_WORDS = (
    *("keypoint_deconv_layers", "keypoint_final_layer", "smpl_deconv_layers", "smpl_final_layer"),
    *("shape_mlp", "cam_mlp", "pose_mlp", "upsample_stage_2", "upsample_stage_3", "upsample_stage_4"),
    "fuse_layers",
)

_EPSILON = 1e-5
_MOMENTUM = 0.9
# Xavier's gain of the published option, for heads that start from a mean body.
_SMALL_GAIN = 0.01
# Side of what the baseline sees of a picture, and its hidden layers (the course's dummy model has none).
_BASELINE_SIDE = 8


@dataclasses.dataclass(frozen=True)
class MeanBody:
    """Where the heads start.

    Attributes:
        rot6d: (24, 6) rotations.
        shape: (10,).
        camera: (3,) weak perspective.
    """

    rot6d: np.ndarray
    shape: np.ndarray
    camera: np.ndarray


def build_up_fusion(width: int, *, cells: int, interpolate: bool = False, dtype="float32") -> keras.Model:
    """Builds what joins the four branches of HRNet at the resolution of the finest.

    Args:
        width: channels of the finest branch; each further one has twice as many and half the cells.
        cells: side of the finest branch's map.
        interpolate: enlarge the coarser branches at once and without convolutions, the reference's `-interp`;
            else by k steps of enlarging twice, 3x3 convolution, normalisation and ReLU, its `-conv`.
        dtype: dtype policy of the layers.

    Returns:
        keras.Model from a list of four maps to (B, cells, cells, 15 width), float32.
    """
    branches = [
        keras.Input((cells // 2**branch, cells // 2**branch, width * 2**branch), name=f"branch{branch}")
        for branch in range(4)
    ]
    joined = [branches[0]]
    for branch in range(1, 4):
        x = branches[branch]
        if interpolate:
            joined.append(AlignedUpsampling(2**branch, dtype=dtype)(x))
            continue
        for step in range(branch):
            x = AlignedUpsampling(2, dtype=dtype)(x)
            name = f"upsample_stage_{branch + 1}"
            x = _conv_bn(x, x.shape[-1], f"{name}_{4 * step + 1}", f"{name}_{4 * step + 2}", dtype=dtype)
        joined.append(x)
    return keras.Model(branches, layers.Concatenate(dtype="float32")(joined), name="fusion")


def build_map_fusion(shapes: dict[str, tuple[int, int, int]], *, dtype="float32") -> keras.Model:
    """Builds what joins the maps of an encoder at the resolution of the finest, by enlarging alone.

    Args:
        shapes: (h, w, C) of the maps by name; sides of the coarser ones divide those of the finest.
        dtype: dtype policy of the layers.

    Returns:
        keras.Model from a dict of maps to (B, H, W, sum of C), float32.
    """
    maps = {name: keras.Input(shape, name=name) for name, shape in shapes.items()}
    finest = max(shape[0] for shape in shapes.values())
    joined = [
        x if x.shape[1] == finest else AlignedUpsampling(finest // x.shape[1], dtype=dtype)(x)
        for x in maps.values()
    ]
    x = layers.Concatenate(dtype="float32", name="joined")(joined) if len(joined) > 1 else joined[0]
    return keras.Model(maps, layers.Identity(dtype="float32", name="features")(x), name="fusion")


def build_pare_head(
    feature_shape: tuple[int, int, int],
    *,
    filters: int,
    num_layers: int,
    upsampled: int = 0,
    shape_features: int = 64,
    attention: bool = True,
    act: str = "softmax",
    mean: MeanBody | None = None,
    dtype="float32",
) -> keras.Model:
    """Builds both branches and the heads.

    Args:
        feature_shape: (H, W, C) of the features.
        filters: channels F of both branches.
        num_layers: convolutions of each branch.
        upsampled: before how many of them, from the first, the map is enlarged twice.
        shape_features: channels of the features for shape and camera.
        attention: gather features by the parts' maps; False takes their mean over all cells for every joint, and
            builds no part branch.
        act: `softmax` over the cells, or `sigmoid` of each, as the reference offers.
        mean: what shape, camera and rotations are differences from, in weights that are trained like others; the
            heads start near 0 then. None for the reference's heads, which have no mean and start with rotations of
            unit variance.
        dtype: dtype policy of the branches; gathering and heads are float32.

    Returns:
        keras.Model from features (B, H, W, C) to a dict of `rot6d` (B, 24, 6), `shape` (B, 10), `camera` (B, 3)
        and, with attention, `part_logits` (B, H', W', 25), background first.
    """
    features = keras.Input(feature_shape, name="features")
    build = {"filters": filters, "num_layers": num_layers, "upsampled": upsampled, "dtype": dtype}
    body = _branch(features, "smpl_deconv_layers", **build)
    coarse = layers.Conv2D(
        shape_features, 1, kernel_initializer=_as_pytorch(), dtype="float32", name="smpl_final_layer"
    )(body)
    outputs = {}
    if attention:
        parts = _branch(features, "keypoint_deconv_layers", **build)
        logits = layers.Conv2D(
            PART_MAPS, 1, kernel_initializer=_as_pytorch(), dtype="float32", name="keypoint_final_layer"
        )(parts)
        outputs["part_logits"] = logits
        gather = PartAttention(act, dtype="float32", name="attention")
        of_pose, of_shape = gather([body, logits]), gather([coarse, logits])
    else:
        everywhere = MeanForParts(NUM_JOINTS, dtype="float32", name="average")
        of_pose, of_shape = everywhere(body), everywhere(coarse)
    # Channel by channel, as PyTorch flattens (B, channels, parts).
    flat = layers.Flatten(dtype="float32", name="flat")(layers.Permute((2, 1), dtype="float32")(of_shape))
    small = mean is not None
    rot6d = LocallyConnected(ROT6D, gain=_SMALL_GAIN if small else None, dtype="float32", name="pose_mlp")(
        of_pose
    )
    heads = {"rot6d": rot6d}
    for key, name, size in (("shape", "shape_mlp", NUM_SHAPES), ("camera", "cam_mlp", CAMERA)):
        initializer = _small_uniform() if small else _as_pytorch()
        heads[key] = layers.Dense(size, kernel_initializer=initializer, dtype="float32", name=name)(flat)
    if mean is not None:
        for key in heads:
            heads[key] = Offset(getattr(mean, key), dtype="float32", name=f"mean_{key}")(heads[key])
    return keras.Model(features, {**heads, **outputs}, name="head")


def build_baseline(image_size: int, *, mean: MeanBody | None = None) -> keras.Model:
    """Builds the course's dummy: the picture at 8 x 8 pixels, and one linear layer for each of the outputs.

    Args:
        image_size: side of the square pictures in pixels, a multiple of 8.
        mean: as of `build_pare_head`.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to `rot6d`, `shape` and `camera`.
    """
    images = keras.Input((image_size, image_size, 3), dtype="float32", name="images")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32", name="scaled")(images)
    x = layers.AdaptiveAveragePooling2D(_BASELINE_SIDE, dtype="float32", name="pooled")(x)
    x = layers.Flatten(dtype="float32", name="flat")(x)
    outputs = {}
    for key, size in (("rot6d", NUM_JOINTS * ROT6D), ("shape", NUM_SHAPES), ("camera", CAMERA)):
        initializer = _small_uniform() if mean is not None else _as_pytorch()
        y = layers.Dense(size, kernel_initializer=initializer, dtype="float32", name=key)(x)
        if key == "rot6d":
            y = layers.Reshape((NUM_JOINTS, ROT6D), name="rotations")(y)
        outputs[key] = (
            y if mean is None else Offset(getattr(mean, key), dtype="float32", name=f"mean_{key}")(y)
        )
    return keras.Model(images, outputs, name="baseline")


def attention_of(logits, act: str = "softmax"):
    """Returns the attention (B, H, W, 24) of part maps (B, H, W, 25), of which the first is the background's."""
    height, width, maps = logits.shape[1:]
    flat = ops.reshape(logits[..., 1:], (-1, height * width, maps - 1))
    weights = ops.softmax(flat, axis=1) if act == "softmax" else ops.sigmoid(flat)
    return ops.reshape(weights, (-1, height, width, maps - 1))


@keras.saving.register_keras_serializable(package="hpe")
class PartAttention(layers.Layer):
    """Gathers the features of a map for each part, by what the part branch says of where it is.

    Args:
        act: `softmax`, by which the cells share a weight of 1, or `sigmoid`, by which each has its own.
    """

    def __init__(self, act: str = "softmax", **kwargs):
        super().__init__(**kwargs)
        if act not in ("softmax", "sigmoid"):
            raise ValueError(f"act must be softmax or sigmoid. Received: act={act!r}")
        self.act = act

    def call(self, inputs):
        """Returns features (B, 24, F) of a map (B, H, W, F) and logits (B, H, W, 25)."""
        features, logits = inputs
        height, width, channels = features.shape[1:]
        weights = attention_of(ops.cast(logits, self.compute_dtype), self.act)
        weights = ops.reshape(weights, (-1, height * width, weights.shape[-1]))
        flat = ops.reshape(ops.cast(features, self.compute_dtype), (-1, height * width, channels))
        return ops.matmul(ops.transpose(weights, (0, 2, 1)), flat)

    def compute_output_shape(self, shapes):
        """Returns the shape of the gathered features."""
        features, logits = shapes
        return (features[0], logits[-1] - 1, features[-1])

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "act": self.act}


@keras.saving.register_keras_serializable(package="hpe")
class MeanForParts(layers.Layer):
    """Gives every part the mean of the features over all cells: PARE without its attention.

    Args:
        parts: how many.
    """

    def __init__(self, parts: int = NUM_JOINTS, **kwargs):
        super().__init__(**kwargs)
        self.parts = parts

    def call(self, features):
        """Returns (B, parts, F) of a map (B, H, W, F)."""
        mean = ops.mean(ops.cast(features, self.compute_dtype), axis=(1, 2))
        return ops.repeat(mean[:, None], self.parts, axis=1)

    def compute_output_shape(self, shape):
        """Returns the shape of the features of the parts."""
        return (shape[0], self.parts, shape[-1])

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "parts": self.parts}


@keras.saving.register_keras_serializable(package="hpe")
class LocallyConnected(layers.Layer):
    """A linear layer for every part, none of which shares weights with another; without biases.

    Args:
        units: outputs of each.
        gain: of Xavier's uniform distribution, from which the kernels start; None for unit variance.
    """

    def __init__(self, units: int, gain: float | None = None, **kwargs):
        super().__init__(**kwargs)
        self.units, self.gain = units, gain

    def build(self, shape):
        """Makes the kernels (parts, features, units)."""
        _, parts, width = shape
        initializer = keras.initializers.RandomNormal(stddev=1.0)
        if self.gain is not None:
            limit = self.gain * np.sqrt(6.0 / (width + self.units))
            initializer = keras.initializers.RandomUniform(-limit, limit)
        self.kernel = self.add_weight(
            shape=(parts, width, self.units), initializer=initializer, name="kernel"
        )

    def call(self, features):
        """Returns (B, parts, units) of features (B, parts, F)."""
        return ops.squeeze(ops.matmul(features[:, :, None, :], self.kernel), axis=2)

    def compute_output_shape(self, shape):
        """Returns the shape of the outputs."""
        return (*shape[:-1], self.units)

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "units": self.units, "gain": self.gain}


@keras.saving.register_keras_serializable(package="hpe")
class Offset(layers.Layer):
    """Adds weights that start at given values, such as those of a mean body.

    Args:
        start: the values, of the shape of one sample.
    """

    def __init__(self, start, **kwargs):
        super().__init__(**kwargs)
        self._start = np.asarray(start, np.float32)
        self.offset = self.add_weight(
            shape=self._start.shape,
            initializer=lambda shape, dtype: ops.convert_to_tensor(self._start, dtype=dtype),
            name="offset",
            autocast=False,
        )

    def call(self, values):
        """Returns values (B, ...) plus the offset."""
        return values + self.offset

    def compute_output_shape(self, shape):
        """Returns the shape of the values."""
        return shape

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "start": self._start.tolist()}


def _branch(x, name: str, *, filters: int, num_layers: int, upsampled: int, dtype):
    """Adds a branch: convolutions, each perhaps behind an enlargement; numbered as the published layers are."""
    index = 0
    for layer in range(num_layers):
        if layer < upsampled:
            x = AlignedUpsampling(2, dtype=dtype)(x)
            index += 1
        x = _conv_bn(x, filters, f"{name}_{index}", f"{name}_{index + 1}", dtype=dtype)
        index += 3
    return x


def _conv_bn(x, width: int, conv: str, bn: str, *, dtype):
    x = layers.Conv2D(
        width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", dtype=dtype, name=conv
    )(x)
    x = layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, dtype=dtype, name=bn)(x)
    return layers.ReLU(dtype=dtype)(x)


def _small_uniform():
    # Xavier's with the published gain of 0.01, whose square is the scale.
    return keras.initializers.VarianceScaling(_SMALL_GAIN**2, mode="fan_avg", distribution="uniform")


def _as_pytorch():
    # Uniform within 1 / sqrt(fan in).
    return keras.initializers.VarianceScaling(1 / 3, mode="fan_in", distribution="uniform")

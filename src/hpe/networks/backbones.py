"""Image encoders: any backbone of keras.applications, or a compact one, from RGB pixels to features."""

from __future__ import annotations

import contextlib
import functools
import inspect
import numbers
import pathlib
import socket
import warnings

import keras
from keras import layers, ops

from hpe.errors import SettingError, UserError, first_line
from hpe.formats import hdf5
from hpe.formats.npz import load_npz

SMALL_ENCODER = "small"
# Weights of the small encoder that come with the package, trained on synthetic people alone.
SYNTHETIC_WEIGHTS = pathlib.Path(__file__).parent / "assets" / "small_synthetic.npz"

_WEIGHT_SUFFIXES = (".weights.h5", ".keras", ".h5", ".hdf5")
# A download that stalls this long counts as no network.
_NETWORK_TIMEOUT_S = 10.0

_SMALL_MIN_SIZE = 32
_SMALL_STEM_WIDTH = 32
_SMALL_WIDTHS = (32, 64, 128)
_SMALL_BLOCKS = 2
# Where a limb is in the image matters, so the features keep a coarse grid beside the global average.
_SMALL_GRID = 4
_SMALL_GRID_WIDTH = 32
# The usual 0.99 needs hundreds of steps before inference sees sensible statistics.
_SMALL_BATCH_NORM_MOMENTUM = 0.9


def build_encoder(
    name="ResNet50", *, image_size, weights="imagenet", batch_norm_momentum=None, dtype="float32"
):
    """Builds an encoder that does the preprocessing its backbone was trained with.

    Args:
        name: a model of keras.applications, in any case, or "small" for a compact residual network of 0.7 M
            parameters that trains on a CPU.
        image_size: side of the square images, pixels.
        weights: "imagenet", "none" for random initial weights, "synthetic" for the weights of the small encoder
            that come with the package, or a path of a .weights.h5, .keras or
            Keras .h5 (without the classifier) file of this encoder or of its bare backbone.
        batch_norm_momentum: overrides the momentum of all batch normalisations when given.
        dtype: Keras dtype policy of the layers behind the preprocessing, such as "mixed_bfloat16"; weights are
            the same under every one.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255], uint8 or float, to features (B, F).

    Raises:
        UserError: the name is unknown, the image size does not suit it, or the weights cannot be had.
    """
    if isinstance(image_size, bool) or not isinstance(image_size, numbers.Integral):
        raise ValueError(
            "image_size must be one integer, the side of the square images. "
            f"Received: image_size={image_size!r}"
        )
    with _dtype_policy(dtype):
        encoder = _build(name, int(image_size), weights)
    if batch_norm_momentum is not None:
        _set_batch_norm_momentum(encoder, batch_norm_momentum)
    return encoder


@contextlib.contextmanager
def _dtype_policy(policy):
    """Sets the policy of layers built inside: the models of keras.applications take no dtype."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _build(name, size, weights):
    if name.lower() == SMALL_ENCODER:
        encoder = _build_small(size)
        if weights == "imagenet":
            raise SettingError(
                "encoder_weights",
                "the encoder 'small' has no ImageNet weights; use `encoder_weights=synthetic`, none or PATH",
                "imagenet",
            )
        if weights == "synthetic":
            _load_synthetic(encoder)
        elif weights != "none":
            _load_weights([encoder], weights)
    elif weights == "synthetic":
        raise SettingError(
            "encoder_weights",
            f"the package has such weights for the encoder 'small' only, not for {name}; use "
            "`encoder_weights=imagenet`, none or PATH",
            "synthetic",
        )
    else:
        encoder = _build_application(name, size, weights)
    return encoder


@functools.cache
def known_encoders() -> tuple[str, ...]:
    """Returns the names that `build_encoder` takes."""
    return (SMALL_ENCODER, *(name for name, _ in _applications().values()))


@keras.saving.register_keras_serializable(package="hpe")
class Preprocessing(layers.Layer):
    """Turns RGB pixels in [0, 255] into what a backbone of keras.applications was trained on.

    Args:
        backbone: its name, for instance "ResNet50".
    """

    def __init__(self, backbone, **kwargs):
        # Half precision would cost the low bits of the pixels before they are even scaled.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.backbone = backbone
        self._preprocess = _applications()[backbone.lower()][1].preprocess_input

    def call(self, images):
        """Returns preprocessed images (B, H, W, 3), float32."""
        # Channels last, whatever the global setting is: records and batches are NHWC.
        return self._preprocess(ops.cast(images, "float32"), data_format="channels_last")

    def get_config(self):
        """Returns the arguments of the constructor."""
        return {**super().get_config(), "backbone": self.backbone}


@functools.cache
def _applications():
    """Returns {lower-case name: (name, module of its family, which has its preprocess_input)}."""
    found = {}
    for name, value in vars(keras.applications).items():
        if inspect.isfunction(value):
            family = value.__module__.rpartition(".")[2]
            found[name.lower()] = (name, getattr(keras.applications, family))
    return found


def _build_application(name, size, weights):
    if name.lower() not in _applications():
        raise UserError(f"Unknown encoder {name!r}; known are {', '.join(known_encoders())}.")
    name, _ = _applications()[name.lower()]
    backbone = _construct(name, size, "imagenet" if weights == "imagenet" else None)
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    features = backbone(Preprocessing(name, name="preprocessing")(images))
    encoder = keras.Model(images, features, name="encoder")
    if weights not in ("imagenet", "none"):
        _load_weights([backbone, encoder], weights)
    return encoder


def _construct(name, size, weights):
    construct = functools.partial(
        getattr(keras.applications, name), include_top=False, input_shape=(size, size, 3), pooling="avg"
    )
    if weights is None:
        try:
            return construct(weights=None)
        except ValueError as error:
            raise SettingError(
                "img_size", f"does not suit the encoder {name} ({first_line(error)})", size
            ) from error
    try:
        with _network_timeout(_NETWORK_TIMEOUT_S):
            return construct(weights=weights)
    except Exception as error:
        # Keras raises bare Exceptions here; a size that does not suit shows without any download.
        _construct(name, size, None)
        raise SettingError(
            "encoder_weights",
            f"the ImageNet weights of {name} cannot be had ({first_line(error)}); use "
            "`encoder_weights=none` or `encoder_weights=PATH`",
            "imagenet",
        ) from error


@contextlib.contextmanager
def _network_timeout(seconds):
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _load_synthetic(encoder):
    try:
        arrays = load_npz(SYNTHETIC_WEIGHTS)
        encoder.set_weights([arrays[key].astype("float32") for key in sorted(arrays)])
    except (UserError, ValueError) as error:
        raise SettingError(
            "encoder_weights",
            f"{SYNTHETIC_WEIGHTS} of this package cannot be read ({first_line(error)}); install the "
            "package again, or use `encoder_weights=none` or PATH",
            "synthetic",
        ) from error


def _load_weights(candidates, path):
    """Loads a file into the first of the candidate models that it fits exactly."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise SettingError(
            "encoder_weights",
            "there is no such file; expected 'imagenet', 'synthetic', 'none' or the path of a weights file",
            path,
        )
    if not path.name.endswith(_WEIGHT_SUFFIXES):
        raise SettingError(
            "encoder_weights", f"expected a file name ending in {', '.join(_WEIGHT_SUFFIXES)}", path
        )
    reasons = []
    for model in candidates:
        try:
            # Keras would follow links to other files.
            hdf5.check_whole(path)
            with warnings.catch_warnings():
                # Keras only warns when a file fills some of the layers.
                warnings.simplefilter("error", UserWarning)
                model.load_weights(path)
            return
        except Exception as error:  # a foreign file fails in any way: HDF5, zip, key, shape
            reasons.append(first_line(error))
    raise SettingError(
        "encoder_weights",
        f"not the weights of this encoder ({reasons[0]}); give a file saved from the same encoder, or "
        "`encoder_weights=none`",
        path,
    )


def _set_batch_norm_momentum(model, momentum):
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"batch_norm_momentum must lie in [0, 1). Received: batch_norm_momentum={momentum}")
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _set_batch_norm_momentum(layer, momentum)
        elif isinstance(layer, layers.BatchNormalization):
            layer.momentum = momentum


def _build_small(size):
    """Builds a residual network of three levels at strides 4, 8 and 16."""
    if size < _SMALL_MIN_SIZE:
        raise SettingError(
            "img_size",
            f"does not suit the encoder small, which takes at least {_SMALL_MIN_SIZE} pixels",
            size,
        )
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    x = layers.Rescaling(1.0 / 127.5, offset=-1.0, dtype="float32", name="preprocessing")(images)
    # Every layer with weights has a name, by which they are found in files of weights.
    x = _convolution(x, _SMALL_STEM_WIDTH, kernel=5, stride=2, name="stem")
    x = layers.ReLU()(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for level, width in enumerate(_SMALL_WIDTHS):
        for block in range(_SMALL_BLOCKS):
            stride = 2 if level > 0 and block == 0 else 1
            x = _residual_block(x, width, stride=stride, name=f"level{level}_block{block}")
    grid = layers.Conv2D(_SMALL_GRID_WIDTH, 1, name="grid")(x)
    grid = layers.AdaptiveAveragePooling2D(_SMALL_GRID)(grid)
    features = [layers.GlobalAveragePooling2D()(x), layers.Flatten()(grid)]
    return keras.Model(images, layers.Concatenate()(features), name="encoder")


def _residual_block(x, width, *, stride, name):
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _convolution(x, width, kernel=1, stride=stride, name=f"{name}_shortcut")
    x = layers.ReLU()(_convolution(x, width, kernel=3, stride=stride, name=f"{name}_first"))
    x = _convolution(x, width, kernel=3, stride=1, name=f"{name}_second")
    return layers.ReLU()(layers.Add()([x, shortcut]))


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
    return layers.BatchNormalization(momentum=_SMALL_BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)

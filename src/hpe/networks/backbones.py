"""Image encoders by name, from RGB pixels to a vector of features or to maps of several strides."""

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
from hpe.networks.efficientnet_lite import EFFICIENTNET_LITE0, build_efficientnet_lite
from hpe.networks.movenet_encoder import MOVENET_ENCODERS, build_movenet_encoder, build_movenet_maps
from hpe.networks.small_encoder import build_small

SMALL_ENCODER = "small"
# Weights of the small encoder that come with the package, trained on synthetic people alone.
SYNTHETIC_WEIGHTS = pathlib.Path(__file__).parent / "assets" / "small_synthetic.npz"

_WEIGHT_SUFFIXES = (".weights.h5", ".keras", ".h5", ".hdf5")
# A download that stalls this long counts as no network.
_NETWORK_TIMEOUT_S = 10.0


def build_encoder(
    name="ResNet50", *, image_size, weights="pretrained", batch_norm_momentum=None, dtype="float32"
):
    """Builds an encoder that does the preprocessing its backbone was trained with.

    Args:
        name: a model of keras.applications; "movenet_lightning" or "movenet_thunder", which have seen people (2 M
            and 6 M parameters, for images of 192 and 256 pixels); "efficientnet_lite0" (3.4 M), whose weights a
            tool fetches where Keras' downloads cannot be had; or "small" for a compact residual network of 0.7 M
            parameters that trains on a CPU. In any case.
        image_size: side of the square images, pixels.
        weights: "pretrained" for what there is of this encoder: ImageNet's for a model of keras.applications, which
            Keras downloads once, else those in the package, MoveNet's as published and the small encoder's from
            synthetic people; "imagenet" or "synthetic" for these alone; "none" for random initial weights; or a
            path of a .weights.h5, .keras or Keras .h5 (without the classifier) file of this encoder or of its bare
            backbone.
        batch_norm_momentum: overrides the momentum of all batch normalisations when given.
        dtype: Keras dtype policy of the layers behind the preprocessing, such as "mixed_bfloat16"; weights are
            the same under every one.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255], uint8 or float, to features (B, F).

    Raises:
        UserError: the name is unknown, the image size does not suit it, or the weights cannot be had.
    """
    image_size = _checked_size(image_size)
    with _dtype_policy(dtype):
        encoder = _build(name, image_size, weights)
    if batch_norm_momentum is not None:
        _set_batch_norm_momentum(encoder, batch_norm_momentum)
    return encoder


def build_feature_maps(
    name="ResNet50",
    *,
    image_size,
    strides=(4, 8, 16, 32),
    weights="pretrained",
    batch_norm_momentum=None,
    dtype="float32",
):
    """Builds the part of an encoder up to its maps: what systems with heat maps or attention begin with.

    Args:
        name, image_size, weights, batch_norm_momentum, dtype: as of `build_encoder`; a file of weights is of the
            encoder that it builds, or of its bare backbone.
        strides: of the maps, as the encoder has them: 4, 8, 16 and mostly 32.

    Returns:
        keras.Model from RGB images (B, S, S, 3) in [0, 255] to a dict of maps (B, S / stride, S / stride, C) by
        `stride_4` and the like. A map is the last that the backbone computes at its stride; MoveNet's are those of
        its encoder and its pyramid side by side.

    Raises:
        UserError: as `build_encoder`, or the encoder has no maps at a stride for this image size.
    """
    image_size = _checked_size(image_size)
    with _dtype_policy(dtype):
        if name.lower() in MOVENET_ENCODERS and weights in ("pretrained", "none"):
            pretrained = weights == "pretrained"
            encoder = build_movenet_maps(name.lower(), image_size, tuple(strides), pretrained=pretrained)
        else:
            encoder = _maps_of(_build(name, image_size, weights), name, strides)
    if batch_norm_momentum is not None:
        _set_batch_norm_momentum(encoder, batch_norm_momentum)
    return encoder


def _checked_size(image_size):
    if isinstance(image_size, bool) or not isinstance(image_size, numbers.Integral):
        raise ValueError(
            "image_size must be one integer, the side of the square images. "
            f"Received: image_size={image_size!r}"
        )
    return int(image_size)


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
    own = name.lower()
    if own == EFFICIENTNET_LITE0:
        return _build_efficientnet_lite(size, weights)
    if own != SMALL_ENCODER and own not in MOVENET_ENCODERS:
        return _build_application(name, size, weights)
    if weights == "imagenet" or (weights == "synthetic" and own != SMALL_ENCODER):
        raise SettingError(
            "encoder_weights",
            f"the encoder {own!r} has no {'ImageNet' if weights == 'imagenet' else weights} weights; use "
            "`encoder_weights=pretrained`, none or PATH",
            weights,
        )
    if own == SMALL_ENCODER:
        encoder = build_small(size)
        if weights in ("pretrained", "synthetic"):
            _load_synthetic(encoder)
            return encoder
    else:
        encoder = build_movenet_encoder(own, size, pretrained=weights == "pretrained")
    if weights not in ("pretrained", "none"):
        _load_weights([encoder], weights)
    return encoder


def _build_efficientnet_lite(size, weights):
    if weights in ("pretrained", "imagenet", "synthetic"):
        raise SettingError(
            "encoder_weights",
            f"the package holds no weights of {EFFICIENTNET_LITE0}; tools/convert_efficientnet_lite.py fetches "
            "ImageNet's into a file for `encoder_weights=PATH`; or use none",
            weights,
        )
    encoder, backbone = build_efficientnet_lite(size)
    if weights != "none":
        _load_weights([backbone, encoder], weights)
    return encoder


@functools.cache
def known_encoders() -> tuple[str, ...]:
    """Returns the names that `build_encoder` takes."""
    return (
        SMALL_ENCODER,
        *MOVENET_ENCODERS,
        EFFICIENTNET_LITE0,
        *(name for name, _ in _applications().values()),
    )


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
    if weights == "synthetic":
        raise SettingError(
            "encoder_weights",
            f"the package has such weights for the encoder 'small' only, not for {name}; use "
            "`encoder_weights=pretrained`, none or PATH",
            "synthetic",
        )
    from_imagenet = weights in ("pretrained", "imagenet")
    backbone = _construct(name, size, weights if from_imagenet else None)
    images = keras.Input((size, size, 3), dtype="float32", name="images")
    features = backbone(Preprocessing(name, name="preprocessing")(images))
    encoder = keras.Model(images, features, name="encoder")
    if not from_imagenet and weights != "none":
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
            return construct(weights="imagenet")
    except Exception as error:
        # Keras raises bare Exceptions here; a size that does not suit shows without any download.
        _construct(name, size, None)
        raise SettingError(
            "encoder_weights",
            f"the ImageNet weights of {name} cannot be had ({first_line(error)}); use "
            "`encoder_weights=none` or `encoder_weights=PATH`",
            weights,
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
            "there is no such file; expected 'pretrained', 'imagenet', 'synthetic', 'none' or the path of a "
            "weights file",
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


def _maps_of(encoder, name, strides):
    """Returns the model from the images of an encoder to the maps of its backbone."""
    nested = [layer for layer in encoder.layers if isinstance(layer, keras.Model)]
    backbone = nested[0] if nested else encoder
    size = encoder.input_shape[1]
    if name.lower() == SMALL_ENCODER:
        # Its grid has the stride of its last level, too.
        known = {4 * 2**level: backbone.get_layer(f"level{level}").output for level in range(3)}
    else:
        known = {
            size // layer.output.shape[1]: layer.output
            for layer in backbone.layers
            if hasattr(layer, "output")
            and len(getattr(layer.output, "shape", ())) == 4
            and layer.output.shape[1]
            and size % layer.output.shape[1] == 0
        }
    lacking = [stride for stride in strides if stride not in known]
    if lacking:
        raise SettingError(
            "encoder",
            f"has no maps at stride {lacking[0]} for images of {size} pixels; at "
            f"{', '.join(map(str, sorted(known)))} it has",
            name,
        )
    maps = {f"stride_{stride}": known[stride] for stride in strides}
    if backbone is encoder:
        return keras.Model(encoder.input, maps, name="encoder")
    x = encoder.input
    for layer in encoder.layers[1 : encoder.layers.index(backbone)]:
        x = layer(x)
    return keras.Model(
        encoder.input, keras.Model(backbone.input, maps, name=backbone.name)(x), name="encoder"
    )

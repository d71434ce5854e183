"""What PARE looks at a picture with: HRNet with all its branches joined, or another encoder's maps."""

from __future__ import annotations

import keras

from hpe.errors import SettingError, UserError
from hpe.formats.torch_files import load_torch_file
from hpe.networks import hrnet_weights
from hpe.networks.backbones import build_feature_maps
from hpe.networks.hrnet import STRIDE, build_hrnet
from hpe.networks.pare import MeanBody, build_map_fusion, build_pare_head, build_up_fusion
from hpe.networks.pytorch_weights import assign_state
from hpe.networks.resnet import build_resnet

# The maps that encoders give unless they are told: the last one, as the reference takes ResNet's; of those whose
# finer maps know what the coarser ones saw, and of the small one, finer maps, too.
_COARSEST = (32,)
_STRIDES = {"small": (8, 16), "movenet_lightning": (4, 16), "movenet_thunder": (4, 16)}
RESNET = "resnet50_pytorch"
_DEPTH = 50
_RESNET_LANDMARK = "layer4.2.conv3.weight"
_PYTORCH = (".pth", ".pt", ".tar", ".ckpt")
# What an HRNet lacks that ends in one branch, as those with heat maps do.
_OTHER_BRANCHES = ("stage4_2_fuse_layers_1", "stage4_2_fuse_layers_2", "stage4_2_fuse_layers_3")


def build_pare_networks(config, *, image_size: int, mean: MeanBody | None) -> dict[str, keras.Model]:
    """Builds the networks of PARE, one after the other: what each returns is what the next takes.

    Args:
        config: a `hpe.systems.settings.pare.PareConfig`.
        image_size: side S of the square pictures in pixels.
        mean: of `hpe.networks.pare.build_pare_head`.

    Returns:
        By the names that they have in checkpoints; the last is `head`.

    Raises:
        UserError: the encoder is unknown, the size does not suit it, or its weights cannot be had.
    """
    dtype = "mixed_bfloat16" if config.mixed_precision else "float32"
    build = {"hrnet": _build_hrnet, RESNET: _build_resnet}.get(config.encoder, _build_encoder)
    networks = build(config, image_size, dtype)
    features = tuple(list(networks.values())[-1].output_shape[1:])
    # The maps of parts have a quarter of the picture's side, as in the reference.
    coarser = image_size // STRIDE // features[0]
    networks["head"] = build_pare_head(
        features,
        filters=config.part_filters,
        num_layers=config.part_layers,
        upsampled=min(max(coarser.bit_length() - 1, 0), config.part_layers),
        shape_features=config.shape_features,
        attention=config.attention,
        act=config.attention_act.value,
        mean=mean,
        dtype=dtype,
    )
    return networks


def _build_hrnet(config, image_size: int, dtype: str) -> dict[str, keras.Model]:
    path = config.encoder_weights
    weights = None if path == "none" else read_hrnet(path, config.hrnet_width)
    backbone = build_hrnet(config.hrnet_width, image_size=image_size, multi_scale=True, dtype=dtype)
    if weights is not None:
        start_hrnet(backbone, weights, source=f"encoder_weights={path}")
    fusion = build_up_fusion(
        config.hrnet_width,
        cells=image_size // STRIDE,
        interpolate=config.up_fusion.value == "interp",
        dtype=dtype,
    )
    return {"backbone": backbone, "fusion": fusion}


def _build_resnet(config, image_size: int, dtype: str) -> dict[str, keras.Model]:
    """Builds PyTorch's ResNet-50, whose last map is what the head takes."""
    if config.mixed_precision:
        raise SettingError("mixed_precision", f"is not for the encoder {RESNET}.")
    path = config.encoder_weights
    if path != "none" and not path.endswith(_PYTORCH):
        raise SettingError("encoder_weights", f"of {RESNET} must be none or a PyTorch file.", path)
    loaded = None if path == "none" else load_torch_file(path)
    encoder = build_resnet(_DEPTH, image_size=image_size)
    if loaded is not None:
        assign_state(
            loaded, {"encoder": encoder}, source=path, landmark=_RESNET_LANDMARK, what=f"ResNet-{_DEPTH}"
        )
    return {"encoder": encoder}


def _build_encoder(config, image_size: int, dtype: str) -> dict[str, keras.Model]:
    """Builds an encoder by name that gives maps, and what joins them."""
    strides = config.strides or _STRIDES.get(config.encoder.lower(), _COARSEST)
    encoder = build_feature_maps(
        config.encoder,
        image_size=image_size,
        strides=strides,
        weights=config.encoder_weights,
        dtype=dtype,
    )
    shapes = {name: tuple(maps.shape[1:]) for name, maps in encoder.output.items()}
    sides = [shape[0] for shape in shapes.values()]
    if image_size % max(sides) or any(max(sides) % side for side in sides):
        raise SettingError("img_size", f"does not suit the maps of the encoder {config.encoder}.", image_size)
    return {"encoder": encoder, "fusion": build_map_fusion(shapes, dtype=dtype)}


def read_hrnet(path: str, width: int) -> hrnet_weights.HrnetWeights:
    """Reads weights of HRNet from a file of hpe convert-hrnet or of PyTorch.

    Raises:
        UserError: the file cannot be read, is of something else, or of another width.
    """
    if path.endswith(_PYTORCH):
        weights, _ = hrnet_weights.from_pytorch(load_torch_file(path), source=path)
    else:
        weights = hrnet_weights.load(path)
    if weights.width != width:
        raise SettingError(
            "encoder_weights",
            f"weights of HRNet-W{weights.width}; use `hrnet_width={weights.width}` or another file.",
            path,
        )
    return weights


def start_hrnet(backbone: keras.Model, weights: hrnet_weights.HrnetWeights, *, source: str) -> None:
    """Gives a backbone that ends in four branches the weights of one that may end in the finest alone.

    What the latter lacks keeps its first weights, as in the reference.

    Raises:
        UserError: something else is absent, or has another shape.
    """
    for layer in backbone.layers:
        for variable in layer.variables:
            key = f"{layer.name}/{variable.name}"
            if key not in weights.arrays:
                if layer.name.startswith(_OTHER_BRANCHES):
                    continue
                raise UserError(f"{source}: {key} is absent.")
            array = weights.arrays[key]
            if array.shape != tuple(variable.shape):
                raise UserError(f"{source}: {key} is {array.shape}, not {tuple(variable.shape)}.")
            variable.assign(array)

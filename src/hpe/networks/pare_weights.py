"""Published weights of PARE, and of the ETH course's runs, by the names of PyTorch."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import keras
import numpy as np

from hpe.errors import UserError
from hpe.networks.pare import PART_MAPS, PUBLISHED_WORDS
from hpe.networks.pytorch_weights import VARIABLES, find_state, keras_layout, layer_variables, published_name

# What every PARE has; before it stands a prefix such as `model.`.
_LANDMARK = "head.keypoint_final_layer.weight"
_WIDTH = "backbone.transition1.0.0.weight"
_RESNET = "backbone.layer4.2.conv3.weight"
_FUSION = "backbone.upsample_stage_2.1.weight"
# Parts of the reference that the published networks do not use, and that are not here.
_FOREIGN = ("nonlocal", "coattention", "fc1", "pose_mlp.0", "shape_mlp.0", "conv1x1", "pos_enc")
# Constants of the reference, and a layer of its HRNet that nothing uses.
_UNUSED = (
    "init_pose",
    "init_shape",
    "init_cam",
    "temperature",
    "backbone.final_layer.",
    "num_batches_tracked",
)
_PARTS = {"backbone": "backbone.", "encoder": "backbone.", "fusion": "backbone.", "head": "head."}
_WHAT = "PARE"


@dataclasses.dataclass(frozen=True)
class Found:
    """What a checkpoint says of its network.

    Attributes:
        encoder: `hrnet` or `resnet50_pytorch`.
        width: channels of HRNet's finest branch, 0 of a ResNet.
        joined_by_convolutions: whether the branches are joined by `upsample_stage` layers.
        layers, filters, shape_features: of the head.
    """

    encoder: str
    width: int
    joined_by_convolutions: bool
    layers: int
    filters: int
    shape_features: int


def describe(loaded, *, source: str | os.PathLike) -> Found:
    """Tells from the shapes of a checkpoint how its network is built.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned.
        source: where it comes from, for messages.

    Raises:
        UserError: it is no PARE, or one with parts that are not here.
    """
    state = _state(loaded, source)
    for name in state:
        if any(word in name for word in _FOREIGN):
            raise UserError(f"{source}: holds {name}, a part of the reference that is not here.")
    maps, filters = state[_LANDMARK].shape[:2]
    if maps != PART_MAPS:
        raise UserError(
            f"{source}: its part branch has {maps} maps, not the {PART_MAPS} of parts and background; it was not "
            "trained with USE_HEATMAPS part_segm."
        )
    convolutions = [
        name for name in state if name.startswith("head.keypoint_deconv_layers.") and state[name].ndim == 4
    ]
    if _WIDTH in state:
        encoder, width = "hrnet", len(state[_WIDTH])
    elif _RESNET in state:
        encoder, width = "resnet50_pytorch", 0
    else:
        raise UserError(f"{source}: its backbone is neither an HRNet nor a ResNet-50.")
    return Found(
        encoder,
        width,
        _FUSION in state,
        len(convolutions),
        int(filters),
        len(_of(state, "head.smpl_final_layer.weight", source)),
    )


def assign(loaded, networks: Mapping[str, keras.Model], *, source: str | os.PathLike) -> list[str]:
    """Gives the networks of PARE the weights of a checkpoint; nothing is changed if any is unfit.

    Returns:
        Names in the checkpoint that belong to nothing here; constants and counters are not among them.

    Raises:
        UserError: something is absent, or has another shape.
    """
    state = _in_keras_order(_state(loaded, source), source)
    arrays, used = [], set()
    for network_name, network in networks.items():
        for _, layer, variable in layer_variables([network]):
            kind = VARIABLES.get(variable.name)
            if kind is None:
                raise UserError(f"{source}: holds no {layer}; build the network with `start_at_mean=False`.")
            name = f"{_PARTS[network_name]}{published_name(layer, PUBLISHED_WORDS)}.{kind}"
            used.add(name)
            tensor = _of(state, name, source)
            array = keras_layout(tensor, tuple(variable.shape), f"{source}: {name}", what=_WHAT)
            arrays.append((variable, array))
    for variable, array in arrays:
        variable.assign(array)
    return [name for name in state if name not in used and not any(word in name for word in _UNUSED)]


def _state(loaded, source) -> dict[str, np.ndarray]:
    """Returns the tensors by name, without the prefix that all of them have."""
    state = find_state(loaded, _LANDMARK)
    if state is None:
        raise UserError(f"{source}: holds no {_WHAT}: no name in it ends in {_LANDMARK}.")
    prefix = next(name for name in state if name.endswith(_LANDMARK)).removesuffix(_LANDMARK)
    found = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    # What else a Lightning checkpoint of PARE holds: the body model, which is its own.
    return {name: value for name, value in found.items() if name.startswith(("backbone.", "head."))}


def _of(state: Mapping[str, np.ndarray], name: str, source) -> np.ndarray:
    if name not in state:
        raise UserError(f"{source}: lacks {name}, which {_WHAT} has.")
    return state[name]


def _in_keras_order(state: dict[str, np.ndarray], source) -> dict[str, np.ndarray]:
    """Returns the tensors with the linear layers' axes as Keras has them."""
    turned = dict(state)
    for name in ("head.shape_mlp.weight", "head.cam_mlp.weight"):
        tensor = _of(state, name, source)
        if tensor.ndim != 2:
            raise UserError(f"{source}: {name} is {tensor.shape}, which is no linear layer.")
        turned[name] = tensor.T
    name = "head.pose_mlp.weight"
    tensor = _of(state, name, source)
    # (1, outputs, features, parts, 1, 1): a layer connected locally over a column of parts.
    if tensor.ndim != 6 or tensor.shape[0] != 1 or tensor.shape[4:] != (1, 1):
        raise UserError(f"{source}: {name} is {tensor.shape}, which is no locally connected layer.")
    turned[name] = tensor[0, :, :, :, 0, 0].transpose(2, 1, 0)
    return turned

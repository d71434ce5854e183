"""Published weights of HEMlets (`hemlets_h36m_lastest.pth`): which network they are of, and its variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import keras
import numpy as np

from hpe.errors import UserError
from hpe.networks.hemlets import NUM_JOINTS, NUM_MAPS
from hpe.networks.pytorch_weights import (
    VARIABLES,
    find_state,
    keras_layout,
    layer_variables,
    published_name,
)
from hpe.networks.resnet import published_depth

_WHAT = "the network of HEMlets"
# A name that every such checkpoint has, perhaps with a prefix before it.
_LANDMARK = "conv_FBI.conv_tail.weight"
# Where a network of ours lies in the checkpoint, and what its layers are called there.
_PREFIXES = {"encoder": "backbone.", "features": "conv_feature.", "maps": "conv_FBI.", "volume": ""}
_WHOLE = ("FBI_encoder", "conv_tail")
_DECONVOLUTION = re.compile(r"deconv_layers_(\d+)")
# A network is built to be filled, so a damaged file must not ask for any size.
_WIDEST = 4096


@dataclasses.dataclass(frozen=True)
class PublishedNetwork:
    """What a checkpoint holds.

    Attributes:
        depth: of the ResNet.
        branch_width: channels of the transposed convolutions.
        feature_width: channels of the features.
        depth_cells: cells along the depth of a volume; as many are along its sides.
    """

    depth: int
    branch_width: int
    feature_width: int
    depth_cells: int


def describe(loaded, *, source: str) -> PublishedNetwork:
    """Tells which network a checkpoint holds, from its names and shapes.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned.
        source: where it comes from, for messages.

    Raises:
        UserError: it is none.
    """
    state, prefix = _state(loaded, source)
    depth = published_depth([name for name in state if name.startswith(f"{prefix}backbone.")], source=source)
    maps, features, volumes = (
        _convolution(state, prefix + name, source)
        for name in ("conv_FBI.conv_tail.weight", "conv_feature.conv_tail.weight", "conv_tail.3.weight")
    )
    if len(maps) != NUM_MAPS:
        raise UserError(
            f"{source}: has {len(maps)} maps, not {NUM_MAPS} of {NUM_JOINTS} joints and 14 x 3 of parts."
        )
    depth_cells, rest = divmod(len(volumes), NUM_JOINTS)
    found = PublishedNetwork(depth, maps.shape[1], len(features), depth_cells)
    if rest or not 2 <= depth_cells <= _WIDEST:
        raise UserError(f"{source}: {len(volumes)} channels are no volumes of {NUM_JOINTS} joints.")
    if not all(1 <= width <= _WIDEST for width in (found.branch_width, found.feature_width)):
        raise UserError(
            f"{source}: has {found.branch_width} and {found.feature_width} channels, as no such network has."
        )
    return found


def assign(loaded, networks: Mapping[str, keras.Model], *, source: str) -> list[str]:
    """Gives the networks of `hpe.networks.hemlets` the weights of a checkpoint; nothing changes if any is unfit.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned.
        networks: by name.
        source: where it comes from, for messages.

    Returns:
        The names in the checkpoint that belong to no variable of the network.

    Raises:
        UserError: it is no such network, something is absent, or has another shape.
    """
    state, prefix = _state(loaded, source)
    arrays, used = [], set()
    for network, model in networks.items():
        for _, layer, variable in layer_variables([model]):
            own = _layer_name(layer.removeprefix(f"{network}_"))
            name = f"{prefix}{_PREFIXES[network]}{own}.{VARIABLES[variable.name]}"
            used.add(name)
            if name not in state:
                raise UserError(f"{source}: lacks {name}, which {_WHAT} has.")
            array = keras_layout(state[name], tuple(variable.shape), f"{source}: {name}", what=_WHAT)
            arrays.append((variable, array))
    for variable, array in arrays:
        variable.assign(array)
    # Batch counters, and the places of cells that the published network keeps as a constant.
    constants = ("num_batches_tracked", "volume_reg.dis_map")
    return [name for name in state if name not in used and not name.endswith(constants)]


def _layer_name(layer: str) -> str:
    return published_name(_DECONVOLUTION.sub(r"conv_body_\1", layer), (*_WHOLE, "conv_body"))


def _state(loaded, source: str) -> tuple[dict[str, np.ndarray], str]:
    """Returns the tensors by name, and what all names begin with."""
    state = find_state(loaded, _LANDMARK)
    if state is None:
        raise UserError(f"{source}: holds no network of HEMlets: no name in it ends in {_LANDMARK}.")
    return state, next(name for name in state if name.endswith(_LANDMARK)).removesuffix(_LANDMARK)


def _convolution(state: Mapping, name: str, source: str) -> np.ndarray:
    if name not in state or state[name].ndim != 4:
        raise UserError(f"{source}: {name} is absent, or no convolution.")
    return state[name]

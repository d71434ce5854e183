"""Published weights of pose-hg-3d (Zhou et al., 2017): which network a checkpoint holds, and its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import keras
import numpy as np

from hpe.errors import UserError
from hpe.networks.pytorch_weights import assign_state, find_state
from hpe.networks.resnet import published_depth

# Every such network has the first; the others are of its heads.
_LANDMARK = "deconv_layers.0.weight"
_WHOLE = ("deconv_layers",)
# A network is built to be filled, so a damaged file must not ask for any size.
_WIDEST = 4096
_OPTIONAL = ("depth_head",)


@dataclasses.dataclass(frozen=True)
class PublishedNetwork:
    """What a checkpoint holds.

    Attributes:
        depth: of the ResNet.
        width: channels of the transposed convolutions.
        joints: number of heat maps.
        has_depth: whether it has maps of depth.
    """

    depth: int
    width: int
    joints: int
    has_depth: bool


def describe(loaded, *, source: str) -> PublishedNetwork:
    """Tells which network a checkpoint holds, from its names and shapes.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned.
        source: where it comes from, for messages.

    Raises:
        UserError: it is none.
    """
    state = _state(loaded, source)
    depth = published_depth(state, source=source)
    heads = {
        name: next((value for key, value in state.items() if f".{key}".endswith(f".{name}.weight")), None)
        for name in ("hm", "depth")
    }
    upsampling = next(value for key, value in state.items() if key.endswith(_LANDMARK))
    if heads["hm"] is None or heads["hm"].ndim != 4 or upsampling.ndim != 4:
        raise UserError(f"{source}: holds no heat maps: hm.weight is absent, or no convolution.")
    width, joints = upsampling.shape[1], len(heads["hm"])
    if not (1 <= width <= _WIDEST and 1 <= joints <= _WIDEST):
        raise UserError(f"{source}: has {width} channels and {joints} heat maps, as no such network has.")
    return PublishedNetwork(depth, width, joints, heads["depth"] is not None)


def assign(loaded, networks: Mapping[str, keras.Model], *, source: str) -> list[str]:
    """Gives networks the weights of a checkpoint by name; nothing is changed if any is unfit.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned.
        networks: encoder, upsampling and heads of `hpe.networks.heatmap_network`, by name.
        source: where it comes from, for messages.

    Returns:
        Names of networks that it does not hold: `depth_head` of a checkpoint of 2D joints.

    Raises:
        UserError: it is none, something is absent, or has another shape.
    """
    _state(loaded, source)
    return assign_state(
        loaded,
        networks,
        source=source,
        landmark=_LANDMARK,
        what="the network of pose-hg-3d",
        whole=_WHOLE,
        optional=_OPTIONAL,
    )


def _state(loaded, source: str) -> dict[str, np.ndarray]:
    state = find_state(loaded, _LANDMARK)
    if state is None:
        raise UserError(f"{source}: holds no network of pose-hg-3d: no name in it ends in {_LANDMARK}.")
    return state

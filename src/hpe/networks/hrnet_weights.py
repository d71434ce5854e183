"""Weights of HRNet: from the names and layouts of PyTorch, to and from files, into the networks.

A weights file is an npz of one array per variable, `<layer>/<variable>` in Keras' layouts, with the width of the
network and, where it holds the head, the name of its joint set.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import zipfile
from collections.abc import Mapping

import keras
import numpy as np

from hpe import files, skeletons
from hpe.errors import UserError, first_line
from hpe.formats.npz import load_npz
from hpe.networks.hrnet import build_heatmap_head, build_hrnet
from hpe.networks.pytorch_weights import (
    COUNTER,
    VARIABLES,
    find_state,
    keras_layout,
    layer_variables,
    published_name,
)

# The joint sets in which HRNet was published, by their number of joints.
_PUBLISHED_JOINTS = {len(skeleton): skeleton.name for skeleton in (skeletons.MPII16, skeletons.COCO17)}

_HEAD = "final_layer"
# Words of the published names that have an underscore; a head's name is used as it is.
_WHOLE = ("fuse_layers",)
# Every HRNet has the first, whose shape tells the width; the second is of the exchange that a network lacks which
# ends in one branch.
_LANDMARK = "transition1.0.0.weight"
_MULTI_SCALE_LANDMARK = "stage4.2.fuse_layers.1.2.0.weight"
_SETTINGS = ("width", "skeleton")
# A network is built to be filled, so a damaged file must not ask for any size.
_WIDEST = 512
# Weights are the same for all of them.
_ANY_SIZE = 64


@dataclasses.dataclass(frozen=True)
class HrnetWeights:
    """The variables of an HRNet.

    Attributes:
        width: channels of the finest branch.
        skeleton: name of the joint set of the head, "" where the head is absent.
        arrays: by `<layer>/<variable>`, in Keras' layouts, float32.
    """

    width: int
    skeleton: str
    arrays: Mapping[str, np.ndarray]


def from_pytorch(loaded, *, source: str, skeleton: str = "") -> tuple[HrnetWeights, list[str]]:
    """Takes the variables of an HRNet out of a PyTorch checkpoint, by their published names.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned: a state_dict, bare or within other dicts;
            its names may have one prefix, such as `module.` or `backbone.`.
        source: where it comes from, for messages.
        skeleton: joint set of the head; by default that of the published networks with as many joints.

    Returns:
        The weights, and the names in the checkpoint that belong to no variable of an HRNet.

    Raises:
        UserError: it is no HRNet, something is absent, or has another shape than the width demands.
    """
    state = find_state(loaded, _LANDMARK)
    if state is None:
        raise UserError(f"{source}: holds no HRNet: no name in it ends in {_LANDMARK}.")
    prefix = next(name for name in state if name.endswith(_LANDMARK)).removesuffix(_LANDMARK)
    width = _length(state, prefix + _LANDMARK, source)
    if not 1 <= width <= _WIDEST:
        raise UserError(f"{source}: {prefix}{_LANDMARK} has {width} channels, as no HRNet has.")
    networks = [build_hrnet(width, image_size=_ANY_SIZE, multi_scale=prefix + _MULTI_SCALE_LANDMARK in state)]
    head = next((name for name in state if f".{name}".endswith(f".{_HEAD}.weight")), None)
    if head is not None:
        joints = _length(state, head, source)
        skeleton = _joint_set(skeleton, joints, source)
        networks.append(build_heatmap_head(width, joints))
    arrays, absent, used = {}, [], set()
    for key, layer, variable in layer_variables(networks):
        published = f"{published_name(layer, _WHOLE)}.{VARIABLES[variable.name]}"
        # The head may stand under another prefix than the backbone.
        name = (
            f"{head.removesuffix('weight')}{VARIABLES[variable.name]}"
            if layer == _HEAD
            else prefix + published
        )
        used.add(name)
        if name not in state:
            absent.append(name)
            continue
        arrays[key] = keras_layout(
            state[name], tuple(variable.shape), f"{source}: {name}", what=f"HRNet-W{width}"
        )
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise UserError(f"{source}: lacks {absent[0]}{more}, which HRNet-W{width} has.")
    left = [name for name in state if name not in used and not name.endswith(COUNTER)]
    return HrnetWeights(width, skeleton if head is not None else "", arrays), left


def save(path: str | os.PathLike, weights: HrnetWeights) -> None:
    """Writes a weights file; the name should end in .npz.

    Raises:
        UserError: it cannot be written.
    """
    about = {"width": np.int64(weights.width), "skeleton": np.str_(weights.skeleton)}
    with files.Replacement(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **about, **weights.arrays)


def load(path: str | os.PathLike) -> HrnetWeights:
    """Reads a weights file.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    if not pathlib.Path(path).is_file():
        raise UserError(f"{path}: there is no such weights file.")

    def refuse(reason: str) -> UserError:
        return UserError(
            f"{path}: not a weights file of HRNet ({reason}); hpe convert-hrnet makes one from "
            "a PyTorch checkpoint."
        )

    if not zipfile.is_zipfile(path):
        raise refuse("no npz file, or only a part of one")
    try:
        arrays = load_npz(path)
    except UserError as error:
        raise refuse(f"damaged: {str(error).removeprefix(f'{path}: ').removesuffix('.')}") from error
    if absent := [name for name in _SETTINGS if name not in arrays]:
        raise refuse(f"it holds no {absent[0]}")
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise refuse("damaged: it holds a pickle")
    width, skeleton = (arrays.pop(name) for name in _SETTINGS)
    try:
        return HrnetWeights(int(width), str(skeleton), arrays)
    except (TypeError, ValueError) as error:
        raise refuse(f"damaged: {first_line(error)}") from error


def assign(weights: HrnetWeights, *networks: keras.Model, source: str) -> None:
    """Gives networks their variables; the file may hold others beside them.

    Args:
        weights: of a network of the same width.
        networks: backbone, head or both.
        source: where the weights come from, for messages.

    Raises:
        UserError: a variable is absent or has another shape.
    """
    for key, _, variable in layer_variables(networks):
        if key not in weights.arrays:
            raise UserError(f"{source}: {key} is absent.")
        array = weights.arrays[key]
        if array.shape != tuple(variable.shape):
            raise UserError(f"{source}: {key} is {array.shape}, not {tuple(variable.shape)}.")
        variable.assign(array)


def _length(state: Mapping, name: str, source: str) -> int:
    """Returns the output channels of a convolution."""
    if state[name].ndim != 4:
        raise UserError(f"{source}: {name} is {state[name].shape}, which is no convolution.")
    return len(state[name])


def _joint_set(skeleton: str, joints: int, source: str) -> str:
    if not skeleton and joints not in _PUBLISHED_JOINTS:
        raise UserError(f"{source}: its head has {joints} joints; say which with `skeleton`.")
    skeleton = skeleton or _PUBLISHED_JOINTS[joints]
    if len(skeletons.get(skeleton)) != joints:
        raise UserError(
            f"{source}: its head has {joints} joints, `skeleton={skeleton}` has "
            f"{len(skeletons.get(skeleton))}."
        )
    return skeleton

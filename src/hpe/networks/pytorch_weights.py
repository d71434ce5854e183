"""Weights by PyTorch, by name: a state_dict within whatever was saved, and its tensors in the layouts of Keras."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping

import keras
import numpy as np

from hpe.errors import UserError

# What PyTorch calls the variables of our layers.
VARIABLES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# What PyTorch counts batches by; nobody needs it.
COUNTER = "num_batches_tracked"
# Within how many dicts a state_dict may lie; a damaged file may have a dict that holds itself.
_DEEPEST = 5


def find_state(loaded, landmark: str, depth: int = _DEEPEST) -> dict[str, np.ndarray] | None:
    """Returns the tensors by name of the first dict, within dicts, with a name that ends so, or None."""
    if not isinstance(loaded, Mapping) or not depth:
        return None
    state = {str(name): value for name, value in loaded.items() if isinstance(value, np.ndarray)}
    if any(name.endswith(landmark) for name in state):
        return state
    found = (find_state(value, landmark, depth - 1) for value in loaded.values())
    return next(filter(None, found), None)


def layer_variables(networks) -> Iterator[tuple[str, str, keras.Variable]]:
    """Yields a key `layer/variable`, the name of the layer and the variable, of all layers of networks."""
    for network in networks:
        for layer in network.layers:
            for variable in layer.variables:
                yield f"{layer.name}/{variable.name}", layer.name, variable


def published_name(layer: str, whole: Collection[str] = ()) -> str:
    """Returns PyTorch's name of a layer of ours: `.` for `_`, but in some words that have an underscore there."""
    name = layer.replace("_", ".")
    for word in whole:
        name = name.replace(word.replace("_", "."), word)
    return name


def keras_layout(tensor: np.ndarray, shape: tuple[int, ...], name: str, *, what: str) -> np.ndarray:
    """Returns a tensor as the array of a variable.

    Kernels are (out, in, y, x) there and (y, x, in, out) here; those of transposed convolutions (in, out, y, x)
    there and (y, x, out, in) here, which is the same permutation.

    Args:
        tensor: of PyTorch.
        shape: of the variable.
        name: of the tensor, with where it is from, for messages.
        what: the network, for messages.

    Raises:
        UserError: it has another shape, or numbers that are not finite.
    """
    array = tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor
    if array.shape != shape:
        expected = tuple(shape[axis] for axis in (3, 2, 0, 1)) if len(shape) == 4 else shape
        raise UserError(f"{name} is {tensor.shape}, but {expected} in {what}.")
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise UserError(f"{name} holds numbers that are not finite.")
    return array


def assign_state(
    loaded,
    networks: Mapping[str, keras.Model],
    *,
    source: str | os.PathLike,
    landmark: str,
    what: str,
    whole: Collection[str] = (),
    optional: Collection[str] = (),
) -> list[str]:
    """Gives networks the weights of a state_dict by the names of their layers; nothing is changed if any is unfit.

    Args:
        loaded: what `hpe.formats.torch_files.load_torch_file` returned; its names may have one prefix.
        networks: by name.
        source: where it comes from, for messages.
        landmark: a name that every such state_dict has, perhaps with a prefix before it.
        what: the network, for messages.
        whole: words with an underscore in PyTorch's names.
        optional: names of networks of which a checkpoint may hold nothing; they keep what they have.

    Returns:
        The names of the optional networks that it does not hold.

    Raises:
        UserError: it is no such network, something is absent, or has another shape.
    """
    state = find_state(loaded, landmark)
    if state is None:
        raise UserError(f"{source}: holds no {what}: no name in it ends in {landmark}.")
    prefix = next(name for name in state if name.endswith(landmark)).removesuffix(landmark)
    arrays, left_out = [], []
    for network_name, network in networks.items():
        wanted = [
            (prefix + f"{published_name(layer, whole)}.{VARIABLES[variable.name]}", variable)
            for _, layer, variable in layer_variables([network])
        ]
        absent = [name for name, _ in wanted if name not in state]
        if wanted and len(absent) == len(wanted) and network_name in optional:
            left_out.append(network_name)
            continue
        if absent:
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise UserError(f"{source}: lacks {absent[0]}{more}, which {what} has.")
        arrays += [
            (variable, keras_layout(state[name], tuple(variable.shape), f"{source}: {name}", what=what))
            for name, variable in wanted
        ]
    for variable, array in arrays:
        variable.assign(array)
    return left_out

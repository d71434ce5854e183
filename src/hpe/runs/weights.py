"""Weights by name: every variable of a system has one, `encoder/block1/conv/kernel`, and is found by it alone.

A name is the network's name in the system and the path of the variable in the network. It depends neither on the
order in which layers are made nor on what else the process has built.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpe.errors import UserError

Shape = tuple[int, ...]

_NUMBERED = re.compile(r"(.+?)(?:_(\d+))?")


@dataclasses.dataclass(frozen=True)
class StoredWeights:
    """Weights in a file.

    Attributes:
        source: the file, for messages.
        shapes: of all of them, by name.
        read: takes a name and returns the array; UserError if the file is damaged.
    """

    source: str
    shapes: Mapping[str, Shape]
    read: Callable[[str], np.ndarray]

    @property
    def networks(self) -> list[str]:
        """Names of the networks, sorted."""
        return sorted({name.split("/")[0] for name in self.shapes})

    def overlaid(self, other: StoredWeights) -> StoredWeights:
        """Returns these weights, with those in their place that the other has by the same name and shape."""

        def read(name: str) -> np.ndarray:
            return (other if other.shapes.get(name) == self.shapes[name] else self).read(name)

        return StoredWeights(self.source, self.shapes, read)


def all_networks(system) -> dict[str, Any]:
    """Returns the networks of a system by name, those that only training needs included."""
    return {**system.networks, **system.training_networks}


def named_variables(networks: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the variables of networks by name, in their order in the networks.

    Raises:
        ValueError: two variables have one name; the layers of one of them need a name of their own.
    """
    named = {}
    for network_name, network in networks.items():
        for path, variable in zip(_paths(network), network.variables, strict=True):
            name = f"{network_name}/{path}"
            if name in named:
                raise ValueError(
                    f"two variables are called {name}: give the layers that hold them other names."
                )
            named[name] = variable
    return named


def averaged_variables(system) -> dict[str, Any]:
    """Returns the variables that an average of weights follows: all floating-point ones that predict, by name."""
    named = named_variables(system.networks)
    return {name: variable for name, variable in named.items() if variable.dtype.startswith("float")}


def assign(system, stored: StoredWeights) -> None:
    """Gives a system the weights of a file; all are compared and read before the first one is assigned.

    Raises:
        UserError: a weight is absent, has another shape, or is damaged.
    """
    variables = named_variables(system.networks)
    for network in system.networks:
        require_same(network, variables, stored)
    for name in variables:
        stored.read(name)  # which compares its digest; kept, all would lie in memory twice
    for name, variable in variables.items():
        variable.assign(stored.read(name))


def require_same(network: str, variables: Mapping[str, Any], stored: StoredWeights) -> None:
    """Raises UserError unless a file holds just the variables of a network, in the same shapes.

    Args:
        network: its name.
        variables: by name; those of other networks are passed over.
        stored: what the file holds.
    """
    prefix = f"{network}/"
    found = {name: shape for name, shape in stored.shapes.items() if name.startswith(prefix)}
    expected = {
        name: tuple(variable.shape) for name, variable in variables.items() if name.startswith(prefix)
    }
    if not found:
        raise UserError(f"{stored.source}: holds no {network}; it was written by another system.")
    differing = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    if differing:
        name = differing[0]
        raise UserError(
            f"{stored.source}: its {network} is of another architecture ({len(found)} variables, expected "
            f"{len(expected)}; {name} is {found.get(name, 'absent')}, expected {expected.get(name, 'absent')}): it "
            "was written with other settings than those beside it, or by another version; start a new run with "
            "`init_from`."
        )


def _paths(network) -> list[str]:
    """Returns the paths of a network's variables without the network's own name."""
    own = f"{network.name}/"
    split = [variable.path.removeprefix(own).split("/") for variable in network.variables]
    # Layers without a name are numbered by Keras as the process makes them: here, as the network does.
    numbers = collections.defaultdict(set)
    for *layers, _ in split:
        for layer in layers:
            base, number = _numbered(layer)
            if base.replace("_", "") in _layer_classes():
                numbers[base].add(number)
    renamed = {
        _join(base, number): _join(base, rank)
        for base, found in numbers.items()
        for rank, number in enumerate(sorted(found))
    }
    return ["/".join([*(renamed.get(layer, layer) for layer in layers), leaf]) for *layers, leaf in split]


def _numbered(layer: str) -> tuple[str, int]:
    base, number = _NUMBERED.fullmatch(layer).groups()
    return base, int(number or 0)


def _join(base: str, number: int) -> str:
    return f"{base}_{number}" if number else base


@functools.cache
def _layer_classes() -> frozenset[str]:
    """The names of Keras's layers in lower case: a layer without a name has that of its class."""
    import keras

    return frozenset(name.lower() for name, value in vars(keras.layers).items() if isinstance(value, type))

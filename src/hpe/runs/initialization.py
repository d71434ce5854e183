"""Starting from the networks of another run: what fits by name and shape is taken, and what did not fit is told."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hpe.errors import SettingError, UserError
from hpe.runs.loading import OpenedWeights, open_weights
from hpe.runs.weights import Shape, StoredWeights, all_networks, named_variables

# Differences that are listed per network; the rest is counted.
_LISTED = 5


@dataclasses.dataclass(frozen=True)
class NetworkMatch:
    """What a network took from weights elsewhere.

    Attributes:
        network: its name.
        total: number of its variables.
        matched: how many of them were taken.
        differing: variables of another shape there: name, shape here, shape there.
        absent: names of the variables that are not there.
        unused: how many variables of the network there are not here.
    """

    network: str
    total: int
    matched: int = 0
    differing: tuple[tuple[str, Shape, Shape], ...] = ()
    absent: tuple[str, ...] = ()
    unused: int = 0


def initialize(
    system,
    source: str | os.PathLike,
    *,
    networks: Sequence[str] = (),
    coordinates: Mapping[str, str] = MappingProxyType({}),
) -> list[NetworkMatch]:
    """Takes the weights of another run's networks, those that are here by the same name and shape.

    Optimizers and the step are not taken. A checkpoint of an earlier version, which did not name its weights, fits
    a network that has just as many, of the same shapes in the same order.

    Args:
        system: a `hpe.systems.base.Trains`; its networks, and those that only its training needs, are assigned.
        source: where the weights are, see `hpe.runs.load`.
        networks: names of the networks to take; all if empty.
        coordinates: what its networks are for, as `hpe.runs.settings.Settings.coordinates` says it.

    Returns:
        One match per network that was asked for.

    Raises:
        UserError: there is no such checkpoint or network, nothing fits, or a network is for other joints there.
    """
    own = all_networks(system)
    for name in networks:
        if name not in own:
            raise SettingError("init_networks", f"the system has the networks {', '.join(own)}.", name)
    try:
        opened = open_weights(source)
    except UserError as error:
        raise SettingError("init_from", str(error).removeprefix(f"{source}: "), source) from error
    wanted = {name: own[name] for name in networks or own}
    _compare_coordinates(source, opened, {name: coordinates.get(name) for name in wanted})
    stored = _stored(opened, own)
    matches, taken = [], {}
    for name, network in wanted.items():
        variables = named_variables({name: network})
        matches.append(_match(name, variables, stored))
        taken |= {
            key: variable for key, variable in variables.items() if stored.shapes.get(key) == variable.shape
        }
    if not taken:
        raise SettingError(
            "init_from",
            f"nothing in {opened.path} fits ({', '.join(wanted)}); it holds "
            f"{', '.join(stored.networks) or 'no networks'}, see its settings.",
            source,
        )
    for key in taken:
        stored.read(key)  # a damaged file changes nothing
    for key, variable in taken.items():
        variable.assign(stored.read(key))
    return matches


def describe(matches: Sequence[NetworkMatch], source: str | os.PathLike) -> str:
    """Returns a report of what was taken, what has another shape (both are given) and what is absent."""
    width = max(len(match.network) for match in matches)
    lines = [f"weights from {source}:"]
    for match in matches:
        lines.append(f"  {match.network:<{width}}  {match.matched} of {match.total} variables matched")
        notes = [f"{name} is {here}, there {there}" for name, here, there in match.differing[:_LISTED]]
        if len(match.differing) > _LISTED:
            notes.append(f"{len(match.differing) - _LISTED} more of other shapes")
        if len(match.absent) == match.total:
            notes.append("absent there, or of another architecture")
        elif match.absent:
            shown = ", ".join(match.absent[:_LISTED])
            more = f" and {len(match.absent) - _LISTED} more" if len(match.absent) > _LISTED else ""
            notes.append(f"absent there: {shown}{more}")
        if match.unused:
            notes.append(f"not in this network: {match.unused} variables there")
        lines += [f"    {note}" for note in notes]
    return "\n".join(lines)


def _compare_coordinates(source, opened: OpenedWeights, here: Mapping[str, str | None]) -> None:
    """Raises UserError for a network that is for other joints there, which the shapes of weights do not tell."""
    try:
        there = opened.settings().coordinates
    except UserError:
        return  # a checkpoint that was copied without its settings, or one of an older version
    for name, wanted in here.items():
        found = there.get(name)
        if wanted and found and wanted != found:
            raise SettingError(
                "init_from",
                f"its {name} is for {found}, this run's for {wanted}, so that equal shapes mean other joints; set "
                "these alike, or take only other networks by `init_networks`.",
                source,
            )


def _stored(opened: OpenedWeights, networks: Mapping[str, Any]) -> StoredWeights:
    """Returns the weights by name; those that an earlier version numbered get the names that they have here."""
    checkpoint = opened.checkpoint
    if checkpoint is None or not checkpoint.is_numbered:
        return opened.weights(averaged=False)
    keys = {}
    for network, numbered in checkpoint.numbered().items():
        names = [f"{network}/{index}" for index in range(len(numbered))]
        if network in networks:
            named = named_variables({network: networks[network]})
            if [tuple(variable.shape) for variable in named.values()] == [
                checkpoint.shapes[key] for key in numbered
            ]:
                names = named
        keys |= zip(names, numbered, strict=True)
    shapes = {name: checkpoint.shapes[key] for name, key in keys.items()}
    return StoredWeights(checkpoint.path, shapes, lambda name: checkpoint.read(keys[name]))


def _match(network: str, variables: Mapping[str, Any], stored: StoredWeights) -> NetworkMatch:
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    there = {name: shape for name, shape in stored.shapes.items() if name.startswith(f"{network}/")}
    return NetworkMatch(
        network,
        total=len(shapes),
        matched=sum(there.get(name) == shape for name, shape in shapes.items()),
        differing=tuple(
            (name, shape, there[name])
            for name, shape in shapes.items()
            if name in there and there[name] != shape
        ),
        absent=tuple(name for name in shapes if name not in there),
        unused=len(there.keys() - shapes.keys()),
    )

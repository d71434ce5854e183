"""Starting from the networks of another run: what fits is taken, and what did not fit is told."""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from hpe.errors import SettingError, UserError
from hpe.training.checkpoints import StoredNetworks, latest_checkpoint
from hpe.training.restoring import run_directory

# Networks of different length are compared from their start, and taken up to the first difference. If that comes
# before this part of the shorter one, the same shapes are a coincidence of two architectures.
_LEAST_IN_COMMON = 0.5

# Differences that are listed per network; the rest is counted.
_LISTED = 5

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class NetworkMatch:
    """What a network took from a checkpoint.

    Attributes:
        network: its name.
        total: number of its variables.
        matched: how many of them were taken.
        differing: variables of another shape there: path, shape here, shape there.
        absent: paths of the variables that have no counterpart there.
    """

    network: str
    total: int
    matched: int = 0
    differing: tuple[tuple[str, Shape, Shape], ...] = ()
    absent: tuple[str, ...] = ()


def initialize(
    system,
    source: str | os.PathLike,
    *,
    networks: Sequence[str] = (),
    coordinates: Mapping[str, str] = MappingProxyType({}),
) -> list[NetworkMatch]:
    """Takes the weights of another run's networks, those that are here by the same name and fit.

    Variables are matched by network, place and shape. Optimizers and the step are not taken.

    Args:
        system: a `hpe.systems.base.Trains`; its networks, and those of its critic, are assigned.
        source: a run directory (its newest checkpoint is taken), or the path of one checkpoint in it.
        networks: names of the networks to take; all if empty.
        coordinates: what its networks are for, as `hpe.training.runs.RunConfig.coordinates` says it.

    Returns:
        One match per network that was asked for.

    Raises:
        UserError: there is no such checkpoint or network, nothing fits, or a network is for other joints there.
    """
    path = find_checkpoint(source)
    own = {**system.networks, **system.training_networks}
    for name in networks:
        if name not in own:
            raise SettingError("init_networks", f"the system has the networks {', '.join(own)}.", name)
    stored = StoredNetworks(path)
    _compare_coordinates(source, path, {name: coordinates.get(name) for name in networks or own})
    matches = [_take(name, own[name], stored) for name in networks or own]
    if not any(match.matched for match in matches):
        asked = ", ".join(match.network for match in matches)
        raise SettingError(
            "init_from",
            f"nothing in {path} fits ({asked}); it holds {', '.join(stored.names) or 'no networks'}, see "
            "its params.json for their settings.",
            source,
        )
    return matches


def _compare_coordinates(source, path: str, here: Mapping[str, str | None]) -> None:
    """Raises UserError for a network that is for other joints there, which the shapes of weights do not tell."""
    try:
        there = run_directory(path).read_params().coordinates
    except UserError:
        return  # a checkpoint that was copied without its settings, or one of an older version
    for name, wanted in here.items():
        found = there.get(name)
        if wanted and found and wanted != found:
            raise SettingError(
                "init_from",
                f"its {name} is for {found}, this run's for {wanted}, so that equal shapes mean other "
                "joints; set these flags alike, or take only other networks by `init_networks`.",
                source,
            )


def find_checkpoint(source: str | os.PathLike) -> str:
    """Returns the checkpoint that a run directory, its `checkpoints` or a path of one means; UserError if none."""
    path = str(pathlib.Path(source)).removesuffix(".index")
    if os.path.isdir(path):
        path = latest_checkpoint(run_directory(path).checkpoints)
    elif not os.path.exists(path + ".index"):
        path = None
    if path is None:
        raise SettingError(
            "init_from", "no such run directory or checkpoint; give the folder that training created.", source
        )
    return path


def describe(matches: Sequence[NetworkMatch], source: str | os.PathLike) -> str:
    """Returns a report of what was taken, what has another shape (both are given) and what is absent."""
    width = max(len(match.network) for match in matches)
    lines = [f"weights from {source}:"]
    for match in matches:
        lines.append(f"  {match.network:<{width}}  {match.matched} of {match.total} variables matched")
        notes = [f"{path} is {here}, there {there}" for path, here, there in match.differing[:_LISTED]]
        if len(match.differing) > _LISTED:
            notes.append(f"{len(match.differing) - _LISTED} more of other shapes")
        if len(match.absent) == match.total:
            notes.append("absent there, or of another architecture")
        elif match.absent:
            shown = ", ".join(match.absent[:_LISTED])
            more = f" and {len(match.absent) - _LISTED} more" if len(match.absent) > _LISTED else ""
            notes.append(f"absent there: {shown}{more}")
        lines += [f"    {note}" for note in notes]
    return "\n".join(lines)


def _take(name: str, network, stored: StoredNetworks) -> NetworkMatch:
    variables = list(network.variables)
    here = [tuple(variable.shape) for variable in variables]
    there = stored.shapes(name)
    if len(here) == len(there):
        taken = [one == other for one, other in zip(here, there, strict=True)]
        comparable = len(here)
    else:
        same = sum(
            1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(here, there, strict=False))
        )
        if same < _LEAST_IN_COMMON * min(len(here), len(there)):
            same = 0
        taken = [index < same for index in range(len(here))]
        # What comes after the first difference is not at the same place any more.
        comparable = min(same + 1, len(here), len(there)) if same else 0
    for index, variable in enumerate(variables):
        if taken[index]:
            variable.assign(stored.value(name, index))
    return NetworkMatch(
        name,
        total=len(variables),
        matched=sum(taken),
        differing=tuple(
            (variables[index].path, here[index], there[index])
            for index in range(comparable)
            if not taken[index]
        ),
        absent=tuple(variable.path for variable in variables[comparable:]),
    )

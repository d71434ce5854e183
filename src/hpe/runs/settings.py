"""What prediction needs to know of a run: its system, and how that is configured and shown its input."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from hpe import systems
from hpe.errors import UserError
from hpe.options import UnfitError, from_plain, to_plain
from hpe.systems import SystemEntry


@dataclasses.dataclass(frozen=True)
class Settings:
    """A system and its settings.

    Attributes:
        system: its name.
        model: of its networks, of the type `SystemEntry.config`.
        input: of what it is shown, of the type `SystemEntry.input`.
    """

    system: str
    model: Any
    input: Any

    @property
    def entry(self) -> SystemEntry:
        """What the registry knows of the system."""
        return systems.get(self.system)

    @property
    def coordinates(self) -> dict[str, str]:
        """Which joints in which frame the networks are for, see `hpe.systems.SystemEntry`."""
        return dict(self.entry.coordinates(self.model, self.input))

    def build(self, *, build_critic: bool = False, pretrained: bool = False):
        """Builds the system.

        Args:
            build_critic: True makes what only training needs, such as a critic, too.
            pretrained: False starts from random weights, because others replace them; no file of weights is needed
                then.
        """
        return self.entry.build(self.model, self.input, build_critic=build_critic, pretrained=pretrained)

    def to_plain(self) -> dict:
        """Returns the sections `system`, `model` and `input` as what JSON knows."""
        return {"system": self.system, "model": to_plain(self.model), "input": to_plain(self.input)}


def settings_from(content: Mapping, *, source: str | os.PathLike) -> Settings:
    """Reads the sections that prediction needs out of a JSON object; whatever else it holds is not looked at.

    Args:
        content: of a `params.json`, or of the head of a file of weights.
        source: where it comes from, for messages.

    Raises:
        UserError: naming the setting that is missing, unknown or unfit.
    """
    system = system_of(content, source=source)
    entry = systems.get(system)
    if "input" not in content and isinstance(content.get("pipeline"), dict):
        # Earlier versions kept these settings among those of the pipeline.
        names = {field.name for field in dataclasses.fields(entry.input)}
        old = {name: value for name, value in content["pipeline"].items() if name in names}
        content = {**content, "input": old}
    model = section(content, "model", entry.config, source=source)
    return Settings(system, model, section(content, "input", entry.input, source=source))


def system_of(content: Mapping, *, source: str | os.PathLike) -> str:
    """Returns the name of the system; raises UserError if there is none, or this version does not know it."""
    if "system" not in content:
        raise UserError(f"{source}: does not fit this version of hpe (it lacks `system`).")
    system = content["system"]
    if not isinstance(system, str) or system not in systems.names():
        raise UserError(
            f"{source}: unknown system {system!r}; this version has {', '.join(systems.names())}."
        )
    return system


def section(content: Mapping, name: str, kind: type, *, source: str | os.PathLike):
    """Returns a section of settings as its dataclass; raises UserError with the setting that does not fit."""
    if name not in content:
        raise UserError(f"{source}: does not fit this version of hpe (it lacks `{name}`).")
    try:
        return from_plain(kind, content[name], path=name)
    except UnfitError as error:
        raise UserError(f"{source}: does not fit this version of hpe ({error}).") from error

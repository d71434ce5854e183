"""Released weights by name: those that the package brings along, and those that a plugin adds."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping

ASSETS = pathlib.Path(__file__).parent / "assets"


@dataclasses.dataclass(frozen=True)
class Preset:
    """Released weights that have a name.

    Attributes:
        file: a file of `hpe.runs.released`: a name in the package's `runs/assets`, or a path.
        about: one line that says what they are for.
        changes: settings that differ from those in the file, as JSON has them, by section (`model`, `input`): one
            file serves several presets.
    """

    file: str | os.PathLike
    about: str
    changes: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)

    @property
    def path(self) -> pathlib.Path:
        """The file."""
        return ASSETS / self.file


_BODY_LIFTER = "movenet_body.safetensors"
PRESETS: dict[str, Preset] = {
    "lightning": Preset(
        _BODY_LIFTER, "bodies from photographs, fast: MoveNet Lightning and a body for its joints"
    ),
    "thunder": Preset(
        _BODY_LIFTER,
        "bodies from photographs, more accurate: MoveNet Thunder and a body for its joints",
        {"model": {"movenet": "thunder"}, "input": {"img_size": 256}},
    ),
}


def presets() -> Mapping[str, Preset]:
    """Returns all presets by name, sorted."""
    return dict(sorted(PRESETS.items()))


def register(name: str, preset: Preset) -> None:
    """Adds a preset; raises ValueError if there is one of that name, or the name could be a path."""
    if not name or pathlib.PurePath(name).name != name or "." in name:
        raise ValueError(f"A preset's name has no folder and no ending. Received: {name!r}")
    if name in PRESETS:
        raise ValueError(f"There is a preset called {name!r} already.")
    PRESETS[name] = preset

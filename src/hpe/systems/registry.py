"""The one list of systems: what the programs know of each by its name, imported when it is asked for."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping, Sequence

# What any system of keras.ops can be exported as.
EXPORTS = ("saved_model", "litert", "onnx")


@dataclasses.dataclass(frozen=True)
class SystemEntry:
    """How to configure and build a system by its name.

    Attributes:
        name: the value of the setting `system`.
        config: the dataclass of its networks and losses.
        input: the dataclass of what its networks are shown, see `hpe.systems.inputs`.
        build: takes both settings, and the keywords `build_critic` (False leaves out what only training needs) and
            `pretrained` (False starts from random weights, because a checkpoint replaces them); returns the System.
        input_key: of the System.
        defaults: what its runs are trained with unless flags say otherwise, by the name of the flag.
        aliases: other names of its flags.
        coordinates: takes both settings and says in words, by network, which joints in which frame its weights are
            for; the same shapes may hold weights for others. Networks that know of no joints are absent.
        tags: takes the settings of the system and returns what the names of its runs tell of them.
        shown: what the progress bar shows beside the loss, labels by the name in the log.
        exports: what it can be exported as.
        metrics: names of the metrics that it is judged by, see docs/evaluation.md; one without a protocol is on the
            system's own joint set.
        ready: takes both settings and released weights by name; returns what predicts without Keras, see
            `hpe.backends.graphs`, or None where there is nothing ready for these settings. ValueError where the
            weights are of other networks.
    """

    name: str
    config: type
    input: type
    build: Callable
    input_key: str
    defaults: Mapping[str, object] = dataclasses.field(default_factory=dict)
    aliases: Mapping[str, str] = dataclasses.field(default_factory=dict)
    coordinates: Callable[[object, object], Mapping[str, str]] = lambda config, input: {}
    tags: Callable[[object], Sequence[str]] = lambda config: ()
    shown: Mapping[str, str] = dataclasses.field(default_factory=dict)
    exports: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    ready: Callable | None = None


def build_in(module: str, name: str) -> Callable:
    """Returns a function that builds a system by one of another module, which is imported when it is called."""

    def build(config, input, **options):
        return getattr(importlib.import_module(module), name)(config, input, **options)

    return build


def ready_in(module: str, name: str) -> Callable:
    """Returns a function for `SystemEntry.ready` by one of another module, which is imported when it is called."""

    def ready(config, input, weights):
        return getattr(importlib.import_module(module), name)(config, input, weights)

    return ready


# Each module holds its `ENTRY`, and imports neither Keras nor what the system computes with.
_MODULES = {
    "hybrid_hmr": "hpe.systems.settings.hybrid_hmr",
    "hrnet": "hpe.systems.settings.hrnet",
    "lifter": "hpe.systems.settings.lifter",
    "movenet": "hpe.systems.settings.movenet",
    "pare": "hpe.systems.settings.pare",
    "weakly_supervised": "hpe.systems.settings.weakly_supervised",
    "hemlets": "hpe.systems.settings.hemlets",
}
_registered: dict[str, SystemEntry] = {}


def names() -> tuple[str, ...]:
    """Returns the names of all systems, sorted."""
    return tuple(sorted({*_MODULES, *_registered}))


def get(name: str) -> SystemEntry:
    """Returns the entry of a system; raises ValueError with the known names if there is none."""
    if name in _registered:
        return _registered[name]
    if name not in _MODULES:
        raise ValueError(f"Unknown system {name!r}; known are {', '.join(names())}.")
    return importlib.import_module(_MODULES[name]).ENTRY


def register(entry: SystemEntry) -> None:
    """Adds a system of another package; raises ValueError if there is one of that name."""
    if entry.name in names():
        raise ValueError(f"There is a system called {entry.name!r} already.")
    _registered[entry.name] = entry

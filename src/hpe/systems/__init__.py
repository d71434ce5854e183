"""Systems: networks, losses, targets and the reading of outputs, one published method each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from hpe.systems.hybrid_hmr import HybridHmr, HybridHmrConfig


@dataclasses.dataclass(frozen=True)
class SystemEntry:
    """How to configure and build a system by its name."""

    config: type
    build: Callable


SYSTEMS = {HybridHmr.name: SystemEntry(HybridHmrConfig, HybridHmr)}

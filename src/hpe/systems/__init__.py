"""Systems: networks, losses, targets and the reading of outputs, one published method each."""

from hpe.systems.registry import SystemEntry, get, names, register

__all__ = ["SystemEntry", "get", "names", "register"]

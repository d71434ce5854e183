"""Public datasets: their files on disk become a stream of Samples, one file per dataset."""

from hpe.datasets.registry import Entry, WriteConfig, get, names, register

__all__ = ["Entry", "WriteConfig", "get", "names", "register"]

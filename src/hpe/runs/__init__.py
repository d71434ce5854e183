"""Runs and released weights on disk: settings, weights by name, presets and loading; nothing here trains."""

from hpe.runs.directory import RunDirectory, latest_run
from hpe.runs.loading import Loaded, load, load_ready
from hpe.runs.settings import Settings

__all__ = ["Loaded", "RunDirectory", "Settings", "latest_run", "load", "load_ready"]

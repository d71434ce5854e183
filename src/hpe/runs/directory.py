"""A run directory: its settings in `params.json`, its checkpoints, its TensorBoard log and its pictures.

runs/<name>/params.json      every setting by section, enough to build the same system again
runs/<name>/checkpoints/     ckpt-<step>
runs/<name>/best/            the best networks so far, laid out like a run
runs/<name>/tensorboard/     scalars and panels
runs/<name>/history.jsonl    scalars and metrics, one JSON object per line
runs/<name>/validation.json  the final metrics

Nothing in it says where it lies: it may be moved and copied.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Iterator, Mapping

from hpe import files
from hpe.errors import UserError
from hpe.options import to_plain
from hpe.runs.settings import Settings, settings_from, system_of


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory; it is not created until something is written.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self.params = self.path / "params.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.tensorboard = self.path / "tensorboard"
        self.history = self.path / "history.jsonl"

    def write_sections(self, system: str, sections: Mapping[str, object]) -> None:
        """Writes `params.json`.

        Args:
            system: name of the system.
            sections: dataclasses, or objects of JSON, by name; `model` and `input` are what prediction reads.

        Raises:
            UserError: it cannot be written.
        """
        content = {
            "system": system,
            **{name: to_plain(values) for name, values in sections.items()},
            "versions": {name: version(name) for name in ("hpe", "tensorflow", "keras", "numpy")},
        }
        files.write_text(self.params, json.dumps(content, indent=2) + "\n", advice="set `model_dir`")

    def read(self) -> dict:
        """Reads `params.json` as the object that it is.

        Raises:
            UserError: it is missing or is no JSON object.
        """
        try:
            content = json.loads(self.params.read_text(encoding="utf-8"))
        except OSError as error:
            runs = ", ".join(run.name for run in _runs_in(self.path))
            raise UserError(
                f"{self.path}: holds several runs; give one of {runs} in it."
                if runs
                else f"{self.path}: not a run directory (no readable params.json: {error.strerror}); give the "
                "folder that training created."
            ) from error
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.params}: not valid JSON ({error}).") from error
        if not isinstance(content, dict):
            raise UserError(f"{self.params}: does not fit this version of hpe (it is no JSON object).")
        return content

    def system(self) -> str:
        """Returns the name of the system that the run trains; raises UserError as `read_settings` does."""
        return system_of(self.read(), source=self.params)

    def read_settings(self) -> Settings:
        """Reads what prediction needs of `params.json`; UserError names what is missing, unknown or unfit."""
        return settings_from(self.read(), source=self.params)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer; raises UserError if another process trains it.

        A directory that is empty at the end, because the run failed before its first file, is removed if it was
        made here.
        """
        is_new = not self.path.exists()
        try:
            with files.lock(self.path):
                yield
        finally:
            if is_new:
                self.remove_if_empty()

    def remove_if_empty(self) -> None:
        """Removes the directory if a run that failed before its first file has left it empty."""
        with contextlib.suppress(OSError):
            self.path.rmdir()


def find_run(path: str | os.PathLike) -> RunDirectory:
    """Returns the run that a path belongs to: the run directory, its `checkpoints`, or one checkpoint in there."""
    path = pathlib.Path(path)
    if not path.is_dir():
        return RunDirectory(path.parent.parent)
    return RunDirectory(path.parent if path.name == "checkpoints" else path)


def only_run(path: pathlib.Path) -> pathlib.Path:
    """Returns the one run in a folder that is none itself, such as `runs/demo`; else the path as it is."""
    if not path.is_dir() or (path / "params.json").exists() or path.name == "checkpoints":
        return path
    runs = _runs_in(path)
    return runs[0] if len(runs) == 1 and not (path / "checkpoints").is_dir() else path


def version(package: str) -> str:
    """Returns the installed version of a package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # imported from a folder of sources
        return "unknown"


def _runs_in(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return sorted(path.parent for path in folder.glob("*/params.json"))
    except OSError:
        return []


def latest_run(logs: str | os.PathLike) -> RunDirectory:
    """Returns the run in `logs` that wrote its settings last; raises UserError if there is none."""
    runs = sorted(pathlib.Path(logs).glob("*/params.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise UserError(f"{logs}: holds no run to resume; name one with `model_dir`.")
    return RunDirectory(runs[-1].parent)

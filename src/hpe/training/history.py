"""`history.jsonl`: what a run logs and measures, one JSON object per line, to plot without TensorBoard.

    {"step": 40, "epoch": 0.5, "kind": "train", "values": {"loss/total": 31.2, ...}}
    {"step": 80, "epoch": 1.0, "kind": "validation", "values": {"silhouette_iou": 0.57, ...}}

`kind` is `train` or `validation`, `epoch` the number of passes over the data so far; what is not a finite number
is null. The validations in it are also what early stopping decides by, so that a resumed run knows them again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping

from hpe import files
from hpe.errors import UserError

TRAIN = "train"
VALIDATION = "validation"


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        step: number of finished steps.
        epoch: number of passes over the training data, with the fraction of the one that is going on.
        kind: `train` or `validation`.
        values: numbers by name; None for those that are not finite.
    """

    step: int
    epoch: float
    kind: str
    values: dict[str, float | None]


class History:
    """Appends to a history file.

    A run that is killed leaves lines of steps after its last checkpoint, and perhaps half a line; a resumed run
    comes to those steps again, so they are dropped here.

    Args:
        path: the file; it is not created before the first line.
        step: the step that the run starts or goes on from.

    Raises:
        UserError: the file cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike, *, step: int):
        self._path = pathlib.Path(path)
        kept = [entry for entry in read_history(self._path) if entry.step <= step]
        self.validations = [entry for entry in kept if entry.kind == VALIDATION]
        with self._explained():
            text = self._path.read_bytes() if self._path.exists() else b""
        lines = "".join(_line(entry) for entry in kept)
        if lines.encode() != text:
            files.write_text(self._path, lines)

    def append(self, entry: Entry) -> None:
        """Adds a line, at once on its way to the disk; a validation is there when this returns."""
        with self._explained(), self._path.open("a", encoding="utf-8") as file:
            file.write(_line(entry))
            if entry.kind == VALIDATION:
                file.flush()
                os.fsync(file.fileno())
        if entry.kind == VALIDATION:
            self.validations.append(entry)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{self._path}: the history cannot be kept ({error.strerror or error}); free space and "
                "go on with `resume`."
            ) from error


def read_history(path: str | os.PathLike) -> list[Entry]:
    """Reads the lines of a history file in their order; a file that does not exist has none.

    Lines that are no entries, such as the half line that a killed run leaves, are left out.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return [entry for entry in map(_entry, text.splitlines()) if entry is not None]


def finite(values: Mapping[str, float]) -> dict[str, float | None]:
    """Returns plain Python floats, None for what is not finite: JSON has no word for it."""
    numbers = {name: float(value) for name, value in values.items()}
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _line(entry: Entry) -> str:
    return json.dumps(dataclasses.asdict(entry), allow_nan=False) + "\n"


def _entry(line: str) -> Entry | None:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return None
    names = {field.name for field in dataclasses.fields(Entry)}
    if not isinstance(content, dict) or content.keys() != names:
        return None
    step, values = content["step"], content["values"]
    fits = (
        type(step) is int and step >= 0 and _is_number(content["epoch"]) and isinstance(content["kind"], str)
    )
    if not fits or not isinstance(values, dict):
        return None
    return Entry(**content) if all(value is None or _is_number(value) for value in values.values()) else None


def _is_number(value) -> bool:
    """Whether a value is a finite number, as JSON knows it; Python's reader knows others, too."""
    return type(value) in (int, float) and -sys.float_info.max <= value <= sys.float_info.max

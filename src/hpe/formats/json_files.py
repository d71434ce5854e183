"""Reading annotations from JSON files: whatever is wrong with one is told in one line."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from hpe.errors import UserError, first_line
from hpe.formats.limits import read_bytes


def read_json(path: str | os.PathLike, kind: type, what: str) -> Any:
    """Reads a JSON file whose top level is a list or an object.

    Args:
        path: the file.
        kind: `list` or `dict`.
        what: what the file should be, for the message.

    Raises:
        UserError: if the file cannot be read, is no JSON, or its top level is of another kind.
    """
    content = read_any_json(path, what)
    if not isinstance(content, kind):
        raise UserError(f"{path}: is not {what}: its top level is of type {type(content).__name__}.")
    return content


def read_any_json(path: str | os.PathLike, what: str) -> Any:
    """Reads a JSON file; raises UserError if it cannot be read or is no JSON, see `read_json`."""
    try:
        return json.loads(read_bytes(path).decode("utf-8-sig"))
    except UserError as error:
        raise UserError(f"{str(error).removesuffix('.')}; it should be {what}.") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"{path}: is no valid JSON ({first_line(error)}); it should be {what}.") from error


def field(entry: Any, name: str, where: str) -> Any:
    """Returns a field of an entry; UserError if the entry is no object or lacks it."""
    if not isinstance(entry, dict):
        raise UserError(f"{where} is no object with fields, but of type {type(entry).__name__}.")
    if name not in entry:
        raise UserError(f"{where} has no field `{name}`.")
    return entry[name]


def numbers(entry: Any, name: str, shape: tuple[int, ...], where: str, *, finite: bool = True) -> np.ndarray:
    """Returns a field of an entry as float64.

    Raises:
        UserError: if the entry lacks it, or it does not hold numbers in that shape, or, with `finite`, one of them
            is NaN or infinite.
    """
    values = field(entry, name, where)
    expected = "x".join(map(str, shape)) + " numbers" if shape else "a number"
    try:
        values = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{where}: `{name}` must be {expected}.") from error
    if values.shape != shape:
        found = "x".join(map(str, values.shape)) or "a single number"
        raise UserError(f"{where}: `{name}` must be {expected}. Received: {found}")
    if finite and not np.isfinite(values).all():
        raise UserError(f"{where}: `{name}` holds numbers that are not finite.")
    return values

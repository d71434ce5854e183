"""Reading arrays of HDF5 files, with one clear line for a file that is none or lacks one."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import TypeVar

import h5py
import numpy as np

from hpe.errors import UserError, first_line

Content = TypeVar("Content")


def read_array(path: str | os.PathLike, name: str) -> np.ndarray:
    """Reads one array of numbers.

    Args:
        path: the file.
        name: path of the dataset within it.

    Raises:
        UserError: if the file is absent, is no HDF5, is damaged, or has no such dataset of numbers.
    """
    return read(path, lambda file: _array(path, file, name))


def read(path: str | os.PathLike, function: Callable[[h5py.File], Content]) -> Content:
    """Returns what a function makes of an open HDF5 file; raises UserError if that cannot be read."""
    if not pathlib.Path(path).is_file():
        raise UserError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            return function(file)
    # What HDF5 raises on files that are damaged or none of its own; damage can also ask for an array of any size.
    except (OSError, RuntimeError, MemoryError) as error:
        raise UserError(f"{path}: is not a readable HDF5 file ({first_line(error)}).") from error


def _array(path, file: h5py.File, name: str) -> np.ndarray:
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        found = ", ".join(sorted(file)) or "nothing"
        raise UserError(f"{path}: has no dataset {name}; it holds {found}.")
    if item.dtype.kind not in "fiu":
        raise UserError(f"{path}: {name} must be numbers. Received: dtype={item.dtype}")
    return item[()]

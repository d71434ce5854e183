"""Reading arrays of HDF5 files, with one clear line for a file that is none or lacks one.

HDF5 may say that its numbers lie in another file, by links, external storage and virtual datasets: none of them is
followed, so that a file of data makes nobody read files that were not named. What a dataset declares is checked
before memory is asked for.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import TypeVar

import h5py
import numpy as np

from hpe.errors import UserError, first_line
from hpe.formats.limits import Budget, TooLarge, file_length

Content = TypeVar("Content")

_MAX_LINKS = 8
_MAX_DEPTH = 32
# What a group counts for: groups may name one another any number of times.
_BYTES_PER_GROUP = 1000


class Group:
    """A group of an open file, whose members are reached by names alone.

    Args:
        file: the whole file.
        group: the group in it.
        budget: of the file.
    """

    def __init__(self, group: h5py.Group, length: int, budget: Budget):
        self._group = group
        self._length = length
        self._budget = budget

    def __iter__(self) -> Iterator[str]:
        """Yields the names of the members, none of which is opened for that."""
        return iter(sorted(self._group))

    def group(self, name: str) -> Group | None:
        """Returns a group by its path, None if there is none; raises UserError if a link leads out of the file."""
        found = self._find(name)
        return Group(found, self._length, self._budget) if isinstance(found, h5py.Group) else None

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Returns the shape of a dataset by its path, None if there is none."""
        found = self._find(name)
        return tuple(found.shape or ()) if isinstance(found, h5py.Dataset) else None

    def array(self, name: str, *, rows: int | slice = slice(None)) -> np.ndarray | None:
        """Returns a dataset of numbers by its path, or rows of it, None if there is none.

        Raises:
            UserError: if it holds something else than numbers, lies outside of the file, or declares more than a
                file of its length can hold. The message does not name the file.
        """
        found = self._find(name)
        if not isinstance(found, h5py.Dataset):
            return None
        if found.dtype.kind not in "fiu" or found.shape is None:
            raise UserError(f"{name} must be numbers. Received: dtype={found.dtype}")
        self._check(name, found)
        return found[()] if rows == slice(None) else found[rows]

    def check_whole(self, depth: int = _MAX_DEPTH) -> None:
        """Raises UserError if a member lies in another file, or all declare more than the file can hold."""
        for name in self:
            if isinstance(self._group.get(name, getlink=True), h5py.SoftLink):
                continue
            found = self._find(name)
            if isinstance(found, h5py.Dataset):
                self._check(name, found)
            elif isinstance(found, h5py.Group):
                self._budget.spend(_BYTES_PER_GROUP, "a group in several places")
                if not depth:
                    raise UserError(f"{name} lies within groups without end")
                Group(found, self._length, self._budget).check_whole(depth - 1)

    def _check(self, name: str, found: h5py.Dataset) -> None:
        """Raises UserError if a dataset lies in another file or declares more than this one can hold."""
        if found.is_virtual or found.external:
            raise UserError(f"{name} lies in another file, which is not read")
        if found.shape is None:
            return
        size = math.prod(found.shape) * found.dtype.itemsize
        stored = found.id.get_storage_size()
        if found.chunks is not None:
            size = max(size, math.prod(found.chunks) * found.dtype.itemsize)
        self._budget.spend(size, f"{name} of shape {found.shape}")
        if stored > self._length or (size and not stored):
            raise UserError(f"{name} of shape {found.shape} has no numbers in the file")

    def _find(self, name: str, links: int = _MAX_LINKS) -> h5py.Group | h5py.Dataset | None:
        group = self._group
        parts = [part for part in name.split("/") if part]
        for place, part in enumerate(parts):
            if not isinstance(group, h5py.Group):
                return None
            link = group.get(part, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.SoftLink) and links:
                rest = "/".join((link.path, *parts[place + 1 :]))
                start = group.file if link.path.startswith("/") else group
                return Group(start, self._length, self._budget)._find(rest, links - 1)
            if not isinstance(link, h5py.HardLink):
                raise UserError(f"{name} is a link to another file or to nothing, which is not followed")
            group = group[part]
        return group


def read_array(path: str | os.PathLike, name: str) -> np.ndarray:
    """Reads one array of numbers.

    Args:
        path: the file.
        name: path of the dataset within it.

    Raises:
        UserError: if the file is absent, is no HDF5, is damaged, or has no such dataset of numbers of its own.
    """
    return read(path, lambda file: _array(file, name))


def read(path: str | os.PathLike, function: Callable[[Group], Content]) -> Content:
    """Returns what a function makes of the root of an HDF5 file; raises UserError if that cannot be read.

    UserErrors of the function get the file's name in front.
    """
    try:
        length = file_length(path)
    except UserError:
        if not os.path.exists(path):
            raise UserError(f"{path}: no such file.") from None
        raise
    try:
        with h5py.File(path, "r") as file:
            return function(Group(file, length, Budget(length)))
    except UserError as error:
        raise UserError(f"{path}: {str(error).removesuffix('.')}.") from error
    except TooLarge as error:
        raise UserError(f"{path}: refused, because {error}.") from error
    except Exception as error:  # HDF5 raises whatever its damage runs into, which means the same to the user
        raise UserError(f"{path}: is not a readable HDF5 file ({first_line(error)}).") from error


def check_whole(path: str | os.PathLike) -> None:
    """Makes sure that all of a file of weights lies in it, before another library reads it.

    Args:
        path: an HDF5 file, or Keras' zip archive around one.

    Raises:
        UserError: if it is none, holds links or storage outside of it, or declares more than it can hold.
    """

    def check(file: Group) -> None:
        file.check_whole()

    if not zipfile.is_zipfile(path):
        read(path, check)
        return
    length = file_length(path)
    budget = Budget(length)
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                budget.spend(info.file_size, f"the member {info.filename}")
                if info.filename.endswith(".h5"):
                    with archive.open(info) as member, h5py.File(io.BytesIO(member.read()), "r") as file:
                        check(Group(file, info.file_size, budget))
    except UserError as error:
        raise UserError(f"{path}: {str(error).removesuffix('.')}.") from error
    except Exception as error:  # as in `read`
        raise UserError(f"{path}: is not a readable file of weights ({first_line(error)}).") from error


def _array(file: Group, name: str) -> np.ndarray:
    found = file.array(name)
    if found is None:
        there = ", ".join(file) or "nothing"
        raise UserError(f"has no dataset {name}; it holds {there}")
    return found

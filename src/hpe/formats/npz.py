"""Reads npz and npy files: what their headers declare is checked before memory is asked for.

Arrays of objects hold a pickle, which is interpreted as in `hpe.formats.pickles`.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Container
from typing import Any, BinaryIO

import numpy as np

from hpe.formats.limits import Budget, file_length
from hpe.formats.pickle_arrays import checked_shape, checked_text
from hpe.formats.pickle_machine import Damaged
from hpe.formats.pickles import refusing, unpickle

_KINDS = "biufcSU"
# The longest header that is read; those of arrays without fields take 128 bytes.
_MAX_HEADER = 1 << 14


def load_npz(
    path: str | os.PathLike, names: Container[str] | None = None, *, objects: bool = True
) -> dict[str, Any]:
    """Reads the arrays of an npz file.

    Args:
        path: the file.
        names: arrays to read, where they are there; None for all.
        objects: reads arrays of objects, too, like a pickle of `load_pickle`; else they are left out.

    Returns:
        For every name its array. A single object, such as a dict that was saved as if it were an array, is that
        object, decoded as by `load_pickle`.

    Raises:
        UserError: the file cannot be read, names a class or function that is not array data, or declares more than
            a file of its length can hold.
    """
    budget = Budget(file_length(path))
    found = {}
    with refusing(path, "npz file of array data"), zipfile.ZipFile(path) as archive:
        for name, member in _members(archive).items():
            if names is not None and name not in names:
                continue
            with archive.open(member) as file:
                value = _read_array(file, member, budget, objects)
            if value is not None:
                found[name] = value
    return found


def npz_shapes(path: str | os.PathLike) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the arrays of an npz file out of their headers; raises UserError as `load_npz`."""
    file_length(path)
    shapes = {}
    with refusing(path, "npz file of array data"), zipfile.ZipFile(path) as archive:
        for name, member in _members(archive).items():
            with archive.open(member) as file:
                shapes[name] = _read_header(file)[0]
    return shapes


def load_npy(path: str | os.PathLike) -> np.ndarray:
    """Reads an npy file of numbers or texts; raises UserError as `load_npz`."""
    length = file_length(path)
    with refusing(path, "npy file of array data"), open(path, "rb") as file:
        shape, fortran, dtype, start = _read_header(file)
        return _read_content(file, shape, fortran, dtype, length - start, Budget(length))


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }


def _read_array(file: BinaryIO, member: zipfile.ZipInfo, budget: Budget, objects: bool) -> Any:
    shape, fortran, dtype, start = _read_header(file)
    if not dtype.hasobject:
        return _read_content(file, shape, fortran, dtype, member.file_size - start, budget)
    if not objects:
        return None
    budget.spend(member.file_size, f"the member {member.filename}")
    return unpickle(file.read(), budget)


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Returns shape, whether the first index runs fastest, type, and the number of bytes before the content."""
    head = file.read(8)
    if head[:6] != b"\x93NUMPY" or len(head) < 8:
        raise Damaged("a member is no npy file")
    # Version 3 only adds names of fields, which these files have no use for.
    width = {1: 2, 2: 4}.get(head[6])
    if width is None:
        raise Damaged(f"an array of version {head[6]}")
    size = file.read(width)
    length = int.from_bytes(size, "little")
    if len(size) < width or length > _MAX_HEADER:
        raise Damaged("the header of an array is too long")
    text = io.BytesIO(size + file.read(length))
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(text)
    if not dtype.hasobject and (dtype.kind not in _KINDS or dtype.fields or not dtype.itemsize):
        raise Damaged(f"an array is of the type {str(dtype)[:40]}")
    return checked_shape(shape), fortran, dtype, 8 + width + length


def _read_content(file: BinaryIO, shape, fortran: bool, dtype: np.dtype, length: int, budget: Budget):
    size = math.prod(shape) * dtype.itemsize
    budget.spend(size, "an array")
    if size > length:
        raise Damaged(f"an array of shape {shape} has {length} bytes of {dtype}")
    # Memory that was never written to is not taken from the machine: what ends early costs what there is of it.
    content = np.empty(size, np.uint8)
    view, place = memoryview(content), 0
    while place < size:
        read = file.readinto(view[place : place + (1 << 20)])
        if not read:
            raise Damaged("an array ends early")
        place += read
    # Only the end of a member has its checksum compared.
    file.read(1)
    return checked_text(content.view(dtype)).reshape(shape, order="F" if fortran else "C")

"""Reads MATLAB files (version 5, 6, 7 and 7.3): numbers, texts, cells and structures.

What a file declares is checked before memory is asked for, and nothing in it is run. Source: MathWorks, MAT-File
Format (R2023a), level 5; version 7.3 is HDF5, of which arrays of numbers are read.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from typing import Any

import numpy as np

from hpe.formats import hdf5
from hpe.formats.limits import Budget, read_bytes
from hpe.formats.pickle_machine import Damaged
from hpe.formats.pickles import refusing

_HDF5_AT = 512
_HEADER = 128
_MAX_DEPTH = 16
_MAX_DIMENSIONS = 8

_MATRIX, _COMPRESSED = 14, 15
# Types of stored numbers.
_STORED = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"},
    **{16: "u1", 17: "u2", 18: "u4"},
}
# Of texts.
_ENCODINGS = {4: "utf-16-{}", 16: "utf-8", 17: "utf-16-{}", 18: "utf-32-{}"}
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
# Classes of arrays of numbers, as what they are read; they may be stored shorter.
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX = 0x0800


def load_matlab(path: str | os.PathLike, names: tuple[str, ...]) -> dict[str, Any]:
    """Reads variables of a MATLAB file.

    Args:
        path: the file.
        names: of the variables.

    Returns:
        Those that are there by their names: arrays of numbers, texts, a list of the elements of cells column by
        column, and of structures a dict, or a list of dicts for an array of them. What is none of these is None.

    Raises:
        UserError: the file cannot be read, or declares more than a file of its length can hold.
    """
    content = read_bytes(path)
    if content[_HDF5_AT : _HDF5_AT + 8] == b"\x89HDF\r\n\x1a\n":
        arrays = hdf5.read(path, lambda file: {name: file.array(name) for name in names})
        # MATLAB counts columns first.
        return {name: array.T for name, array in arrays.items() if array is not None}
    with refusing(path, "MATLAB file", "numbers, texts, cells and structures"):
        return _Reader(content, Budget(len(content))).variables(set(names))


class _Reader:
    """Reads the elements of a file, or of a compressed part of it."""

    def __init__(self, content: bytes, budget: Budget):
        mark = content[126:128]
        if mark not in (b"IM", b"MI") or len(content) < _HEADER:
            raise Damaged("no header of MATLAB's version 5 to 7")
        self._order, self._suffix = ("<", "le") if mark == b"IM" else (">", "be")
        self._content = content
        self._budget = budget

    def variables(self, names: set[str]) -> dict[str, Any]:
        """Returns the variables of some names."""
        found, place = {}, _HEADER
        while place + 8 <= len(self._content):
            kind, data, place = self._element(self._content, place)
            if kind == _COMPRESSED:
                kind, data, _ = self._element(self._inflated(data), 0)
            if kind != _MATRIX:
                continue
            name, value = self._matrix(data, _MAX_DEPTH, names)
            if name in names:
                found[name] = value
        return found

    def _inflated(self, data: bytes) -> bytes:
        stream = zlib.decompressobj()
        # The element says itself how long it is.
        head = stream.decompress(data, 8)
        if len(head) < 8:
            raise Damaged("a compressed variable is too short")
        _, length = struct.unpack(f"{self._order}II", head)
        self._budget.spend(length, "a compressed variable")
        return head + stream.decompress(stream.unconsumed_tail, max(length, 1))

    def _element(self, content: bytes, place: int) -> tuple[int, bytes, int]:
        """Returns type and content of the element at a place, and where the next one begins."""
        (kind,) = struct.unpack_from(f"{self._order}I", content, place)
        if kind >> 16:
            length, kind = kind >> 16, kind & 0xFFFF
            if length > 4:
                raise Damaged("a small element is too long")
            return kind, content[place + 4 : place + 4 + length], place + 8
        (length,) = struct.unpack_from(f"{self._order}I", content, place + 4)
        end = place + 8 + length
        if end > len(content):
            raise Damaged("an element ends behind the file")
        return kind, content[place + 8 : end], end if kind == _COMPRESSED else end + -length % 8

    def _numbers(self, content: bytes, place: int) -> tuple[np.ndarray, int]:
        kind, data, place = self._element(content, place)
        if kind not in _STORED:
            raise Damaged(f"an element of type {kind} stands where numbers belong")
        return np.frombuffer(data, self._order + _STORED[kind]), place

    def _matrix(self, content: bytes, depth: int, names: set[str] | None = None) -> tuple[str, Any]:
        """Returns name and value of a matrix element; the value is read only if its name is wanted."""
        if not depth:
            raise Damaged("cells lie within cells without end")
        if not content:
            return "", np.zeros((0, 0))
        flags, place = self._numbers(content, 0)
        sides, place = self._numbers(content, place)
        letters, place = self._numbers(content, place)
        name = letters.tobytes().decode("latin-1")
        if names is not None and name not in names:
            return name, None
        shape = tuple(int(side) for side in sides)
        if not 2 <= len(shape) <= _MAX_DIMENSIONS or min(shape) < 0:
            raise Damaged("a variable has an unknown shape")
        kind, count = int(flags[0]) & 0xFF, math.prod(shape)
        if kind in _CLASSES and not int(flags[0]) & _COMPLEX:
            return name, self._array(content, place, shape, np.dtype(_CLASSES[kind]))
        if kind == _CHAR:
            stored, data, _ = self._element(content, place)
            return name, data.decode(_ENCODINGS.get(stored, "latin-1").format(self._suffix), "replace")
        if kind == _CELL:
            return name, self._several(content, place, count, depth)[0]
        if kind in (_STRUCT, _OBJECT):
            return name, self._structures(content, place, count, depth, kind)
        return name, None

    def _array(self, content: bytes, place: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        values, _ = self._numbers(content, place)
        if len(values) != math.prod(shape):
            raise Damaged(f"an array of shape {shape} has {len(values)} numbers")
        self._budget.spend(len(values) * dtype.itemsize, "an array")
        return values.astype(dtype).reshape(shape, order="F")

    def _several(self, content: bytes, place: int, count: int, depth: int) -> tuple[list, int]:
        if count > len(content) // 8:
            raise Damaged(f"{count} cells are more than there is of them")
        values = []
        for _ in range(count):
            kind, data, place = self._element(content, place)
            if kind != _MATRIX:
                raise Damaged(f"an element of type {kind} stands where a matrix belongs")
            values.append(self._matrix(data, depth - 1)[1])
        return values, place

    def _structures(self, content: bytes, place: int, count: int, depth: int, kind: int) -> Any:
        if kind == _OBJECT:
            _, place = self._numbers(content, place)
        lengths, place = self._numbers(content, place)
        letters, place = self._numbers(content, place)
        width = int(lengths[0])
        if width < 1:
            raise Damaged("fields of a structure have no names")
        text = letters.tobytes().decode("latin-1")
        fields = [text[start : start + width].partition("\0")[0] for start in range(0, len(text), width)]
        values, _ = self._several(content, place, count * len(fields), depth)
        rows = [
            dict(zip(fields, values[start : start + len(fields)], strict=True))
            for start in range(0, len(values), max(len(fields), 1))
        ]
        return rows[0] if count == 1 and rows else rows

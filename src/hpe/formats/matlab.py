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
# Bytes of a compressed variable that hold its name, so that others are not inflated.
_PEEK = 512

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
_FLOATS = (6, 7)

# The head of an unnamed matrix of one number, as little-endian files have it: its flags, its shape, its name.
_FLAGS = struct.pack("<2I", 6, 8)
_SINGLE = struct.pack("<6I", 5, 8, 1, 1, 1, 0)
_NUMBERS = {
    kind: struct.Struct("<" + {"i": "bhiq", "u": "BHIQ", "f": "  fd"}[code[0]][int(code[1]).bit_length() - 1])
    for kind, code in _STORED.items()
}


def load_matlab(path: str | os.PathLike, names: tuple[str, ...]) -> dict[str, Any]:
    """Reads variables of a MATLAB file.

    Args:
        path: the file.
        names: of the variables.

    Returns:
        Those that are there by their names: arrays of numbers, texts, a list of the elements of cells column by
        column, and of structures a dict, or a list of dicts for an array of them, in which a single number is a
        float. What is none of these is None.

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


def structures(value: Any) -> list[dict[str, Any]]:
    """Returns the structures of a value of `load_matlab`, which may be one or an array of them."""
    if isinstance(value, dict):
        return [value]
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """Returns a value of `load_matlab` as a number, also one that is written as a text; None if it is none."""
    try:
        array = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
    return float(array.ravel()[0]) if array.size == 1 and np.isfinite(array).all() else None


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
                if self._name(zlib.decompressobj().decompress(data, _PEEK)) not in (None, *names):
                    continue
                kind, data, _ = self._element(self._inflated(data), 0)
            if kind != _MATRIX:
                continue
            name, value = self._matrix(data, _MAX_DEPTH, names)
            if name in names:
                found[name] = value
        return found

    def _name(self, head: bytes) -> str | None:
        """Returns the name of the variable that begins so; None where the beginning does not tell."""
        try:
            _, place = self._numbers(head, 8)
            _, place = self._numbers(head, place)
            letters, _ = self._numbers(head, place)
        except (Damaged, struct.error):
            return None
        return letters.tobytes().decode("latin-1")

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

    def _several(
        self, content: bytes, place: int, count: int, depth: int, *, singles: bool = False
    ) -> tuple[list, int]:
        """Returns the values of so many matrices, with `singles` numbers for arrays of one, and where they end."""
        if count > len(content) // 8:
            raise Damaged(f"{count} cells are more than there is of them")
        values = []
        for _ in range(count):
            kind, data, place = self._element(content, place)
            if kind != _MATRIX:
                raise Damaged(f"an element of type {kind} stands where a matrix belongs")
            value = self._single(data) if singles else None
            if value is None:
                value = self._matrix(data, depth - 1)[1]
                if singles and isinstance(value, np.ndarray) and value.size == 1:
                    value = value.item()
            values.append(value)
        return values, place

    def _single(self, content: bytes) -> float | int | None:
        """Returns the number in a matrix of one; None for all others and where it is not laid out as usual.

        Annotations are millions of such numbers: this halves the time that the release of MPII takes.
        """
        if content[16:40] != _SINGLE or self._order != "<" or content[:8] != _FLAGS or content[9] & 8:
            return None
        stored = int.from_bytes(content[40:42], "little")
        place = 44 if content[42:44] != b"\0\0" else 48
        if content[8] not in _CLASSES or stored not in _STORED or len(content) < place + 8 - place % 8:
            return None
        length = int.from_bytes(content[42:44] if place == 44 else content[44:48], "little")
        number = _NUMBERS[stored]
        if length != number.size:
            return None
        self._budget.spend(length, "a number")
        (value,) = number.unpack_from(content, place)
        return float(value) if content[8] in _FLOATS else int(value)

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
        values, _ = self._several(content, place, count * len(fields), depth, singles=True)
        rows = [
            dict(zip(fields, values[start : start + len(fields)], strict=True))
            for start in range(0, len(values), max(len(fields), 1))
        ]
        return rows[0] if count == 1 and rows else rows

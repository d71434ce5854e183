"""Reads arrays of numbers of CDF files (NASA's Common Data Format, versions 2.6 to 3), in which Human3.6M comes.

Records point at records; each is followed once, and what is declared is checked before memory is asked for. Source:
NASA, CDF Internal Format Description, version 3.9.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
import zlib
from collections.abc import Iterator

import numpy as np

from hpe.errors import UserError
from hpe.formats.limits import Budget, read_bytes
from hpe.formats.pickle_machine import Damaged
from hpe.formats.pickles import refusing

_VERSIONS = {b"\xcd\xf3\x00\x01": 3, b"\xcd\xf2\x60\x02": 2}
_PLAIN, _COMPRESSED = b"\x00\x00\xff\xff", b"\xcc\xcc\x00\x01"
_CDR, _GDR, _RVDR, _VXR, _VVR, _ZVDR, _CCR, _CVVR = 1, 2, 3, 6, 7, 8, 10, 13
_ROW_MAJOR = 1
_LITTLE_ENDIAN = {4, 6, 13, 16, 17}
_TYPES = {
    **{1: "i1", 2: "i2", 4: "i4", 8: "i8", 11: "u1", 12: "u2", 14: "u4"},
    **{21: "f4", 22: "f8", 41: "i1", 44: "f4", 45: "f8"},
}
_MAX_RECORDS = 100_000
_MAX_DIMENSIONS = 8


@dataclasses.dataclass(frozen=True)
class _Variable:
    name: str
    dtype: np.dtype
    records: int
    sizes: tuple[int, ...]
    index: int


def load_cdf(path: str | os.PathLike, name: str) -> np.ndarray:
    """Reads a variable of numbers.

    Args:
        path: the file.
        name: of the variable.

    Returns:
        (R, *dimensions) of its records.

    Raises:
        UserError: the file cannot be read, has no such variable, or declares more than a file of its length can
            hold.
    """
    content = read_bytes(path)
    with refusing(path, "CDF file", "variables of numbers"):
        reader = _Reader(content, Budget(len(content)))
        found = {variable.name: variable for variable in reader.variables()}
        if name not in found:
            raise UserError(f"{path}: has no variable {name}; it holds {', '.join(sorted(found)) or 'none'}.")
        return reader.values(found[name])


class _Reader:
    def __init__(self, content: bytes, budget: Budget):
        version = _VERSIONS.get(content[:4])
        if version is None:
            raise Damaged("no CDF file of version 2.6 to 3")
        self._budget = budget
        # Sizes and places take eight bytes since version 3, names 256.
        self._place, self._width, self._name = ("q", 8, 256) if version == 3 else ("i", 4, 64)
        self._content = content
        if content[4:8] == _COMPRESSED:
            _, length, _ = self._fields(8, _CCR, self._place, self._place, "i")
            start = 8 + self._width + 4 + 2 * self._width + 4
            self._content = content[:8] + self._inflated(content[start:], length)
        elif content[4:8] != _PLAIN:
            raise Damaged("no CDF file of version 2.6 to 3")
        self._followed = 0

    def _fields(self, place: int, kinds: int | tuple[int, ...], *forms: str) -> tuple:
        """Returns the first fields of the record at a place, which must be of some kind."""
        head, kind = struct.unpack_from(f">{self._place}i", self._content, place)
        allowed = kinds if isinstance(kinds, tuple) else (kinds,)
        if head < 0 or kind not in allowed or place < 8:
            raise Damaged(f"a record of type {kind} stands where one of type {allowed[0]} belongs")
        return struct.unpack_from(f">{''.join(forms)}", self._content, place + self._width + 4)

    def _follow(self) -> None:
        self._followed += 1
        if self._followed > _MAX_RECORDS:
            raise Damaged("records point at records without end")

    def _inflated(self, data: bytes, length: int) -> bytes:
        self._budget.spend(length, "a compressed part")
        inflated = zlib.decompressobj(wbits=31).decompress(data, max(length, 1))
        if len(inflated) != length:
            raise Damaged("a compressed part has another length than it says")
        return inflated

    def variables(self) -> Iterator[_Variable]:
        """Yields the variables of numbers."""
        place, _, _, self._encoding, self._flags = self._fields(8, _CDR, self._place, "iiii")
        first_r, first_z, _, _, _, _, _, dimensions = self._fields(place, _GDR, *self._place * 4, "iiii")
        sizes: tuple[int, ...] = ()
        if 0 < dimensions <= _MAX_DIMENSIONS:
            # The sizes end the record of version 3 and 2 alike.
            (length,) = struct.unpack_from(f">{self._place}", self._content, place)
            sizes = struct.unpack_from(f">{dimensions}i", self._content, place + length - 4 * dimensions)
        for first, shared in ((first_r, sizes), (first_z, None)):
            while first > 0:
                self._follow()
                first, variable = self._variable(first, shared)
                if variable is not None:
                    yield variable

    def _variable(self, place: int, shared: tuple[int, ...] | None) -> tuple[int, _Variable | None]:
        """Returns the place of the next variable, and the one at a place unless it holds no numbers."""
        kinds = (_RVDR, _ZVDR)
        following, kind, last, index, *_, elements, _, _, _ = self._fields(
            place, kinds, self._place, "ii", *self._place * 2, "iiiiiii", self._place, "i"
        )
        start = place + self._width + 4 + self._width + 8 + 2 * self._width + 28 + self._width + 4
        name = self._content[start : start + self._name].split(b"\0")[0].decode("latin-1").strip()
        start += self._name
        if shared is None:
            (count,) = struct.unpack_from(">i", self._content, start)
            if not 0 <= count <= _MAX_DIMENSIONS:
                raise Damaged(f"the variable {name[:40]} has {count} dimensions")
            shared = struct.unpack_from(f">{count}i", self._content, start + 4)
            start += 4 + 4 * count
        varies = struct.unpack_from(f">{len(shared)}i", self._content, start)
        sizes = tuple(size for size, varying in zip(shared, varies, strict=True) if varying)
        if kind not in _TYPES or elements != 1:
            return following, None
        if min(sizes, default=1) < 0 or not -1 <= last < 1 << 40:
            raise Damaged(f"the variable {name[:40]} has an unknown shape")
        order = "<" if self._encoding in _LITTLE_ENDIAN else ">"
        return following, _Variable(name, np.dtype(order + _TYPES[kind]), last + 1, sizes, index)

    def values(self, variable: _Variable) -> np.ndarray:
        """Returns the records (R, *dimensions) of a variable."""
        width = math.prod(variable.sizes) * variable.dtype.itemsize
        self._budget.spend(width * variable.records, f"the variable {variable.name[:40]}")
        records: dict[int, bytes] = {}
        for first, last, data in self._parts(variable.index, width):
            if not 0 <= first <= last < variable.records or len(data) < (last - first + 1) * width:
                raise Damaged(f"the records of {variable.name[:40]} do not fit together")
            for number in range(first, last + 1):
                records[number] = data[(number - first) * width : (number - first + 1) * width]
        if len(records) != variable.records:
            raise Damaged(f"records of {variable.name[:40]} are missing")
        values = np.frombuffer(b"".join(records[number] for number in sorted(records)), variable.dtype)
        if not self._flags & _ROW_MAJOR:
            values = values.reshape(variable.records, *variable.sizes[::-1])
            return values.transpose(0, *range(values.ndim - 1, 0, -1))
        return values.reshape(variable.records, *variable.sizes)

    def _parts(self, place: int, width: int) -> Iterator[tuple[int, int, bytes]]:
        """Yields first and last record, and the bytes, of every part that an index names."""
        while place > 0:
            self._follow()
            following, count, used = self._fields(place, _VXR, self._place, "ii")
            start = place + self._width + 4 + self._width + 8
            if not 0 <= used <= count <= len(self._content) // 8:
                raise Damaged("an index has an unknown length")
            numbers = struct.unpack_from(f">{2 * count}i", self._content, start)
            targets = struct.unpack_from(f">{count}{self._place}", self._content, start + 8 * count)
            for first, last, target in zip(
                numbers[:used], numbers[count : count + used], targets, strict=False
            ):
                self._follow()
                head, kind = struct.unpack_from(f">{self._place}i", self._content, target)
                data = target + self._width + 4
                if target < 8 or head < 0:
                    raise Damaged("an index points at nothing")
                if kind == _VXR:
                    yield from self._parts(target, width)
                elif kind == _CVVR:
                    _, length = struct.unpack_from(f">i{self._place}", self._content, data)
                    data += 4 + self._width
                    if length < 0:
                        raise Damaged("a compressed part has a negative length")
                    yield (
                        first,
                        last,
                        self._inflated(self._content[data : data + length], (last - first + 1) * width),
                    )
                elif kind == _VVR:
                    yield first, last, self._content[data : target + head]
                else:
                    raise Damaged(f"a record of type {kind} stands where data belongs")
            place = following

"""The framing of TFRecord files: walking over record headers without reading the records.

A file that lost its end reads as whole when the cut lies at the edge of a record, and only fails in the
middle of an epoch when it lies inside one. Walking the headers finds the latter in milliseconds and counts
the records for the former. Each record is a little-endian uint64 length, the uint32 masked CRC-32C of the
length, the data and the uint32 masked CRC-32C of the data.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import pathlib
from collections.abc import Iterable

import numpy as np

from hpe.errors import UserError

HEADER_BYTES = 12
FOOTER_BYTES = 4
OVERHEAD_BYTES = HEADER_BYTES + FOOTER_BYTES

_CASTAGNOLI = np.uint32(0x82F63B78)
_MASK_DELTA = np.uint32(0xA282EAD8)


@dataclasses.dataclass(frozen=True)
class Scan:
    """What a walk over a file's record headers found.

    Attributes:
        records: number of whole records before the first damage.
        size: size of the file in bytes.
        damage: what is wrong, in words that continue "the file ...", or None.
    """

    records: int
    size: int
    damage: str | None


def scan(path: str | os.PathLike) -> Scan:
    """Walks the record headers of a TFRecord file and verifies their checksums, not those of the data.

    Raises:
        UserError: if the file cannot be opened.
    """
    path = pathlib.Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                return Scan(0, 0, None)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _scan(content, size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from error


def read_records(path: str | os.PathLike, indices: Iterable[int]) -> list[bytes]:
    """Returns some records of a file that `scan` found to hold them, without reading the others.

    Args:
        path: the file.
        indices: which records, ascending.

    Raises:
        IndexError: if the file ends before.
        UserError: naming the file, if a record up to there is damaged or cut off.
    """
    records, headers = [], []
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        for index in indices:
            while len(headers) <= index:
                header = file.read(HEADER_BYTES)
                if len(header) < HEADER_BYTES:
                    _require_sound(path, headers)
                    raise IndexError(f"{path} has no record {index}.")
                length = int.from_bytes(header[:8], "little")
                is_wanted = len(headers) == index
                headers.append(header)
                # Before as many bytes are asked for as a damaged header says.
                if file.tell() + length + FOOTER_BYTES > size:
                    _require_sound(path, headers)
                    raise UserError(f"{path}: the file ends inside record {len(headers) - 1}.")
                if is_wanted:
                    records.append(file.read(length))
                else:
                    file.seek(length, os.SEEK_CUR)
                file.seek(FOOTER_BYTES, os.SEEK_CUR)
    _require_sound(path, headers)
    return records


def _require_sound(path: str | os.PathLike, headers: list[bytes]) -> None:
    """Raises UserError naming the first record whose header is damaged."""
    wrong = np.flatnonzero(~_headers_match(headers))
    if len(wrong):
        raise UserError(f"{path}: the file has a damaged header at record {wrong[0]}.")


def _scan(content: mmap.mmap, size: int) -> Scan:
    starts: list[int] = []
    headers: list[bytes] = []
    damage = None
    position = whole = 0
    while position < size:
        if size - position < HEADER_BYTES:
            damage = f"ends inside the header of record {whole} (byte {size})"
            break
        header = content[position : position + HEADER_BYTES]
        end = position + OVERHEAD_BYTES + int.from_bytes(header[:8], "little")
        starts.append(position)
        headers.append(header)
        if end > size:
            damage = f"ends inside record {whole} ({end - size} bytes are missing)"
            break
        position = end
        whole += 1
    # A wrong length sends the walk astray: the first wrong checksum is the cause, the rest follows from it.
    wrong = np.flatnonzero(~_headers_match(headers))
    if len(wrong):
        first = int(wrong[0])
        return Scan(first, size, f"has a damaged header at record {first} (byte {starts[first]})")
    return Scan(whole, size, damage)


def _headers_match(headers: list[bytes]) -> np.ndarray:
    """Returns for every 12-byte header whether the checksum of its length is right."""
    if not headers:
        return np.ones(0, bool)
    table = np.frombuffer(b"".join(headers), np.uint8).reshape(-1, HEADER_BYTES)
    stored = table[:, 8:].copy().view("<u4")[:, 0]
    return stored == masked_crc32c(table[:, :8])


def masked_crc32c(rows: np.ndarray) -> np.ndarray:
    """Returns the masked CRC-32C (Castagnoli) of every row of bytes, as TFRecord stores it.

    Args:
        rows: (N, L) uint8.

    Returns:
        (N,) uint32.
    """
    crc = np.full(len(rows), 0xFFFFFFFF, np.uint32)
    for column in rows.T:
        crc = _TABLE[(crc ^ column) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    crc = ~crc
    return ((crc >> np.uint32(15)) | (crc << np.uint32(17))) + _MASK_DELTA


def _crc_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> np.uint32(1)) ^ _CASTAGNOLI, table >> np.uint32(1))
    return table.astype(np.uint32)


_TABLE = _crc_table()

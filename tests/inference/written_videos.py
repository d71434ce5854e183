"""Videos as telephones make them, out of one that OpenCV has written: other times, a turned picture.

An mp4 file is a tree of boxes: length, name, content. Here `moov`, which describes the frames, comes after `mdat`,
which holds them, so that it may grow without moving them.
"""

from __future__ import annotations

import struct

# Boxes that hold boxes, on the way to the ones that are changed.
_FOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")

_QUARTER_TURN = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)


def with_times(path, durations):
    """Makes each frame last for so many ticks of the file's clock; returns the ticks per second."""
    table = struct.pack(">II", 0, len(durations))
    table += b"".join(struct.pack(">II", 1, ticks) for ticks in durations)
    content = path.read_bytes()
    clock = []
    path.write_bytes(_rewritten(content, {b"stts": lambda _: table, b"mdhd": lambda box: _clock(box, clock)}))
    return clock[0]


def turned(path):
    """Marks the picture as turned clockwise by 90 degrees."""

    def turn(box):
        # Version and flags, times, track, reserved, duration, reserved, layer to volume, reserved: then the matrix.
        start = 52 if box[0] else 40
        return box[:start] + _QUARTER_TURN + box[start + 36 :]

    path.write_bytes(_rewritten(path.read_bytes(), {b"tkhd": turn}))


def _clock(box, clock):
    clock.append(struct.unpack_from(">I", box, 20 if box[0] else 12)[0])
    return box


def _rewritten(content, changes):
    parts, place = [], 0
    while place < len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        box = content[place + 8 : place + length]
        if name in _FOLDERS:
            box = _rewritten(box, changes)
        elif name in changes:
            box = changes[name](box)
        elif name == b"edts":
            name = b"free"  # it says how long the film is, which may be longer now
        parts.append(struct.pack(">I4s", len(box) + 8, name) + box)
        place += length
    return b"".join(parts)

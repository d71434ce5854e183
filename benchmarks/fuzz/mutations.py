"""Mutations of files: a mutation is a function of (sample, seed, number)."""

from __future__ import annotations

import copy
import io
import json
import random
import re
import zipfile

_SIZES = (1, 2, 4, 8)
_EXTREMES = (0, 1, -1, 2**7, 2**15 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1)
_ODD = (
    None,
    [],
    {},
    "",
    "x",
    -1,
    0,
    1e308,
    float("nan"),
    10**30,
    True,
    [[[[]]]],
    "a/../../b",
    ["1"] * 5,
    {"id": 1},
)


def mutated(content: bytes, name: str, rng: random.Random) -> bytes:
    """Returns the content of a file with one to four things changed.

    Files of JSON and zip archives are also taken apart, so that what lies behind the first check is reached.

    Args:
        content: of a sound file.
        name: of the file.
        rng: decides what becomes of it.
    """
    if name.endswith(".json") and rng.random() < 0.6:
        return _mutated_json(content, rng)
    if content[:2] == b"PK" and rng.random() < 0.6:
        return _mutated_zip(content, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(_CHANGES)(content, rng)
    return content


def _mutated_json(content: bytes, rng: random.Random) -> bytes:
    tree = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 5))):
        node, parent, key = tree, None, None
        while isinstance(node, dict | list) and node and (parent is None or rng.random() < 0.8):
            parent = node
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            node = node[key]
        if parent is None:
            return json.dumps(_odd(rng)).encode()
        if rng.random() < 0.2:
            del parent[key]
        else:
            parent[key] = _odd(rng)
    return json.dumps(tree).encode()


def _odd(rng: random.Random):
    return copy.deepcopy(rng.choice(_ODD))


def _mutated_zip(content: bytes, rng: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as changed:
        infos = archive.infolist()
        chosen = rng.randrange(len(infos))
        for place, info in enumerate(infos):
            member = archive.read(info)
            if place == chosen:
                for _ in range(rng.choice((1, 1, 3))):
                    member = rng.choice(_CHANGES)(member, rng)
            changed.writestr(info.filename, member, info.compress_type)
    return out.getvalue()


def _place(content: bytes, rng: random.Random) -> int:
    # Most of what matters stands near the beginning.
    end = len(content) if rng.random() < 0.5 else min(len(content), 512)
    return rng.randrange(max(end, 1))


def _flip(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + bytes([rng.randrange(256)]) + content[place + 1 :]


def _number(content: bytes, rng: random.Random) -> bytes:
    place, size = _place(content, rng), rng.choice(_SIZES)
    value = rng.choice(_EXTREMES) & (1 << 8 * size) - 1
    raw = value.to_bytes(size, rng.choice(("little", "big")))
    return content[:place] + raw + content[place + size :]


def _digits(content: bytes, rng: random.Random) -> bytes:
    found = [match.span() for match in re.finditer(rb"\d+", content[:4096])]
    if not found:
        return _flip(content, rng)
    start, end = rng.choice(found)
    return content[:start] + str(rng.choice(_EXTREMES)).encode() + content[end:]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _remove(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + content[place + rng.choice((1, 2, 4, 8, 64, 512)) :]


def _repeat(content: bytes, rng: random.Random) -> bytes:
    place, length = _place(content, rng), rng.choice((1, 4, 16, 256))
    return (
        content[:place] + content[place : place + length] * rng.choice((2, 3, 50)) + content[place + length :]
    )


def _insert(content: bytes, rng: random.Random) -> bytes:
    place = _place(content, rng)
    return content[:place] + rng.randbytes(rng.choice((1, 2, 7, 64))) + content[place:]


def _blank(content: bytes, rng: random.Random) -> bytes:
    place, length = _place(content, rng), rng.choice((4, 16, 64))
    return content[:place] + rng.choice((b"\0", b"\xff")) * length + content[place + length :]


_CHANGES = (_flip, _flip, _number, _number, _digits, _cut, _remove, _repeat, _insert, _blank)

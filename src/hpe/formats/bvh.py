"""Biovision Hierarchy files (BVH): a skeleton and its motion, as text, compressed by gzip or not."""

from __future__ import annotations

import dataclasses
import gzip
import os
import pathlib
import zlib

import numpy as np
from scipy.spatial.transform import Rotation

from hpe.errors import UserError, first_line

# Far more than any rig has: a file of nothing but braces must not overflow the stack or fill the memory.
_MOST_JOINTS = 1000
_MOST_BYTES = 1 << 30
_MOST_DIGITS = 9
_POSITIONS = ("Xposition", "Yposition", "Zposition")
_ROTATIONS = ("Xrotation", "Yrotation", "Zrotation")


@dataclasses.dataclass(frozen=True)
class Motion:
    """The content of a BVH file: J joints, F frames; lengths in the file's unit.

    Attributes:
        joints: names, parents before children; end sites are left out.
        parents: (J,) int32, -1 for the root.
        offsets: (J, 3) from the parent when nothing is turned.
        rotations: (F, J, 3, 3) relative to the parent.
        translations: (F, J, 3) from the parent, in its frame; the root's from the origin.
        frame_time: seconds from one frame to the next.
    """

    joints: tuple[str, ...]
    parents: np.ndarray
    offsets: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    frame_time: float

    def index(self, joint: str) -> int:
        """Returns the place of a joint; raises ValueError if there is none of that name."""
        if joint not in self.joints:
            raise ValueError(f"The skeleton has no joint {joint!r}; it has {', '.join(self.joints)}.")
        return self.joints.index(joint)

    def place(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns all joints in the frame of the file: rotations (F, J, 3, 3) and places (F, J, 3)."""
        rotations, places = self.rotations.copy(), self.translations.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                rotations[:, joint] = rotations[:, parent] @ self.rotations[:, joint]
                turned = rotations[:, parent] @ self.translations[:, joint, :, None]
                places[:, joint] = places[:, parent] + turned[..., 0]
        return rotations, places


def read_bvh(path: str | os.PathLike) -> Motion:
    """Reads a BVH file; one whose name ends in .gz is decompressed.

    Channels may come in any order. Position channels move a joint from its offset, as in most programs.

    Raises:
        UserError: the file cannot be read, or is not a whole and consistent BVH file.
    """
    path = pathlib.Path(path)
    words = _Words(_text(path).split(), path)
    words.expect("HIERARCHY")
    words.expect("ROOT")
    joints, parents, offsets, channels = [], [], [], []
    _read_joint(words, joints, parents, offsets, channels)
    words.expect("MOTION")
    words.expect("Frames:")
    count = words.integer("the number of frames")
    words.expect("Frame")
    words.expect("Time:")
    frame_time = words.number("the frame time")
    width = sum(map(len, channels))
    values = words.rest()
    if len(values) != count * width:
        raise UserError(
            f"{path}: {count} frames of {width} channels are {count * width} numbers; found {len(values)}."
        )
    try:
        table = np.array(values, np.float64).reshape(count, width)
    except ValueError as error:
        raise UserError(f"{path}: the motion holds something that is no number ({error}).") from None
    if not (np.isfinite(table).all() and np.isfinite(offsets).all()):
        raise UserError(f"{path}: holds numbers that are not finite.")
    offsets = np.array(offsets, np.float64)
    rotations, translations = _motion(table, offsets, channels)
    return Motion(tuple(joints), np.array(parents, np.int32), offsets, rotations, translations, frame_time)


def _text(path):
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"{path}: cannot be read ({reason}).") from None
    if len(content) > _MOST_BYTES:
        raise UserError(f"{path}: is larger than {_MOST_BYTES >> 20} MiB, which no BVH file here should be.")
    return content.decode("utf-8", errors="replace")


class _Words:
    """The words of a file, one after the other."""

    def __init__(self, words, path):
        self._words, self._path, self._next = words, path, 0

    def take(self, expected):
        if self._next >= len(self._words):
            raise UserError(f"{self._path}: no whole BVH file: it ends where {expected} should be.")
        self._next += 1
        return self._words[self._next - 1]

    def expect(self, word):
        found = self.take(f"`{word}`")
        if found != word:
            raise UserError(f"{self._path}: no BVH file: found `{found[:40]}` where `{word}` should be.")

    def number(self, what):
        word = self.take(what)
        try:
            return float(word)
        except ValueError:
            raise UserError(f"{self._path}: found `{word[:40]}` where {what} should be.") from None

    def integer(self, what):
        word = self.take(what)
        # Not int(): it takes underscores and thousands of digits.
        if not (word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS):
            self.fail(f"{what} must be a whole number. Received: {word[:40]}")
        return int(word)

    def rest(self):
        return self._words[self._next :]

    def fail(self, message):
        raise UserError(f"{self._path}: {message}")


def _read_joint(words, joints, parents, offsets, channels):
    """Reads the tree from the root's name on, without recursion: files of others may be deep."""
    stack = []

    def open_joint():
        if len(joints) >= _MOST_JOINTS:
            words.fail(f"has more than {_MOST_JOINTS} joints.")
        joints.append(words.take("the name of a joint"))
        parents.append(stack[-1] if stack else -1)
        words.expect("{")
        words.expect("OFFSET")
        offsets.append([words.number(f"the offset of {joints[-1]}") for _ in range(3)])
        words.expect("CHANNELS")
        count = words.integer("the number of channels")
        if count > len(_POSITIONS) + len(_ROTATIONS):
            words.fail(f"{joints[-1]} cannot have {count} channels.")
        names = [words.take("the name of a channel") for _ in range(count)]
        unknown = set(names) - {*_POSITIONS, *_ROTATIONS}
        turns = [name for name in names if name in _ROTATIONS]
        if unknown or len(set(names)) < len(names) or len(turns) not in (0, 3):
            words.fail(f"the channels of {joints[-1]} are not understood: {', '.join(names)[:80]}.")
        channels.append(names)
        stack.append(len(joints) - 1)

    open_joint()
    while stack:
        word = words.take("a joint or `}`")
        if word == "JOINT":
            open_joint()
        elif word == "End":
            for part in ("Site", "{", "OFFSET"):
                words.expect(part)
            for _ in range(3):
                words.number("the offset of an end site")
            words.expect("}")
        elif word == "}":
            stack.pop()
        else:
            words.fail(f"found `{word[:40]}` where a joint or `}}` should be.")


def _motion(table, offsets, channels):
    """Returns rotations (F, J, 3, 3) and translations (F, J, 3) of all joints relative to their parents."""
    count = len(table)
    rotations = np.tile(np.eye(3), (count, len(offsets), 1, 1))
    translations = np.tile(offsets, (count, 1, 1))
    start = 0
    for joint, names in enumerate(channels):
        columns = dict(zip(names, table[:, start : start + len(names)].T, strict=True))
        start += len(names)
        for axis, name in enumerate(_POSITIONS):
            if name in columns:
                translations[:, joint, axis] += columns[name]
        turns = [name for name in names if name in _ROTATIONS]
        if turns and count:
            order = "".join(name[0] for name in turns)
            angles = np.stack([columns[name] for name in turns], axis=-1)
            rotations[:, joint] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
    return rotations, translations

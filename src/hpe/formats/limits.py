"""How much memory a foreign file may ask for, and opening it.

A file of a few bytes can declare gigabytes: in the header of an array, in the directory of an archive, by naming
one object many times. So every reader counts what a file declares, before it asks for the memory, against what a
file of that length can account for: EXPANSION times its length, but at least ALWAYS_ALLOWED and at most
NEVER_MORE. No genuine file that is known comes near.
"""

from __future__ import annotations

import os
import pathlib
import stat

from hpe.errors import UserError

EXPANSION = 32
ALWAYS_ALLOWED = 1 << 28
NEVER_MORE = 1 << 33


class TooLarge(Exception):
    """A file declares more than a file of its length can hold; the message says what."""


class Budget:
    """Counts the bytes that the content of one file needs.

    Args:
        length: of the file in bytes.
    """

    def __init__(self, length: int):
        self._allowed = max(ALWAYS_ALLOWED, min(EXPANSION * length, NEVER_MORE))
        self._spent = 0

    def spend(self, amount: int, what: str) -> None:
        """Counts bytes that are about to be asked for.

        Raises:
            TooLarge: if that is more than the file may need.
        """
        if amount < 0:
            raise ValueError(f"{what} has a negative size")
        self._spent += amount
        if self._spent > self._allowed:
            raise TooLarge(
                f"{what} needs {size_text(self._spent)}, more than a file of this size may ask for"
            )


def size_text(amount: int) -> str:
    """Returns a number of bytes in MB or GB, for messages."""
    return f"{amount / 1e9:.3g} GB" if amount >= 1e9 else f"{amount / 1e6:.3g} MB"


def file_length(path: str | os.PathLike) -> int:
    """Returns the length of a regular file in bytes; others, such as pipes, would be waited for without end.

    Raises:
        UserError: if there is no such file, or it is no regular one.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read ({reason}).") from error
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        raise UserError(f"{path}: cannot be read (it is {kind}).")
    return found.st_size


def read_bytes(path: str | os.PathLike) -> bytes:
    """Returns the content of a regular file; raises UserError where that is impossible or beyond NEVER_MORE."""
    length = file_length(path)
    if length > NEVER_MORE:
        raise UserError(f"{path}: cannot be read (it is larger than {size_text(NEVER_MORE)}).")
    try:
        return pathlib.Path(path).read_bytes()
    except (OSError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise UserError(f"{path}: cannot be read ({reason}).") from error

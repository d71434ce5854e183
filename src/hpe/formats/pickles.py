"""Reads the pickles of public body models, mocap and poses: NumPy arrays, sparse matrices and chumpy's arrays.

Nothing in the file is called: the opcodes are interpreted by `pickle_machine`, with the makers of `pickle_arrays`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from hpe.errors import UserError
from hpe.formats.limits import Budget, TooLarge, read_bytes
from hpe.formats.pickle_arrays import NDARRAY, PLAIN_OBJECT, Decoded, find_maker
from hpe.formats.pickle_machine import Damaged, Maker, Object, PickleMachine, Refused

# Lists within lists beyond this depth are no data.
_MAX_DEPTH = 64
_BYTES_PER_VALUE = 8

_EXPECTED = "NumPy arrays, SciPy sparse matrices and chumpy arrays"


def load_pickle(path: str | os.PathLike) -> Any:
    """Reads a pickle of plain array data, written by Python 2 or 3.

    Args:
        path: the file.

    Returns:
        What the file holds, in dicts, lists, tuples, numbers, strings and NumPy arrays (read-only); sparse
        matrices and chumpy arrays have become dense NumPy arrays. A value that the file names in several places
        is one object.

    Raises:
        UserError: the file cannot be read, names a class or function that is not array data, or declares more
            than a file of its length can hold.
    """
    content = read_bytes(path)
    with refusing(path, "pickle of array data"):
        return unpickle(content, Budget(len(content)))


def unpickle(content: bytes, budget: Budget, *, position: int = 0) -> Any:
    """Reads a pickle of plain array data that lies in some bytes; raises whatever its damage runs into."""
    return resolve(PickleMachine(content, find_maker, position=position).load(), budget)


@contextlib.contextmanager
def refusing(path, what: str, expected: str = _EXPECTED) -> Iterator[None]:
    """Turns whatever goes wrong while a file is read into a UserError of one line.

    Args:
        path: the file.
        what: what it should be.
        expected: what it may hold.
    """
    try:
        yield
    except UserError:
        raise
    except Refused as refused:
        name = " ".join(str(refused).split())[:200]
        raise UserError(
            f"{path}: refused, because it holds {name}, which is no data and could run code; expected only "
            f"{expected}."
        ) from None
    except TooLarge as error:
        raise UserError(f"{path}: refused, because {error}.") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # a damaged file can fail in any way, all of which mean the same to the user
        detail = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path}: not a readable {what} ({detail}).") from None


def resolve(value: Any, budget: Budget) -> Any:
    """Puts arrays in the place of the Objects in a value.

    Raises:
        Damaged: if a value holds itself, or lists lie in lists without end.
        TooLarge: if the value, written out, is more than the file can hold: a few names for one list can stand for
            any number of elements.
    """
    return _Resolver(budget).resolve(value, _MAX_DEPTH)[0]


class _Resolver:
    """Resolves each value once, and counts what it comes to if everything that uses it has a copy."""

    def __init__(self, budget: Budget):
        self._budget = budget
        # By identity: the value itself is kept, so that its identity stays its own.
        self._known: dict[int, tuple[Any, Any, int]] = {}
        self._open: set[int] = set()

    def resolve(self, value: Any, depth: int) -> tuple[Any, int]:
        """Returns the plain value and its size in bytes."""
        if isinstance(value, np.ndarray):
            self._budget.spend(value.nbytes, "an array")
            return value, value.nbytes
        if not isinstance(value, Object | dict | list | tuple):
            if value is NDARRAY or value is PLAIN_OBJECT or isinstance(value, Maker):
                raise Damaged("a class or function stands where a value belongs")
            return value, _BYTES_PER_VALUE
        if id(value) in self._known:
            _, plain, size = self._known[id(value)]
            self._budget.spend(size, "a value in several places")
            return plain, size
        if id(value) in self._open or not depth:
            raise Damaged("a value holds itself, or lists lie within lists without end")
        self._open.add(id(value))
        plain, size = self._resolved(value, depth - 1)
        self._open.remove(id(value))
        self._known[id(value)] = (value, plain, size)
        return plain, size

    def _resolved(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Object):
            if not isinstance(value, Decoded):
                raise Damaged("a type stands where a value belongs")
            state, size = self.resolve(value.state, depth)
            plain = value.decode(state, self._budget)
            return plain, max(size, getattr(plain, "nbytes", 0))
        items = value.values() if isinstance(value, dict) else value
        found = [self.resolve(item, depth) for item in items]
        size = _BYTES_PER_VALUE * (1 + len(found)) + sum(size for _, size in found)
        plains = [plain for plain, _ in found]
        if isinstance(value, dict):
            return dict(zip(value, plains, strict=True)), size
        return type(value)(plains), size

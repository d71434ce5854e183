"""Reads the pickles of public body models, mocap and poses: NumPy arrays, sparse matrices and chumpy's arrays.

Nothing in the file is called, and no NumPy or SciPy code sees its state: the opcodes are interpreted by
`pickle_machine`, and the makers here build arrays from bytes whose number is that of their type and shape. Types
are plain numbers and texts; arrays of objects become lists. Everything else is refused by name.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hpe.errors import UserError
from hpe.formats.limits import Budget, TooLarge, read_bytes
from hpe.formats.pickle_machine import (
    Damaged,
    Maker,
    Object,
    OrderedItems,
    PickleMachine,
    Refused,
    checked_key,
)

MAX_DIMENSIONS = 32
_LAST_LETTER = 0x10FFFF
# Lists within lists beyond this depth are no data.
_MAX_DEPTH = 64
_BYTES_PER_VALUE = 8

_EXPECTED = "NumPy arrays, SciPy sparse matrices and chumpy arrays"
_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,6})")
_OBJECTS = re.compile(r"[<>=|]?O[48]?")
_SPARSE = {"csc_matrix": True, "csr_matrix": False, "csc_array": True, "csr_array": False}


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


def array_from_bytes(
    raw: bytes, dtype: np.dtype, shape: tuple[int, ...], *, fortran: bool = False
) -> np.ndarray:
    """Returns a read-only array over bytes.

    Raises:
        Damaged: if shape and type do not account for the number of the bytes.
    """
    shape = checked_shape(shape)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise Damaged(f"an array of shape {shape} has {len(raw)} bytes of {dtype}")
    return checked_text(np.frombuffer(raw, dtype)).reshape(shape, order="F" if fortran else "C")


def checked_text(array: np.ndarray) -> np.ndarray:
    """Returns a flat array; Damaged if it is of texts with letters that do not exist, which NumPy would trust."""
    if array.dtype.kind == "U" and array.size:
        letters = array.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if letters.max() > _LAST_LETTER:
            raise Damaged("a text has letters that do not exist")
    return array


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Returns a shape of an array; raises Damaged for anything else."""
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise Damaged("an array has an unknown shape")
    if any(type(side) is not int or not 0 <= side < 1 << 40 for side in shape):
        raise Damaged("an array has an unknown shape")
    return shape


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
            if value is _NDARRAY or value is _PLAIN_OBJECT or isinstance(value, Maker):
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
            if not isinstance(value, _Decoded):
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


class _Type(Object):
    """A NumPy dtype."""

    def __init__(self, spelling: str):
        self.objects = _OBJECTS.fullmatch(spelling) is not None
        if not self.objects and not _DTYPE.fullmatch(spelling):
            raise Damaged(f"an array is of the type {spelling[:20]!r}")
        self._dtype = None if self.objects else np.dtype(spelling)

    @property
    def dtype(self) -> np.dtype:
        """The type of numbers or texts; Damaged for objects."""
        if self._dtype is None:
            raise Damaged("objects stand where numbers belong")
        return self._dtype

    def restore(self, state: Any) -> None:
        # Version, byte order, sub-array, names and fields, size; the rest follows from them.
        if not isinstance(state, tuple) or len(state) < 6 or state[2:5] != (None, None, None):
            raise Damaged("an array has a type of several fields")
        if self._dtype is None:
            return
        order, size = state[1], state[5]
        if order not in ("<", ">", "=", "|") or (self._dtype.kind in "SU" and size != self._dtype.itemsize):
            raise Damaged("a type is described in an unknown way")
        if order in ("<", ">"):
            self._dtype = self._dtype.newbyteorder(order)


class _Decoded(Object):
    """An Object whose state is resolved before a value is made of it."""

    state: Any = None

    def decode(self, state: Any, budget: Budget) -> Any:
        """Returns the plain value."""
        raise Damaged("an object has no value")


class _Array(_Decoded):
    """A NumPy array."""

    def restore(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise Damaged("an array has an unknown state")
        shape, kind, fortran, content = state[-4:]
        if not isinstance(kind, _Type):
            raise Damaged("an array has no type")
        self._shape = checked_shape(shape)
        if kind.objects:
            if not isinstance(content, list) or len(content) != math.prod(self._shape):
                raise Damaged("an array of objects has another number of them than its shape says")
            self._objects, self.state = True, content
        else:
            self._objects = False
            self.state = array_from_bytes(_raw(content), kind.dtype, self._shape, fortran=bool(fortran))

    def decode(self, state: Any, budget: Budget) -> Any:
        if state is None:
            raise Damaged("an array has no content")
        if not self._objects:
            return state
        if not self._shape:
            return state[0]
        if not state:
            return []
        # Objects are listed in the order of rows, whatever the order in memory was.
        order = np.arange(len(state)).reshape(self._shape)

        def rows(places):
            return [rows(place) for place in places] if isinstance(places, list) else state[places]

        return rows(order.tolist())


class _Sparse(_Decoded):
    """A csc or csr matrix of SciPy."""

    def __init__(self, columns_first: bool):
        self._columns_first = columns_first

    def restore(self, state: Any) -> None:
        self.state = state

    def decode(self, state: Any, budget: Budget) -> np.ndarray:
        if not isinstance(state, dict):
            raise Damaged("a sparse matrix has an unknown state")
        rows, columns = checked_shape(tuple(int(side) for side in state.get("_shape", state.get("shape"))))
        data, indices, starts = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        lines, length = (columns, rows) if self._columns_first else (rows, columns)
        if data.dtype.kind not in "biufc" or {indices.dtype.kind, starts.dtype.kind} - set("iu"):
            raise Damaged("a sparse matrix holds something that is no number")
        if data.ndim != 1 or indices.shape != data.shape or starts.shape != (lines + 1,):
            raise Damaged("the parts of a sparse matrix do not fit together")
        starts = starts.astype(np.int64)
        counts = np.diff(starts)
        if starts[0] != 0 or (counts < 0).any() or starts[-1] != len(data):
            raise Damaged("the parts of a sparse matrix do not fit together")
        if len(indices) and not (indices.min() >= 0 and indices.max() < length):
            raise Damaged("a sparse matrix has an entry outside of it")
        budget.spend(rows * columns * data.dtype.itemsize, "a sparse matrix")
        dense = np.zeros((rows, columns), dtype=data.dtype)
        major = np.repeat(np.arange(lines), counts)
        pairs = (indices, major) if self._columns_first else (major, indices)
        np.add.at(dense, pairs, data)  # entries stored twice count twice, as in SciPy
        return dense


class _Chumpy(_Decoded):
    """An array of chumpy: its leaf `x`, or a selection out of another one."""

    def __init__(self, name: str):
        self._name = name

    def restore(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise Damaged(f"the chumpy object {self._name} has an unknown state")
        # The rest is what chumpy remembers of its computations.
        keys = next((keys for keys in (("x",), ("r",), ("a", "idxs")) if set(keys) <= state.keys()), None)
        if keys is None:
            raise Damaged(f"the chumpy object {self._name} holds no array (neither x nor r)")
        self.state = {key: state[key] for key in (*keys, "preferred_shape") if key in state}

    def decode(self, state: Any, budget: Budget) -> np.ndarray:
        if not state:
            raise Damaged(f"the chumpy object {self._name} has no state")
        for key in ("x", "r"):
            if key in state:
                return numbers(state[key])
        places = numbers(state["idxs"])
        if places.dtype.kind not in "iu":
            raise Damaged(f"the chumpy object {self._name} selects by something that is no index")
        budget.spend(places.size * 8, "a selection of chumpy")
        chosen = numbers(state["a"]).ravel()[places]
        shape = state.get("preferred_shape")
        return chosen if shape is None else chosen.reshape(checked_shape(tuple(map(int, np.ravel(shape)))))


def numbers(value: Any) -> np.ndarray:
    """Returns a resolved value as an array of numbers; raises Damaged if it holds anything else."""
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise Damaged(f"numbers are of the type {array.dtype}")
    return array


def _raw(content: Any) -> bytes:
    """Returns the bytes of an array; Python 2 wrote them as text."""
    if isinstance(content, str):
        return content.encode("latin-1")
    if not isinstance(content, bytes):
        raise Damaged("the content of an array is not bytes")
    return content


_NDARRAY, _PLAIN_OBJECT = object(), object()


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise Damaged("an array is rebuilt in an unknown way")
    return _Array()


def _scalar(kind: _Type, content: Any) -> np.generic:
    return array_from_bytes(_raw(content), kind.dtype, ())[()]


def _from_buffer(content: Any, kind: _Type, shape: tuple, order: str) -> np.ndarray:
    if order not in ("C", "F"):
        raise Damaged("an array lies in an unknown order")
    return array_from_bytes(_raw(content), kind.dtype, shape, fortran=order == "F")


def _rebuild(maker: Any, base: Any, state: Any) -> Object:
    """Stands in for copyreg._reconstructor, for sparse matrices and chumpy alone."""
    if not isinstance(maker, Maker) or base is not _PLAIN_OBJECT or state is not None:
        raise Damaged("an object is rebuilt in an unknown way")
    made = maker.make()
    if not isinstance(made, _Sparse | _Chumpy):
        raise Damaged("an object is rebuilt in an unknown way")
    return made


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Stands in for _codecs.encode, by which Python 3 writes bytes for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise Damaged(f"bytes are encoded as {encoding!r}")
    return text.encode("latin-1")


def _no_bytes(*content: Any) -> bytes:
    if content:
        raise Damaged("bytes are made of something")
    return b""


def _ordered(items: Any = ()) -> OrderedItems:
    if not isinstance(items, list | tuple):
        raise Damaged("a dict is made of something else than pairs")
    return OrderedItems((checked_key(key), value) for key, value in items)


_PLAIN = {
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("copyreg", "_reconstructor"): _rebuild,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("collections", "OrderedDict"): _ordered,
}
_NUMPY_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _from_buffer,
}


def find_maker(module: str, name: str) -> Any:
    """Returns what stands in for a class or function of array data; raises Refused for anything else."""
    full = f"{module}.{name}"
    if (module, name) in _PLAIN:
        return Maker(full, _PLAIN[module, name])
    if name == "object" and module in ("__builtin__", "builtins"):
        return _PLAIN_OBJECT
    package, _, rest = full.partition(".")
    if package == "numpy":
        if rest == "ndarray":
            return _NDARRAY
        if rest == "dtype":
            return Maker(full, lambda spelling, *_: _Type(spelling))
        function = _NUMPY_FUNCTIONS.get(rest.removeprefix("_").removeprefix("core."))
        if function is not None and rest.startswith(("core.", "_core.")):
            return Maker(full, function)
    if full.startswith("scipy.sparse.") and name in _SPARSE:
        return Maker(full, lambda: _Sparse(_SPARSE[name]))
    if package == "chumpy":
        return Maker(full, lambda: _Chumpy(full))
    raise Refused(full)

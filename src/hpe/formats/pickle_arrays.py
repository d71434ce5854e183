"""What stands in for the classes and functions of array data in a pickle: NumPy's, SciPy's and chumpy's.

No NumPy or SciPy code sees the state of a file: arrays are built here from bytes whose number is that of their type
and shape. Types are plain numbers and texts; arrays of objects become lists. Everything else is refused by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from hpe.formats.limits import Budget
from hpe.formats.pickle_machine import Damaged, Maker, Object, OrderedItems, Refused, checked_key

MAX_DIMENSIONS = 32
_LAST_LETTER = 0x10FFFF

_DTYPE = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248]|c8|c16|[SU][1-9]\d{0,6})")
_OBJECTS = re.compile(r"[<>=|]?O[48]?")
_SPARSE = {"csc_matrix": True, "csr_matrix": False, "csc_array": True, "csr_array": False}

# Stand for the classes numpy.ndarray and object, which are named in a pickle but have no value.
NDARRAY, PLAIN_OBJECT = object(), object()


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


class Decoded(Object):
    """An Object whose state is resolved before a value is made of it."""

    state: Any = None

    def decode(self, state: Any, budget: Budget) -> Any:
        """Returns the plain value."""
        raise Damaged("an object has no value")


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


class _Array(Decoded):
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


class _Sparse(Decoded):
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


class _Chumpy(Decoded):
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


def _reconstruct(kind: Any, *_: Any) -> _Array:
    if kind is not NDARRAY:
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
    if not isinstance(maker, Maker) or base is not PLAIN_OBJECT or state is not None:
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
        return PLAIN_OBJECT
    package, _, rest = full.partition(".")
    if package == "numpy":
        if rest == "ndarray":
            return NDARRAY
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

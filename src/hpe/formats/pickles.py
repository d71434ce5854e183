"""Reads the pickles of public body models, mocap and poses without running any code of theirs.

A pickle may name any function and have it called. Here only what plain array data needs is let through: NumPy
arrays, SciPy's compressed sparse matrices and chumpy's arrays, the latter two decoded from their stored state
so that neither SciPy's internals nor chumpy is imported. Everything else is refused by name. An npz file may hold
pickles, too, as arrays of objects: they go the same way.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import zipfile
from collections.abc import Iterator

import numpy as np

from hpe.errors import UserError


class _Stub:
    """Takes the stored state of an object whose class is not imported."""

    def __setstate__(self, state):
        self.state = dict(state) if isinstance(state, dict) else {"value": state}


class _SparseStub(_Stub):
    def decode(self):
        """Returns the (rows, columns) dense array of a csc or csr matrix."""
        state = self.state
        rows, columns = (int(n) for n in state.get("_shape", state.get("shape")))
        data, indices, indptr = (np.asarray(state[key]) for key in ("data", "indices", "indptr"))
        counts = np.diff(indptr)
        major = np.repeat(np.arange(len(counts)), counts)
        dense = np.zeros((rows, columns), dtype=data.dtype)
        pairs = (indices, major) if self.columns_first else (major, indices)
        np.add.at(dense, pairs, data)  # entries stored twice count twice, as in SciPy
        return dense


class _ChumpyStub(_Stub):
    def decode(self):
        """Returns the array a chumpy object stands for: its leaf `x`, or a selection out of another one."""
        state = self.state
        for key in ("x", "r"):
            if key in state:
                return np.asarray(_decode(state[key]))
        if "a" in state and "idxs" in state:
            chosen = np.asarray(_decode(state["a"])).ravel()[np.asarray(_decode(state["idxs"]))]
            shape = state.get("preferred_shape")
            return chosen if shape is None else chosen.reshape(np.asarray(_decode(shape)).astype(int))
        raise ValueError(f"the chumpy object {self.name} holds no array (neither x nor r)")


def _reconstructor(cls, base, state):
    """Stands in for copyreg._reconstructor, for stubs alone."""
    if not (isinstance(cls, type) and issubclass(cls, _Stub)) or base is not object or state is not None:
        raise pickle.UnpicklingError("an object is rebuilt in an unknown way")
    return cls()


def _encode(text, encoding="latin1"):
    """Stands in for _codecs.encode, by which Python 3 writes bytes for Python 2."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes are encoded as {encoding!r}")
    return text.encode("latin1")


def _numpy_function(name):
    return getattr(np._core.multiarray, name)


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _numpy_function("_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): _numpy_function("_reconstruct"),
    ("numpy.core.multiarray", "scalar"): _numpy_function("scalar"),
    ("numpy._core.multiarray", "scalar"): _numpy_function("scalar"),
    ("numpy.core.numeric", "_frombuffer"): np._core.numeric._frombuffer,
    ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _reconstructor,
    ("copyreg", "_reconstructor"): _reconstructor,
    ("__builtin__", "object"): object,
    ("builtins", "object"): object,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
_SPARSE = {"csc_matrix": True, "csr_matrix": False, "csc_array": True, "csr_array": False}


class Refused(Exception):
    """A class or function that is not array data; the message is its full name."""


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles plain array data; raises `Refused` at the name of anything else.

    Sparse matrices and chumpy's arrays come as stand-ins, which `load_pickle` decodes.
    """

    def find_class(self, module, name):
        """Returns the stand-in or the function of an allowed name."""
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        package = module.partition(".")[0]
        if package == "scipy" and module.startswith("scipy.sparse") and name in _SPARSE:
            return type(name, (_SparseStub,), {"columns_first": _SPARSE[name]})
        if package == "chumpy":
            return type(name, (_ChumpyStub,), {"name": f"{module}.{name}"})
        raise Refused(f"{module}.{name}")


def load_pickle(path):
    """Reads a pickle of plain array data, written by Python 2 or 3.

    Args:
        path: the file.

    Returns:
        What the file holds, in dicts, lists, tuples, numbers, strings and NumPy arrays; sparse matrices and
        chumpy arrays have become dense NumPy arrays.

    Raises:
        UserError: the file cannot be read, or it names a class or function that is not array data.
    """
    with _refusing(path, "pickle"), open(path, "rb") as file:
        return _decode(ArrayUnpickler(file, encoding="latin1").load())


def load_npz(path: str | os.PathLike, names: tuple[str, ...] | None = None) -> dict:
    """Reads the arrays of an npz file; arrays of objects are read like a pickle of `load_pickle`.

    Args:
        path: the file.
        names: arrays to read, where they are there; None for all.

    Returns:
        For every name its array. A single object, such as a dict that was saved as if it were an array, is that
        object, decoded as by `load_pickle`.

    Raises:
        UserError: the file cannot be read, or it names a class or function that is not array data.
    """
    with _refusing(path, "npz file"), zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
        wanted = members if names is None else [name for name in names if name in members]
        return {name: _read_array(archive.read(members[name])) for name in wanted}


def _read_array(content: bytes):
    file = io.BytesIO(content)
    form = np.lib.format
    version = form.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        # Version 3 only adds names of fields, which these files have no use for.
        raise ValueError(f"an array of version {version[0]}")
    read_header = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    dtype = read_header(file)[2]
    if not dtype.hasobject:
        return form.read_array(io.BytesIO(content), allow_pickle=False)
    return _decode(ArrayUnpickler(file, encoding="latin1").load())


@contextlib.contextmanager
def _refusing(path, what: str) -> Iterator[None]:
    """Turns whatever goes wrong while a file of pickles is read into one line."""
    try:
        yield
    except Refused as refused:
        raise UserError(
            f"{path}: refused, because it holds {refused}, which is not array data and could run code; "
            "expected only NumPy arrays, SciPy sparse matrices and chumpy arrays."
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # a damaged pickle can fail in any way, all of which mean the same to the user
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable {what} of array data ({detail}).") from None


def _decode(value):
    if isinstance(value, _Stub):
        return value.decode()
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return _decode(value.tolist())  # of no dimension: the object itself
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_decode(item) for item in value)
    return value

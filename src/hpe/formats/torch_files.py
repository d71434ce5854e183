"""Reads the tensors of PyTorch's checkpoint files without PyTorch, and without running any code of theirs.

Such a file is a pickle, which places tensors in storages, and the raw bytes of the storages: a zip archive since
PyTorch 1.6, before that one after the other. The pickle goes through the list of `hpe.formats.pickles`, to which
tensors are added; everything else is refused by name.
"""

from __future__ import annotations

import dataclasses
import io
import math
import os
import pickle
import zipfile

import numpy as np

from hpe.errors import UserError
from hpe.formats.pickles import ArrayUnpickler, Refused

# What the older files begin with, as a pickled number.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001


@dataclasses.dataclass(frozen=True)
class _StorageType:
    """How the elements of a storage lie in the file, and as what they are read."""

    stored: str
    read: str

    @property
    def itemsize(self) -> int:
        """Bytes of one element in the file."""
        return np.dtype(self.stored).itemsize

    def widen(self, raw: bytes) -> np.ndarray:
        """Returns the elements as they are read."""
        elements = np.frombuffer(raw, self.stored)
        if self.stored == self.read:
            return elements
        # bfloat16 is the upper half of a float32.
        return (elements.astype("<u4") << 16).view(self.read)


_STORAGES = {
    "FloatStorage": _StorageType("<f4", "<f4"),
    "DoubleStorage": _StorageType("<f8", "<f8"),
    "HalfStorage": _StorageType("<f2", "<f2"),
    "BFloat16Storage": _StorageType("<u2", "<f4"),
    "LongStorage": _StorageType("<i8", "<i8"),
    "IntStorage": _StorageType("<i4", "<i4"),
    "ShortStorage": _StorageType("<i2", "<i2"),
    "CharStorage": _StorageType("<i1", "<i1"),
    "ByteStorage": _StorageType("<u1", "<u1"),
    "BoolStorage": _StorageType("?", "?"),
}


def load_torch_file(path: str | os.PathLike):
    """Reads what `torch.save` wrote: a state_dict, or dicts, lists and numbers around tensors.

    Args:
        path: the file, of PyTorch 0.4 or newer.

    Returns:
        What the file holds, with read-only NumPy arrays for tensors (bfloat16 as float32). They may share memory,
        and are strided as the tensors were.

    Raises:
        UserError: the file cannot be read, or it names a class or function that is not tensor data.
    """
    try:
        with open(path, "rb") as file:
            return _load_zip(file) if zipfile.is_zipfile(file) else _load_sequence(file)
    except Refused as refused:
        raise UserError(
            f"{path}: refused, because it holds {refused}, which is not tensor data and could run code; expected "
            "a file of tensors alone, such as torch.save(model.state_dict(), ...) writes."
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except Exception as error:  # a damaged file can fail in any way, all of which mean the same to the user
        detail = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable PyTorch file ({detail}).") from None


class _TensorUnpickler(ArrayUnpickler):
    """Adds tensors to plain array data.

    Args:
        file: with the pickle.
        find_storage: returns the elements (N,) of a storage by its type, key and number of elements.
    """

    def __init__(self, file, find_storage):
        super().__init__(file, encoding="latin1")
        self._find_storage = find_storage

    def find_class(self, module, name):
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in _FUNCTIONS:
            return _FUNCTIONS[module, name]
        return super().find_class(module, name)

    def persistent_load(self, pid):
        kind, storage, key, _, elements, *view = pid
        if kind != "storage" or not isinstance(storage, _StorageType) or any(view):
            raise pickle.UnpicklingError("a storage is described in an unknown way")
        return self._find_storage(storage, str(key), int(elements))


def _rebuild_tensor(storage, offset, size, stride, *_):
    """Stands in for torch._utils._rebuild_tensor_v2: a view of a storage, checked to lie within."""
    if len(size) != len(stride) or min((offset, *size, *stride), default=0) < 0:
        raise pickle.UnpicklingError("a tensor has an unknown layout")
    reached = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if math.prod(size) and reached >= len(storage):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    if not math.prod(size):
        return np.zeros(size, storage.dtype)
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)


def _rebuild_parameter(tensor, *_):
    """Stands in for torch._utils._rebuild_parameter."""
    return tensor


_FUNCTIONS = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
}


def _load_zip(file):
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("the zip archive has no data.pkl")
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and _read(archive, f"{folder}byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")
        found = {}

        def find_storage(storage, key, elements):
            if key not in found:
                name = f"{folder}data/{key}"
                if archive.getinfo(name).file_size != elements * storage.itemsize:
                    raise ValueError(f"storage {key} has another length than its tensors say")
                found[key] = storage.widen(_read(archive, name))
            return found[key]

        return _TensorUnpickler(io.BytesIO(_read(archive, names[0])), find_storage).load()


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    # PyTorch compresses nothing; what is compressed could be anything large.
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, which PyTorch does not do")
    return archive.read(name)


def _load_sequence(file):
    def refuse(*_):
        raise ValueError("a storage stands where none belongs")

    length = os.fstat(file.fileno()).st_size
    file.seek(0)
    try:
        magic = _TensorUnpickler(file, refuse).load()
    except Exception as error:
        raise ValueError("neither a zip archive nor a pickle of PyTorch") from error
    if magic != _MAGIC or _TensorUnpickler(file, refuse).load() != _PROTOCOL:
        raise ValueError("not written by torch.save")
    if not _TensorUnpickler(file, refuse).load().get("little_endian", True):
        raise ValueError("it was written on a big-endian machine")
    found = {}

    def find_storage(storage, key, elements):
        # The bytes come after the pickle: tensors are views of an array that is filled later.
        if key not in found:
            if not 0 <= elements * storage.itemsize <= length:
                raise ValueError("a storage is longer than the file")
            found[key] = (storage, np.zeros(elements, storage.read))
        return found[key][1]

    loaded = _TensorUnpickler(file, find_storage).load()
    for key in _TensorUnpickler(file, refuse).load():
        storage, elements = found[str(key)]
        if int.from_bytes(file.read(8), "little") != len(elements):
            raise ValueError(f"storage {key} has another length than its tensors say")
        raw = file.read(len(elements) * storage.itemsize)
        if len(raw) != len(elements) * storage.itemsize:
            raise ValueError(f"the file ends within storage {key}")
        elements[:] = storage.widen(raw)
    return loaded

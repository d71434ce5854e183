"""Reads the tensors of PyTorch's checkpoint files without PyTorch, and without running any code of theirs.

Such a file is a pickle, which places tensors in storages, and the raw bytes of the storages: a zip archive since
PyTorch 1.6, before that one after the other. The pickle is interpreted as in `hpe.formats.pickles`, with tensors
beside arrays. Settings and callbacks that Lightning saves beside the weights become plain dicts; everything else is
refused by name.
"""

from __future__ import annotations

import dataclasses
import math
import os
import zipfile
from collections.abc import Callable

import numpy as np

from hpe.formats.limits import Budget, file_length, read_bytes
from hpe.formats.pickle_arrays import checked_shape, find_maker
from hpe.formats.pickle_machine import Damaged, Maker, OrderedItems, PickleMachine
from hpe.formats.pickles import refusing, resolve

# What the older files begin with, as a pickled number.
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_EXPECTED = "tensors, such as torch.save(model.state_dict(), ...) writes"


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
    length = file_length(path)
    budget = Budget(length)
    with refusing(path, "PyTorch file", _EXPECTED):
        if zipfile.is_zipfile(path):
            return resolve(_load_zip(path, length, budget), budget)
        return resolve(_load_sequence(read_bytes(path), budget), budget)


def _machine(content: bytes, find_storage: Callable[[_StorageType, str, int], np.ndarray]) -> PickleMachine:
    """Returns a machine for a pickle with tensors.

    Args:
        content: with the pickle.
        find_storage: returns the elements (N,) of a storage by its type, key and number of elements.
    """

    def find(module: str, name: str):
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if (module, name) in _FUNCTIONS:
            return Maker(f"{module}.{name}", _FUNCTIONS[module, name])
        if module.partition(".")[0] in _BOOKKEEPING:
            # A dict or an object of attributes: either way what it holds is kept, and it does nothing.
            return Maker(f"{module}.{name}", lambda *_: OrderedItems())
        return find_maker(module, name)

    def find_persistent(key):
        if not isinstance(key, tuple) or len(key) < 5:
            raise Damaged("a storage is described in an unknown way")
        kind, storage, name, _, elements, *view = key
        if (
            kind != "storage"
            or not isinstance(storage, _StorageType)
            or any(view)
            or type(elements) is not int
        ):
            raise Damaged("a storage is described in an unknown way")
        if elements < 0:
            raise Damaged("a storage has a negative length")
        return find_storage(storage, str(name), elements)

    return PickleMachine(content, find, find_persistent=find_persistent)


def _rebuild_tensor(storage, offset, size, stride, *_):
    """Stands in for torch._utils._rebuild_tensor_v2: a view of a storage, checked to lie within."""
    try:
        size, stride, (offset,) = checked_shape(size), checked_shape(stride), checked_shape((offset,))
    except Damaged:
        raise Damaged("a tensor has an unknown layout") from None
    if not isinstance(storage, np.ndarray) or len(size) != len(stride):
        raise Damaged("a tensor has an unknown layout")
    if not math.prod(size):
        return np.zeros(size, storage.dtype)
    if offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) >= len(storage):
        raise Damaged("a tensor reaches beyond its storage")
    strides = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides, writeable=False)


def _rebuild_parameter(tensor, *_):
    """Stands in for torch._utils._rebuild_parameter."""
    return tensor


# Of whose classes Lightning writes settings and states of callbacks beside the weights.
_BOOKKEEPING = ("pytorch_lightning", "lightning", "lightning_fabric", "yacs", "argparse")

_FUNCTIONS = {
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): lambda sides=(): checked_shape(tuple(sides)),
}


def _load_zip(path, length: int, budget: Budget):
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise Damaged("the zip archive has no data.pkl")

        def read(name: str) -> bytes:
            info = archive.getinfo(name)
            # PyTorch compresses nothing; what is compressed could be anything large.
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > length:
                raise Damaged(f"{name} is compressed, which PyTorch does not do")
            return archive.read(info)

        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and read(f"{folder}byteorder") != b"little":
            raise Damaged("it was written on a big-endian machine")
        found = {}

        def find_storage(storage, key, elements):
            if key not in found:
                raw = read(f"{folder}data/{key}")
                if len(raw) != elements * storage.itemsize:
                    raise Damaged(f"storage {key} has another length than its tensors say")
                budget.spend(len(raw), "a storage")
                found[key] = storage.widen(raw)
            return found[key]

        return _machine(read(names[0]), find_storage).load()


def _load_sequence(content: bytes, budget: Budget):
    found: dict[str, tuple[_StorageType, np.ndarray]] = {}

    def find_storage(storage, key, elements):
        # The bytes come after the pickle: tensors are views of an array that is filled later.
        if key not in found:
            if elements * storage.itemsize > len(content):
                raise Damaged("a storage is longer than the file")
            budget.spend(elements * storage.itemsize, "a storage")
            found[key] = (storage, np.zeros(elements, storage.read))
        return found[key][1]

    machine = _machine(content, find_storage)
    try:
        magic = machine.load()
    except Exception as error:
        raise Damaged("neither a zip archive nor a pickle of PyTorch") from error
    if magic != _MAGIC or machine.load() != _PROTOCOL:
        raise Damaged("not written by torch.save")
    system = machine.load()
    if not isinstance(system, dict) or not system.get("little_endian", True):
        raise Damaged("it was written on a big-endian machine")
    loaded = machine.load()
    place = None
    for key in machine.load():
        place = machine.position if place is None else place
        storage, elements = found[str(key)]
        start, place = place + 8, place + 8 + len(elements) * storage.itemsize
        if int.from_bytes(content[start - 8 : start], "little") != len(elements):
            raise Damaged(f"storage {key} has another length than its tensors say")
        if place > len(content):
            raise Damaged(f"the file ends within storage {key}")
        elements[:] = storage.widen(content[start:place])
    return loaded

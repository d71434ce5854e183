"""Writes files as torch.save does, without PyTorch: stand-ins bear its names while they are pickled."""

from __future__ import annotations

import collections
import io
import pickle
import sys
import types
import zipfile

import numpy as np

STORAGES = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "i4": "IntStorage",
}
MAGIC = 0x1950A86A20F9469CFC6C


class Tensor:
    """Elements of a storage, as a tensor sees them.

    Args:
        storage: (N,) array.
        size, stride, offset: of the view, in elements; by default the whole storage as one row.
        name: of the storage's class; by default that of its dtype.
    """

    def __init__(self, storage, size=None, stride=(1,), offset=0, *, name=None):
        self.storage = np.ascontiguousarray(storage)
        self.size = (len(self.storage),) if size is None else tuple(size)
        self.stride, self.offset = tuple(stride), offset
        self.name = name or STORAGES[self.storage.dtype.str[1:]]


def tensor(array):
    """A contiguous Tensor of an array of any shape."""
    array = np.array(array, order="C")
    steps = [int(step) // array.itemsize for step in array.strides]
    return Tensor(array.ravel(), array.shape, steps)


class _Reference:
    def __init__(self, owner):
        self.owner = owner


class _Pickler(pickle.Pickler):
    """Pickles Tensors as PyTorch does; `storages` are the arrays by key, in the order of the pickle."""

    def __init__(self, file, modules, *, legacy):
        super().__init__(file, protocol=2)
        self.storages = {}
        self._keys = {}
        self._modules = modules
        self._legacy = legacy

    def persistent_id(self, value):
        if not isinstance(value, _Reference):
            return None
        storage = value.owner.storage
        key = self._keys.setdefault(id(storage), str(len(self._keys)))
        self.storages[key] = storage
        kind = getattr(self._modules["torch"], value.owner.name)
        return ("storage", kind, key, "cpu", len(storage), *([None] if self._legacy else []))

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        rebuild = self._modules["torch._utils"]._rebuild_tensor_v2
        hooks = collections.OrderedDict()
        return rebuild, (_Reference(value), value.offset, value.size, value.stride, False, hooks)


def _stand_ins():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in {*STORAGES.values(), "BFloat16Storage"}:
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise NotImplementedError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    return {"torch": torch, "torch._utils": utils}


def write(path, value, *, legacy=False):
    """Writes nested dicts and lists with Tensors in them; `legacy` is the layout before PyTorch 1.6."""
    modules = _stand_ins()
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        file = io.BytesIO()
        pickler = _Pickler(file, modules, legacy=legacy)
        pickler.dump(value)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    if legacy:
        parts = [MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}]
        head = b"".join(pickle.dumps(part, protocol=2) for part in parts)
        keys = sorted(pickler.storages)
        body = [pickler.storages[key] for key in keys]
        raw = b"".join(len(array).to_bytes(8, "little") + array.tobytes() for array in body)
        path.write_bytes(head + file.getvalue() + pickle.dumps(keys, protocol=2) + raw)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", file.getvalue())
        archive.writestr("weights/byteorder", "little")
        for key, array in pickler.storages.items():
            archive.writestr(f"weights/data/{key}", array.tobytes())
        archive.writestr("weights/version", "3\n")
    return path

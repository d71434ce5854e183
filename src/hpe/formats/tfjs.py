"""Graph models of TensorFlow.js: a JSON with the graph and a list of tensors, and their values in binary files.

Nothing of the graph is run: it is data, from which names, operations and constants can be read.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib

import numpy as np

from hpe.errors import UserError, first_line
from hpe.formats.json_files import field, read_json
from hpe.formats.limits import read_bytes

_DTYPES = {"float32": "<f4", "int32": "<i4", "bool": "|b1", "uint8": "|u1"}


@dataclasses.dataclass(frozen=True)
class GraphModel:
    """What a graph model holds.

    Attributes:
        nodes: name of each node -> (operation, names of its inputs), in the order of the file.
        tensors: name of each constant -> its value; floats in half precision are float32.
    """

    nodes: dict[str, tuple[str, tuple[str, ...]]]
    tensors: dict[str, np.ndarray]


def read_graph_model(path: str | os.PathLike) -> GraphModel:
    """Reads a graph model.

    Args:
        path: the JSON; the binary files that it names lie beside it.

    Raises:
        UserError: a file is missing or damaged, or holds what is not understood.
    """
    path = pathlib.Path(path)
    content = read_json(path, dict, "a graph model of TensorFlow.js")
    try:
        return _graph_model(path, content)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise UserError(f"{path}: is no graph model of TensorFlow.js ({first_line(error)}).") from error


def _graph_model(path, content):
    nodes = {}
    for node in field(field(content, "modelTopology", str(path)), "node", str(path)):
        inputs = tuple(map(str, node.get("input", ()))) if isinstance(node, dict) else ()
        nodes[str(field(node, "name", str(path)))] = (str(field(node, "op", str(path))), inputs)
    tensors = {}
    for group in field(content, "weightsManifest", str(path)):
        tensors |= _read_group(path, group)
    return GraphModel(nodes, tensors)


def _read_group(path, group):
    names = [str(name) for name in field(group, "paths", str(path))]
    if any(pathlib.PurePath(name).name != name for name in names):
        raise UserError(f"{path}: names files of weights that do not lie beside it.")
    values = b"".join(read_bytes(path.parent / name) for name in names)
    tensors, start = {}, 0
    for entry in field(group, "weights", str(path)):
        name = str(field(entry, "name", str(path)))
        where = f"{path}: {name}"
        dtype = _stored_dtype(entry, where)
        shape = field(entry, "shape", where)
        if not isinstance(shape, list) or any(type(size) is not int or size < 0 for size in shape):
            raise UserError(f"{where}: a shape is a list of sizes. Received: {shape!r:.60}")
        count = math.prod(shape)
        if start + count * dtype.itemsize > len(values):
            raise UserError(f"{where}: the file of weights ends before it; it is cut short.")
        value = np.frombuffer(values, dtype, count, start).reshape(shape)
        start += count * dtype.itemsize
        tensors[name] = value.astype(np.float32) if dtype.kind == "f" else value.copy()
    if start != len(values):
        raise UserError(f"{path}: {len(values) - start} bytes of weights belong to no tensor.")
    return tensors


def _stored_dtype(entry, where):
    dtype = field(entry, "dtype", where)
    quantization = entry.get("quantization")
    if quantization is not None:
        if dtype == "float32" and field(quantization, "dtype", where) == "float16":
            return np.dtype("<f2")
        raise UserError(f"{where}: of the quantised tensors only those in float16 are read.")
    if dtype not in _DTYPES:
        raise UserError(f"{where}: the type {dtype!r} is not read.")
    return np.dtype(_DTYPES[dtype])

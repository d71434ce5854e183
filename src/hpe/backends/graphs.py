"""Networks as ready ONNX graphs, run by onnxruntime: prediction without TensorFlow's start, memory and threads.

`tools/build_graphs.py` writes the graphs of the networks that come with the package. They hold operations and
constants; weights are given when a graph is opened, by the names that they have in files of weights.
"""

from __future__ import annotations

import concurrent.futures
import functools
import importlib.util
import itertools
import os
import pathlib
from collections.abc import Mapping

import numpy as np

from hpe.backends.threads import usable_cores


def available() -> bool:
    """Returns whether onnxruntime is installed."""
    return importlib.util.find_spec("onnxruntime") is not None


class Graph:
    """A graph with its weights, which takes and returns NumPy arrays by name.

    Rows of a batch are shared among the cores: one thread for each part is as fast as several for all of it, and
    takes less of the processor. May be called by several threads at once.

    Args:
        path: the file.
        weights: arrays by the name that the graph has for them; half precision becomes float32.

    Raises:
        ValueError: the graph lacks one of the weights, or has it in another shape.
    """

    def __init__(self, path: str | os.PathLike, weights: Mapping[str, np.ndarray]):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors alone, which come as exceptions too
        # They are read where they lie, so that they must live as long as the session.
        self._weights = [
            onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array, np.float32))
            for array in weights.values()
        ]
        options.add_external_initializers(list(weights), self._weights)
        try:
            self._session = onnxruntime.InferenceSession(
                pathlib.Path(path).read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions have no common public base
            raise ValueError(f"{path}: does not go with its weights ({error})") from error
        self._cores = usable_cores()
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Runs the graph; all inputs have the same number of rows, and so have the outputs."""
        count = len(next(iter(inputs.values())))
        parts = min(count, self._cores)
        if parts < 2:
            return dict(zip(self._outputs, self._session.run(None, inputs), strict=True))
        edges = [count * part // parts for part in range(parts + 1)]
        shares = [
            {name: array[first:last] for name, array in inputs.items()}
            for first, last in itertools.pairwise(edges)
        ]
        found = list(_threads().map(lambda share: self._session.run(None, share), shares))
        return {
            name: np.concatenate(rows)
            for name, rows in zip(self._outputs, zip(*found, strict=True), strict=True)
        }


@functools.cache
def _threads() -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(usable_cores(), thread_name_prefix="graph")

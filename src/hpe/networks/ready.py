"""The networks of the package as graphs that are ready to run, see `hpe.backends.graphs`."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

import numpy as np

from hpe.backends.graphs import Graph

ASSETS = pathlib.Path(__file__).parent / "assets"
# Of graphs whose weights have another name; and what these hold beyond.
_WEIGHTS_OF = {"movenet_observer": "movenet_lightning"}
_UNUSED = {"movenet_observer": ("centers", "regression", "offsets")}


def ready_graph(name: str, weights: Mapping[str, np.ndarray] | None = None) -> Graph:
    """Opens a graph of the package.

    Args:
        name: one of
            `movenet_lightning`, `movenet_thunder`: from crops `image` (B, S, S, 3) uint8 RGB to what
            `hpe.systems.movenet.MoveNetBody.observe` returns, of thunder to `detections` alone;
            `movenet_observer`: from Thunder's crops to what `MoveNetBody.look` returns with Lightning's maps;
            `movenet_body`: from `detections` (B, 17, 3) to what `MoveNetBody.infer_joints2d` returns besides;
            `movenet_corrected`: from `detections`, `maps` and `pooled` to what `MoveNetBody.infer` returns besides;
            `rtmdet_nano`: from `image` (B, H, W, 3) float32 to `logits_0` to `logits_2` and `distances_0` to
            `distances_2`, see `hpe.networks.rtmdet`.
        weights: arrays by name; by default those of the file of that name.

    Raises:
        ValueError: the weights are of another network.
    """
    if weights is None:
        from safetensors.numpy import load_file

        weights = load_file(ASSETS / f"{_WEIGHTS_OF.get(name, name)}.safetensors")
        unused = _UNUSED.get(name, ())
        weights = {key: array for key, array in weights.items() if not key.startswith(unused)}
    return Graph(ASSETS / f"{name}.onnx", weights)

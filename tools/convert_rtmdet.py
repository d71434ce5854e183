"""Converts the published RTMDet-nano person detector from ONNX into the weights of the package.

    pip install onnx && python tools/convert_rtmdet.py --input=rtmdet_nano.onnx

The file is `rtmdet_nano_8xb32-100e_coco-obj365-person` of MMPose's RTMPose project (Apache-2.0), as ONNX. Its
convolutions, with their normalisations folded in, stand in the order in which `hpe.networks.rtmdet` builds them;
every shape is checked.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib

import keras
import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file

from hpe.networks.rtmdet import RtmdetBuilder

_OUTPUT = pathlib.Path(__file__).resolve().parent.parent / "src/hpe/networks/assets/rtmdet_nano.safetensors"
_DIGEST = "b8585adb6d1352796f6e86337e09c3459b830645a7e7192d9381670bea2facbd"


def main() -> None:
    """Converts and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=pathlib.Path, required=True, help="the ONNX file")
    parser.add_argument("--output", type=pathlib.Path, default=_OUTPUT)
    arguments = parser.parse_args()
    content = arguments.input.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != _DIGEST:
        parser.error(f"{arguments.input}: is another file (sha256 {digest}, expected {_DIGEST})")
    builder, arrays = RtmdetBuilder(), {}
    builder.build()
    for layer, (kernel, bias) in zip(builder.convolutions, _stored(content), strict=True):
        # ONNX has (out, in, h, w), of depthwise ones (channels, 1, h, w).
        axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
        kernel = kernel.transpose(axes)
        if kernel.shape != tuple(layer.kernel.shape) or bias.shape != tuple(layer.bias.shape):
            parser.error(f"{layer.name} is {tuple(layer.kernel.shape)}, there {kernel.shape}")
        arrays[f"{layer.name}/kernel"] = np.ascontiguousarray(kernel, np.float16)
        arrays[f"{layer.name}/bias"] = np.ascontiguousarray(bias, np.float16)
    metadata = {
        "license": "Apache-2.0",
        "source": "RTMDet-nano person (MMPose, projects/rtmpose), trained on COCO and Objects365",
        "source_sha256": digest,
    }
    save_file(arrays, arguments.output, metadata=metadata)
    print(f"wrote {arguments.output}: {sum(array.size for array in arrays.values()):,} numbers")


def _stored(content: bytes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns kernel and bias of every convolution of the graph, in its order."""
    graph = onnx.load_from_string(content).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return [(values[node.input[1]], values[node.input[2]]) for node in graph.node if node.op_type == "Conv"]


if __name__ == "__main__":
    main()

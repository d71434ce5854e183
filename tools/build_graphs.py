"""Writes the ready graphs of the networks that come with the package, which onnxruntime runs without TensorFlow.

    pip install 'hpe[export]' && python tools/build_graphs.py

Each holds the operations of one network; its weights stay in the files beside it, and are named in the graph as
there. To be run again whenever one of these networks, the lifter's default settings or the default body changes:
tests compare the graphs with the networks.
"""

from __future__ import annotations

import pathlib

import keras
import onnx
import tensorflow as tf
import tf2onnx

from hpe.backends.choice import without_xla
from hpe.networks.movenet import NUM_JOINTS, SIZES, MoveNet
from hpe.networks.rtmdet import build_rtmdet
from hpe.runs.weights import named_variables
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import build_movenet_body
from hpe.systems.settings.movenet import MoveNetBodyConfig

_ASSETS = pathlib.Path(__file__).resolve().parent.parent / "src/hpe/networks/assets"
_OPSET = 17


def main() -> None:
    """Writes all of them."""
    for version, size in SIZES.items():
        movenet = MoveNet(version, pretrained=False)
        variables = {variable.path: variable for variable in movenet.maps.variables}
        picture = tf.TensorSpec((None, size.picture, size.picture, 3), tf.uint8, name="image")

        def joints(image, movenet=movenet):
            return {"joints": movenet(tf.cast(image, tf.float32) / 127.5 - 1.0)}

        _write(f"movenet_{version}", joints, picture, variables)
    system = build_movenet_body(MoveNetBodyConfig(), ImageInput(img_size=SIZES["lightning"].picture))
    detections = tf.TensorSpec((None, NUM_JOINTS, 3), tf.float32, name="detections")

    def body(detections):
        inferred = system.infer_joints2d(detections)
        return {key: value for key, value in inferred.items() if key != "detections"}

    _write("movenet_body", body, detections, named_variables(system.networks))
    rtmdet = build_rtmdet()
    variables = {
        f"{layer.name}/{variable.name}": variable for layer in rtmdet.layers for variable in layer.weights
    }
    picture = tf.TensorSpec((None, None, None, 3), tf.float32, name="image")

    def boxes(image):
        maps = rtmdet(image, training=False)
        return {
            f"{name}_{level}": value
            for level, pair in enumerate(maps)
            for name, value in zip(("logits", "distances"), pair, strict=True)
        }

    _write("rtmdet_nano", boxes, picture, variables)


def _write(name: str, function, spec, variables) -> None:
    """Writes a function of one input, in which the variables are weights that are given later."""

    def called(inputs, *values):
        with (
            without_xla(),
            keras.StatelessScope(state_mapping=list(zip(variables.values(), values, strict=True))),
        ):
            return function(inputs)

    # Inputs at first, by names that the converter takes; it would write the values of variables into the graph.
    weights = [
        tf.TensorSpec(variable.shape, tf.float32, name=f"weight_{index}")
        for index, variable in enumerate(variables.values())
    ]
    traced = tf.function(called, autograph=False)
    proto, _ = tf2onnx.convert.from_function(traced, input_signature=[spec, *weights], opset=_OPSET)
    names = {weight.name: path for weight, path in zip(weights, variables, strict=True)}
    # The converter takes constants that the function has captured for inputs, too.
    graph = traced.get_concrete_function(spec, *weights).graph
    constants = {inner.name: outer.numpy() for outer, inner in graph.captures}
    known: dict[bytes, str] = {}
    for given in list(proto.graph.input):
        if given.name in constants:
            array = constants[given.name]
            names[given.name] = known.setdefault(array.tobytes(), given.name)
            if names[given.name] == given.name:
                proto.graph.initializer.append(onnx.numpy_helper.from_array(array, given.name))
            proto.graph.input.remove(given)
        if given.name not in names or given.name in constants:
            continue
        tensor = onnx.TensorProto(name=names[given.name], data_type=onnx.TensorProto.FLOAT)
        tensor.dims.extend(side.dim_value for side in given.type.tensor_type.shape.dim)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights")
        proto.graph.initializer.append(tensor)
        proto.graph.input.remove(given)
    for node in proto.graph.node:
        node.input[:] = [names.get(value, value) for value in node.input]
    path = _ASSETS / f"{name}.onnx"
    path.write_bytes(proto.SerializeToString(deterministic=True))
    print(f"wrote {path}: {len(proto.graph.node)} operations, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

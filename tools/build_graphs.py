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
from hpe.networks.movenet import NUM_FEATURES, NUM_JOINTS, SIZES, STRIDE
from hpe.networks.rtmdet import build_rtmdet
from hpe.runs.weights import named_variables
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import build_movenet_body
from hpe.systems.settings.movenet import Evidence, MoveNetBodyConfig, MoveNetVersion

_ASSETS = pathlib.Path(__file__).resolve().parent.parent / "src/hpe/networks/assets"
_OPSET = 17


def main() -> None:
    """Writes all of them."""
    lightning, thunder = (
        build_movenet_body(
            MoveNetBodyConfig(movenet=MoveNetVersion(version), evidence=Evidence.LIGHTNING),
            ImageInput(img_size=size.picture),
        )
        for version, size in SIZES.items()
    )
    pictures = {
        name: tf.TensorSpec((None, *system.input_shape), tf.uint8, name="image")
        for name, system in (("lightning", lightning), ("thunder", thunder))
    }
    _write("movenet_lightning", lightning.observe, [pictures["lightning"]], _variables(lightning.movenet))

    def joints(image):
        return {"detections": thunder.detect(image)}

    _write("movenet_thunder", joints, [pictures["thunder"]], _variables(thunder.movenet))
    _write("movenet_observer", thunder.look, [pictures["thunder"]], _variables(thunder.observer))
    side = lightning.image_size // STRIDE
    seen = {
        "detections": (None, NUM_JOINTS, 3),
        "maps": (None, side, side, lightning.observer.num_tapped),
        "pooled": (None, NUM_FEATURES),
    }
    seen = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in seen.items()]
    variables = named_variables(lightning.networks)

    def body(detections):
        return _but_detections(lightning.infer_joints2d(detections))

    _write("movenet_body", body, seen[:1], {k: v for k, v in variables.items() if k.startswith("lifter/")})

    def corrected(detections, maps, pooled):
        return _but_detections(
            lightning.infer_seen({"detections": detections, "maps": maps, "pooled": pooled})
        )

    _write("movenet_corrected", corrected, seen, variables)
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

    _write("rtmdet_nano", boxes, [picture], variables)


def _variables(movenet):
    return {variable.path: variable for variable in movenet.maps.variables}


def _but_detections(inferred):
    return {key: value for key, value in inferred.items() if key != "detections"}


def _write(name: str, function, specs, variables) -> None:
    """Writes a function of inputs, in which the variables are weights that are given later."""

    def called(*values):
        inputs, values = values[: len(specs)], values[len(specs) :]
        with (
            without_xla(),
            keras.StatelessScope(state_mapping=list(zip(variables.values(), values, strict=True))),
        ):
            return function(*inputs)

    # Inputs at first, by names that the converter takes; it would write the values of variables into the graph.
    weights = [
        tf.TensorSpec(variable.shape, tf.float32, name=f"weight_{index}")
        for index, variable in enumerate(variables.values())
    ]
    traced = tf.function(called, autograph=False)
    proto, _ = tf2onnx.convert.from_function(traced, input_signature=[*specs, *weights], opset=_OPSET)
    names = {weight.name: path for weight, path in zip(weights, variables, strict=True)}
    # The converter takes constants that the function has captured for inputs, too.
    graph = traced.get_concrete_function(*specs, *weights).graph
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

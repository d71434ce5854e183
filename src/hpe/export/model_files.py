"""A model as a file that runs without this package: SavedModel, LiteRT or ONNX.

The file takes what the system takes, crops of people (B, S, S, 3) uint8 RGB or 2D joints, and returns what the
system says of them. A JSON file beside it (in a SavedModel's folder) says what the arrays mean: skeletons, the
share of the crop that a person's box fills, faces of the mesh.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpe import files, skeletons
from hpe.backends.choice import without_xla
from hpe.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

SCHEMA_VERSION = 1
_METADATA = "hpe.json"

# Outputs by the names of a Prediction, where systems call a tensor otherwise.
_OUTPUT_NAMES = {"rotmats": "pose"}

_OUTPUTS = {
    "joints2d": "2D joints in crop coordinates, pixel = (p + 1) S / 2",
    "confidence": "how sure the 2D joints are, from 0 to 1",
    "joints3d": "3D joints in metres, camera axes (x right, y down, z forward)",
    "vertices": "vertices of the mesh in metres, same axes",
    "camera": "weak-perspective camera (s, tx, ty): p = s (X + t)",
    "pose": "rotation matrices of the body's joints relative to their parents, the root's first",
    "shape": "shape coefficients of the body",
    "attention": "weights of the cells of the crop for each joint of the body, by which its features were gathered",
}

# What ONNX files are written for.
_OPSET = 17

# Largest difference of a converted file's outputs, of metres and crop coordinates alike.
_TOLERANCE = 1e-4


class Format(enum.Enum):
    """Kinds of files; their values are the names on the command line."""

    SAVED_MODEL = "saved_model"
    LITERT = "litert"
    ONNX = "onnx"


_FORMATS_BY_ENDING = {".tflite": Format.LITERT, ".onnx": Format.ONNX, "": Format.SAVED_MODEL}


@dataclasses.dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file, or the folder of a SavedModel.
        format: its kind.
        difference: largest difference of its outputs from the system's own on a random input; None if nothing was
            there to run it.
    """

    path: pathlib.Path
    format: Format
    difference: float | None


def format_of(path: str | os.PathLike) -> Format:
    """Returns the format that the ending of a name says: .tflite, .onnx, or none for the folder of a SavedModel.

    Raises:
        UserError: the ending is another one.
    """
    suffix = pathlib.Path(path).suffix
    if suffix.lower() not in _FORMATS_BY_ENDING:
        raise UserError(
            f"{path}: models are written to NAME.tflite, NAME.onnx, or the folder of a SavedModel, a name "
            "without an ending."
        )
    return _FORMATS_BY_ENDING[suffix.lower()]


def export_model(
    system, path: str | os.PathLike, *, format: Format | str | None = None, details: Mapping | None = None
) -> Exported:
    """Writes a system to a file that runs without this package, and runs it once to see that it says the same.

    Args:
        system: a `hpe.systems.base.Predicts`.
        path: the file, or for a SavedModel the folder; a SavedModel that is there is replaced.
        format: by default what the ending of the name says.
        details: what else the metadata are to hold, such as the step of the checkpoint.

    Raises:
        UserError: the format is unknown, its converter is not installed, what was converted says something else,
            or the file cannot be written.
    """
    path = pathlib.Path(path)
    format = format_of(path) if format is None else Format(format)
    function, module = _traced(system)
    metadata = {**_metadata(system, function), **(details or {})}
    with tempfile.TemporaryDirectory() as folder:
        written, runner = _WRITERS[format](function, module, pathlib.Path(folder))
        difference = None if runner is None else _difference(system, runner)
        if difference is not None and not difference <= _TOLERANCE:
            raise UserError(
                f"{path}: as {format.value} the model says something else, by up to {difference:.2g}; nothing was "
                "written. Choose another format."
            )
        text = json.dumps(metadata, indent=1) + "\n"
        if format is Format.SAVED_MODEL:
            (written / _METADATA).write_text(text)
            _move_folder(written, path)
        else:
            files.write_bytes(path, written.read_bytes())
            files.write_text(path.with_name(f"{path.name}.json"), text)
    return Exported(path, format, difference)


def _traced(system) -> tuple[tf.types.experimental.PolymorphicFunction, tf.Module]:
    """Returns the system as a function of plain operations, and what holds its variables."""
    import tensorflow as tf

    module = tf.Module()
    dtype = tf.uint8 if system.input_key == "image" else tf.float32
    signature = tf.TensorSpec((None, *system.input_shape), dtype, name=system.input_key)

    @tf.function(autograph=False, input_signature=[signature])
    def infer(inputs):
        with without_xla():
            inferred = system.infer(inputs)
        return {
            _OUTPUT_NAMES.get(name, name): tf.convert_to_tensor(value) for name, value in inferred.items()
        }

    module.infer = infer
    # All that the graph reads, those of networks which are no weights of the run included.
    module.variables_of_graph = list(infer.get_concrete_function().graph.variables)
    return infer, module


def _metadata(system, function) -> dict:
    import tensorflow as tf

    outputs = function.get_concrete_function().structured_outputs
    example = system.to_prediction(system.infer(tf.convert_to_tensor(_random_input(system))))
    return {
        "schema": "hpe.model",
        "version": SCHEMA_VERSION,
        "system": system.name,
        "input": {
            "name": system.input_key,
            "shape": [None, *system.input_shape],
            "dtype": "uint8" if system.input_key == "image" else "float32",
        },
        "outputs": {
            name: {
                "shape": tensor.shape.as_list(),
                "dtype": tensor.dtype.name,
                "content": _OUTPUTS.get(name, ""),
            }
            for name, tensor in outputs.items()
        },
        "skeleton": _skeleton(example.skeleton),
        "joints3d_skeleton": None if example.joints3d is None else _skeleton(example.joints3d_skeleton),
        "body_model": next(iter(system.body_models), None),
        "faces": None if example.faces is None else np.asarray(example.faces).tolist(),
    }


def _skeleton(name: str) -> dict:
    skeleton = skeletons.get(name)
    return {"name": name, "joints": list(skeleton.joints), "parents": list(skeleton.parents)}


def _random_input(system, count: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    shape = (count, *system.input_shape)
    if system.input_key == "image":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    return rng.uniform(-1, 1, shape).astype(np.float32)


def _difference(system, run: Callable[[np.ndarray], Mapping[str, np.ndarray]]) -> float:
    import tensorflow as tf

    inputs = _random_input(system)
    own, found = system.infer(tf.convert_to_tensor(inputs)), run(inputs)
    away = [
        np.abs(np.asarray(value) - found[_OUTPUT_NAMES.get(name, name)]).max() for name, value in own.items()
    ]
    return float(max(away))


def _move_folder(written: pathlib.Path, path: pathlib.Path) -> None:
    """Puts a folder in its place; a SavedModel that was there goes, anything else stays."""
    if path.exists() and not (path / "saved_model.pb").exists() and (path.is_file() or any(path.iterdir())):
        raise UserError(f"{path}: is there already and is no SavedModel; choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export.") as beside:
            # Copied first: the move within one file system takes no time in which a reader could see a half.
            copied = shutil.copytree(written, pathlib.Path(beside) / "new")
            if path.exists():
                os.replace(path, pathlib.Path(beside) / "old")
            os.replace(copied, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error}).") from error


# ---- formats: each returns what it wrote and, if that is installed, what runs it ------------------------------


def _write_saved_model(function, module, folder: pathlib.Path):
    import tensorflow as tf

    path = folder / "model"
    tf.saved_model.save(
        module, os.fspath(path), signatures={"serving_default": function.get_concrete_function()}
    )
    loaded = tf.saved_model.load(os.fspath(path)).signatures["serving_default"]

    def run(inputs):
        outputs = loaded(**{function.get_concrete_function().structured_input_signature[0][0].name: inputs})
        return {name: value.numpy() for name, value in outputs.items()}

    return path, lambda inputs: run(tf.convert_to_tensor(inputs))


def _write_litert(function, module, folder: pathlib.Path):
    import tensorflow as tf

    # Its runtime plans memory for one shape: crops one by one.
    spec = function.input_signature[0]
    one = function.get_concrete_function() if spec.shape[0] else _of_one(function, spec)
    path = folder / "model.tflite"
    with _quiet_warnings():
        path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([one], module).convert())
        try:
            runner = tf.lite.Interpreter(model_path=os.fspath(path)).get_signature_runner()
        except (AttributeError, ImportError):  # gone from TensorFlow with a release to come
            return path, None
    return path, lambda inputs: runner(**{spec.name: inputs})


def _of_one(function, spec):
    import tensorflow as tf

    def infer(inputs):
        return function.python_function(inputs)

    one = tf.TensorSpec((1, *spec.shape[1:]), spec.dtype, name=spec.name)
    return tf.function(infer, autograph=False, input_signature=[one]).get_concrete_function()


def _write_onnx(function, module, folder: pathlib.Path):
    try:
        import onnx
        import tf2onnx
    except ImportError:
        raise UserError(
            "ONNX files need the packages onnx and tf2onnx: pip install 'hpe[export]', or choose another format."
        ) from None
    proto, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=_OPSET)
    # The converter takes constants that a graph has captured for further inputs.
    captured = {inner.name: outer for outer, inner in function.get_concrete_function().graph.captures}
    for given in list(proto.graph.input):
        if given.name in captured:
            value = captured[given.name].numpy()
            proto.graph.initializer.append(onnx.numpy_helper.from_array(value, given.name))
            proto.graph.input.remove(given)
    onnx.checker.check_model(proto)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    try:
        import onnxruntime
    except ImportError:
        return path, None
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    key = function.input_signature[0].name
    return path, lambda inputs: dict(zip(names, session.run(None, {key: inputs}), strict=True))


@contextlib.contextmanager
def _quiet_warnings() -> Iterator[None]:
    """Holds back TensorFlow's notes about its own parts."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


_WRITERS = {
    Format.SAVED_MODEL: _write_saved_model,
    Format.LITERT: _write_litert,
    Format.ONNX: _write_onnx,
}

"""Models as files: what runs them knows nothing of this package, and says what the system says."""

import json
import pathlib
import re
import subprocess
import sys
import types

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hpe import skeletons
from hpe.errors import UserError
from hpe.export.model_files import Format, export_model, format_of
from hpe.networks.heatmaps import highest
from hpe.systems.hybrid_hmr import HybridHmrConfig, build_hybrid_hmr
from hpe.systems.inputs import ImageInput
from hpe.systems.prediction import Prediction

CROPS = np.random.default_rng(1).integers(0, 256, (3, 48, 48, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def system():
    keras.utils.set_random_seed(0)
    config = HybridHmrConfig(encoder="small", encoder_weights="none", num_stage=1)
    system = build_hybrid_hmr(config, ImageInput(img_size=48), build_critic=False, pretrained=False)
    for variable in system.regressor.trainable_variables:
        if variable.path.endswith("kernel"):
            variable.assign(0.1 * variable)
    return system


def expected(system, crops):
    inferred = {name: np.asarray(value) for name, value in system.infer(tf.constant(crops)).items()}
    return {"pose" if name == "rotmats" else name: value for name, value in inferred.items()}


def compare(found, wanted):
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, atol=1e-4, err_msg=name)


def run_example(library, folder, monkeypatch, capsys, system):
    """Runs the example of docs/preview.md that uses a library, beside the file that was exported."""
    page = (pathlib.Path(__file__).parents[2] / "docs" / "preview.md").read_text()
    (code,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if library in code)
    assert len(code.splitlines()) <= 10
    assert "hpe " not in code
    cv2.imwrite(str(folder / "person.png"), CROPS[0][..., ::-1])
    monkeypatch.chdir(folder)
    capsys.readouterr()
    exec(code, {})
    lines = capsys.readouterr().out.splitlines()
    places = expected(system, CROPS[:1])["joints3d"][0]
    assert [line.split()[0] for line in lines] == list(skeletons.COCOPLUS19.joints)
    for line, place in zip(lines, places, strict=True):
        found = [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", line.partition("[")[2])]
        np.testing.assert_allclose(found, place, atol=1e-4)


_ALONE = """
import sys
import numpy as np, tensorflow as tf
model = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
np.savez(sys.argv[3], **model(image=tf.constant(np.load(sys.argv[2]))))
assert not any(name.split(".")[0] == "hpe" for name in sys.modules)
"""


def test_a_saved_model_runs_without_hpe(system, tmp_path, monkeypatch, capsys):
    exported = export_model(system, tmp_path / "deep" / "model", details={"step": 7})
    assert exported.format is Format.SAVED_MODEL
    assert exported.difference < 1e-5
    np.save(tmp_path / "crops.npy", CROPS)
    command = [
        sys.executable,
        "-c",
        _ALONE,
        tmp_path / "deep" / "model",
        tmp_path / "crops.npy",
        tmp_path / "out.npz",
    ]
    subprocess.run([*map(str, command)], check=True, cwd=tmp_path)
    with np.load(tmp_path / "out.npz") as found:
        compare(dict(found), expected(system, CROPS))
    run_example("saved_model.load", tmp_path / "deep", monkeypatch, capsys, system)
    (tmp_path / "deep" / "person.png").unlink()
    metadata = json.loads((tmp_path / "deep" / "model" / "hpe.json").read_text())
    assert (metadata["system"], metadata["step"], metadata["body_model"]) == ("hybrid_hmr", 7, "default")
    assert metadata["input"] == {"name": "image", "shape": [None, 48, 48, 3], "dtype": "uint8"}
    assert metadata["outputs"]["pose"]["shape"] == [None, 24, 3, 3]
    assert metadata["skeleton"]["name"] == "cocoplus19"
    assert len(metadata["faces"]) == len(system.body.data.faces)
    # A model that is there is replaced; anything else is not.
    export_model(system, tmp_path / "deep" / "model")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("")
    with pytest.raises(UserError, match="mine: is there already and is no SavedModel"):
        export_model(system, tmp_path / "mine")
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"model"}


def test_litert_says_the_same_of_one_crop(system, tmp_path, monkeypatch, capsys):
    exported = export_model(system, tmp_path / "model.tflite")
    assert exported.difference < 1e-4
    with pytest.warns(UserWarning, match="deprecated"):
        runner = tf.lite.Interpreter(model_path=str(tmp_path / "model.tflite")).get_signature_runner()
    compare(runner(image=CROPS[:1]), expected(system, CROPS[:1]))
    run_example("tf.lite", tmp_path, monkeypatch, capsys, system)
    assert json.loads((tmp_path / "model.tflite.json").read_text())["schema"] == "hpe.model"


def test_onnx_says_the_same_of_any_number_of_crops(system, tmp_path, monkeypatch, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    assert export_model(system, tmp_path / "model.onnx").difference < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert [given.name for given in session.get_inputs()] == ["image"]
    for count in (1, 3):
        values = session.run(None, {"image": CROPS[:count]})
        names = [output.name for output in session.get_outputs()]
        compare(dict(zip(names, values, strict=True)), expected(system, CROPS[:count]))
    run_example("onnxruntime", tmp_path, monkeypatch, capsys, system)


class Toy:
    """A system of another package, with a network that is no weights of its runs, as MoveNet's is none."""

    name, input_key, input_shape, body_models = "toy", "image", (8, 8, 3), ()

    def __init__(self):
        self.layer, self.constant = keras.layers.Dense(2), keras.layers.Dense(2)
        for layer in (self.layer, self.constant):
            layer.build((None, 3))
        self.networks = {"any name/at all": self.layer}

    def infer(self, inputs):
        scaled = ops.cast(inputs, "float32") / 255
        _, brightest = highest(ops.reshape(scaled, (-1, 64, 3)))
        place, _ = highest(self.constant(ops.reshape(scaled, (-1, 64, 3))))
        joints = self.layer(brightest) + ops.cast(place, "float32")
        return {"joints2d": ops.expand_dims(joints, 1), "depth": brightest}

    def to_prediction(self, inferred):
        return Prediction("coco17", np.asarray(inferred["joints2d"]))


@pytest.mark.parametrize("name", ["toy", "toy.tflite", "toy.onnx"])
def test_a_system_of_another_package(tmp_path, name):
    if name.endswith("onnx"):
        pytest.importorskip("tf2onnx")
    assert export_model(Toy(), tmp_path / name).difference < 1e-5
    if name == "toy":
        loaded = tf.saved_model.load(str(tmp_path / "toy")).signatures["serving_default"]
        assert set(loaded(image=tf.constant(CROPS[:, :8, :8]))) == {"joints2d", "depth"}


def test_what_cannot_be_exported_is_one_line(system, tmp_path, monkeypatch):
    with pytest.raises(
        UserError, match=r"a\.h5: models are written to NAME\.tflite, NAME\.onnx, or the folder"
    ):
        format_of("a.h5")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r"pip install 'hpe\[export\]'"):
        export_model(system, tmp_path / "a.onnx")
    wrong = types.SimpleNamespace(**{name: getattr(system, name) for name in dir(system) if name[0] != "_"})
    calls = []

    def infer(inputs):
        calls.append(1)
        return {name: value + float(len(calls) > 1) for name, value in system.infer(inputs).items()}

    wrong.infer = infer
    with pytest.raises(UserError, match="as saved_model the model says something else, by up to 1"):
        export_model(wrong, tmp_path / "wrong")
    assert list(tmp_path.iterdir()) == []

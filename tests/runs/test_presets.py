"""The weights that come with the package."""

import dataclasses
import subprocess
import sys

import cv2
import numpy as np
import pytest

import hpe
from hpe import runs
from hpe.backends import graphs
from hpe.backends.choice import without_xla
from hpe.body.data import load_body_model
from hpe.inference.model import Model
from hpe.runs.presets import presets
from hpe.runs.released import read
from hpe.skeletons import COCOPLUS19
from hpe.synthetic.people import SyntheticConfig, generate
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet_ready import ready_movenet_body
from hpe.systems.settings.movenet import Evidence


@pytest.fixture(scope="module")
def people():
    """Pictures of synthetic people, none of whom was seen in training, and their joints (19, 2)."""
    body = load_body_model()
    samples = [generate(index, SyntheticConfig(seed=77), body) for index in range(8)]
    pictures = [cv2.imdecode(np.frombuffer(sample.image, np.uint8), cv2.IMREAD_COLOR) for sample in samples]
    return [picture[..., ::-1] for picture in pictures], [sample.joints2d for sample in samples]


@pytest.mark.parametrize("name", sorted(presets()))
def test_presets_are_small_whole_and_free(name):
    path = presets()[name].path
    assert path.stat().st_size < 16e6
    file = read(path)
    assert file.licence.startswith("MIT")
    assert file.settings.system == "movenet"


@pytest.fixture(scope="module")
def loaded():
    return [runs.load(name) for name in ("lightning", "thunder")]


def test_one_file_serves_both(loaded):
    lightning, thunder = loaded
    assert (lightning.system.config.movenet.value, lightning.system.image_size) == ("lightning", 192)
    assert (thunder.system.config.movenet.value, thunder.system.image_size) == ("thunder", 256)
    assert lightning.path == thunder.path
    for one, other in zip(lightning.system.lifter.weights, thunder.system.lifter.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_ready_graphs_say_what_the_networks_say(loaded, people):
    pictures, _ = people
    for whole in loaded:
        ready = runs.load_ready(whole.system.config.movenet.value)
        assert (ready.path, ready.step, ready.settings) == (whole.path, whole.step, whole.settings)
        assert ready.system.input_shape == whole.system.input_shape
        assert ready.system.body_models == whole.system.body_models
        crops = np.stack([cv2.resize(picture, ready.system.input_shape[:2]) for picture in pictures[:3]])
        with without_xla():
            expected = whole.system.infer(crops)
        found = ready.system.infer(crops)
        assert set(found) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], np.asarray(value), atol=1e-4, err_msg=name)


def test_a_preset_predicts_without_tensorflow_and_keras():
    code = """
import pathlib, re, sys
import hpe, numpy as np
hpe.load("lightning").predict(np.zeros((90, 160, 3), np.uint8), detector="default")
assert not {"keras", "tensorflow", "jax"} & set(sys.modules)
status = pathlib.Path("/proc/self/status")  # Linux
print(re.search(r"VmHWM:\\s+(\\d+) kB", status.read_text())[1] if status.exists() else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    # 190 MB when it was written, and 1040 with TensorFlow.
    assert int(done.stdout) < 500_000


def test_without_onnxruntime_the_networks_predict(monkeypatch):
    monkeypatch.setattr(graphs, "available", lambda: False)
    assert runs.load_ready("lightning") is None


def test_what_is_not_as_shipped_has_no_ready_graph(loaded):
    model = loaded[0].settings.model
    for change in ({"evidence": Evidence.THUNDER}, {"lifter_size": 128}, {"refine": 3}):
        assert ready_movenet_body(dataclasses.replace(model, **change), loaded[0].settings.input, {}) is None
    assert ready_movenet_body(model, ImageInput(img_size=256), {}) is None
    with pytest.raises(ValueError, match="does not go with its weights"):
        ready_movenet_body(model, loaded[0].settings.input, {"lifter/other": np.zeros(3, np.float32)})


def test_the_networks_are_built_when_they_are_needed():
    model = Model.of(dataclasses.replace(runs.load_ready("lightning"), whole=lambda: "the whole system"))
    assert not hasattr(model.predictor.system, "networks")
    assert model.system == "the whole system"


def test_bodies_do_what_the_people_in_the_pictures_do(people):
    pictures, joints = people
    model = hpe.load("lightning")
    hits = []
    for picture, true in zip(pictures, joints, strict=True):
        low, high = true[:, :2].min(axis=0), true[:, :2].max(axis=0)
        (person,) = model.predict(picture, boxes=[(*low, *(high - low))])
        assert person.skeleton == COCOPLUS19.name
        torso = np.linalg.norm(
            true[COCOPLUS19.index("right_hip"), :2] - true[COCOPLUS19.index("left_shoulder"), :2]
        )
        off = np.linalg.norm(person.joints2d - true[:, :2], axis=1)[: COCOPLUS19.index("nose")]
        hits.append(off < 0.2 * torso)
    # 0.86 of 112 when it was written.
    assert np.mean(hits) > 0.78

"""The weights that come with the package."""

import cv2
import numpy as np
import pytest

import hpe
from hpe import runs
from hpe.body.data import load_body_model
from hpe.runs.presets import presets
from hpe.runs.released import read
from hpe.skeletons import COCOPLUS19
from hpe.synthetic.people import SyntheticConfig, generate


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


def test_one_file_serves_both():
    lightning, thunder = (runs.load(name) for name in ("lightning", "thunder"))
    assert (lightning.system.config.movenet.value, lightning.system.image_size) == ("lightning", 192)
    assert (thunder.system.config.movenet.value, thunder.system.image_size) == ("thunder", 256)
    assert lightning.path == thunder.path
    for one, other in zip(lightning.system.lifter.weights, thunder.system.lifter.weights, strict=True):
        np.testing.assert_array_equal(one, other)


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

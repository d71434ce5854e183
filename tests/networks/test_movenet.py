import functools
import pathlib

import numpy as np
import pytest
from keras import ops

from hpe.networks.movenet import SIZES, MoveNet, decode_maps, published_names


@pytest.fixture(scope="module")
def movenets():
    """The published networks, by their versions."""
    return functools.cache(MoveNet)


@pytest.mark.parametrize(("version", "numbers"), [("lightning", 2_317_974), ("thunder", 6_226_046)])
def test_versions_have_the_published_number_of_weights_and_a_name_for_each(movenets, version, numbers):
    movenet = movenets(version)
    assert movenet.count_params() == numbers
    names = published_names()
    assert sorted(variable.path for variable in movenet.maps.variables) == sorted(names)
    assert len(set(names.values())) == len(names)


def test_maps_are_a_quarter_of_the_picture(movenets):
    for height, width in ((192, 192), (96, 64)):
        maps = movenets("lightning").maps(np.zeros((2, height, width, 3), np.float32))
        assert maps["heatmaps"].shape == (2, height // 4, width // 4, 17)
        assert maps["offsets"].shape == maps["regression"].shape == (2, height // 4, width // 4, 34)
        assert maps["features"].shape == (2, height // 32, width // 32, 1280)


def made_maps(people, height=24, width=32):
    """Returns maps of people that are (center row, column, joints (17, 3): row, column, probability)."""
    maps = {
        "heatmaps": np.full((1, height, width, 17), -9.0, np.float32),
        "centers": np.full((1, height, width, 1), -9.0, np.float32),
        "regression": np.zeros((1, height, width, 34), np.float32),
        "offsets": np.zeros((1, height, width, 34), np.float32),
    }
    for row, column, joints in people:
        maps["centers"][0, row, column] = 4.0
        rough = joints[:, :2] - (row, column) + 0.7  # two thirds of a cell beside it
        maps["regression"][0, row, column] = rough.ravel()
        for joint, (y, x, probability) in enumerate(joints):
            cell = int(y), int(x)
            maps["heatmaps"][0, cell[0], cell[1], joint] = np.log(probability / (1 - probability))
            maps["offsets"][0, cell[0], cell[1], 2 * joint : 2 * joint + 2] = y - cell[0], x - cell[1]
    return maps


def person(generator, row, column):
    joints = generator.uniform(-5, 5, size=(17, 3)) + np.array([row, column, 0])
    joints[:, 2] = generator.uniform(0.3, 0.9, size=17)
    return row, column, joints


def test_joints_are_decoded_to_a_fraction_of_a_cell():
    _, _, joints = middle = person(np.random.default_rng(0), 12, 16)
    found = ops.convert_to_numpy(decode_maps(made_maps([middle])))[0]
    # The graph's 0 is the picture's edge, pixels' centres are at integers here.
    np.testing.assert_allclose(found[:, :2], 4 * joints[:, 1::-1] - 0.5, atol=1e-4)
    np.testing.assert_allclose(found[:, 2], joints[:, 2], atol=1e-5)


def test_of_two_people_the_one_in_the_middle_is_taken():
    generator = np.random.default_rng(1)
    middle, beside = person(generator, 12, 15), person(generator, 12, 26)
    found = ops.convert_to_numpy(decode_maps(made_maps([beside, middle])))[0]
    np.testing.assert_allclose(found[:, :2], 4 * middle[2][:, 1::-1] - 0.5, atol=1e-4)


def pattern(side):
    """A picture with something like a person before something like a landscape, (side, side, 3) uint8."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    waves = (
        128 + 90 * np.sin(11 * x + 3 * y),
        128 + 80 * np.cos(7 * y - 5 * x * y),
        120 + 90 * np.sin(9 * x * y + 2),
    )
    picture = np.stack(waves, axis=-1)
    picture[((x - 0.5) / 0.1) ** 2 + ((y - 0.5) / 0.3) ** 2 < 1] = (200, 60, 40)
    picture[(x - 0.5) ** 2 + (y - 0.15) ** 2 < 0.005] = (220, 180, 150)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("version", SIZES)
def test_computes_what_the_published_graph_computes(movenets, version):
    # Recorded from the published graph, run node by node in TensorFlow 2.21; every eighth cell of the maps.
    recorded = np.load(pathlib.Path(__file__).parent / "movenet_recorded.npz")
    movenet = movenets(version)
    picture = pattern(movenet.size.picture)[None].astype(np.float32) / 127.5 - 1.0
    maps = movenet.maps(picture)
    for name in ("heatmaps", "centers", "regression", "offsets"):
        expected = recorded[f"{version}_{name}"]
        found = ops.convert_to_numpy(maps[name])[0, ::8, ::8]
        np.testing.assert_allclose(found, expected, atol=1e-3 * max(1.0, np.abs(expected).max()))
    features = ops.convert_to_numpy(maps["features"])[0, ::3, ::3, ::16]
    np.testing.assert_allclose(features, recorded[f"{version}_features"], atol=1e-3)
    # The graph holds one cell as a share of the picture in half precision.
    found = ops.convert_to_numpy(movenet(picture))[0]
    np.testing.assert_allclose(found, recorded[f"{version}_joints"], atol=0.06)


def test_unknown_versions_are_named():
    with pytest.raises(ValueError, match="lightning, thunder"):
        MoveNet("storm")


def test_pictures_for_which_it_was_trained():
    assert {name: size.picture for name, size in SIZES.items()} == {"lightning": 192, "thunder": 256}

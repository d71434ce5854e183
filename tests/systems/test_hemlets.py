"""HEMlets as a system: what its losses reach, how its predictions are made, and where mirror images lie."""

import copy
import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hpe import skeletons, systems
from hpe.errors import UserError
from hpe.losses.volumes import VOLUME_DEPTH
from hpe.programs.show_maps import draw_maps
from hpe.skeletons.parts import FARTHER, H36M_BONES, PARTS, UNKNOWN
from hpe.systems.hemlets import Hemlets, build_hemlets, side_in_metres
from hpe.systems.inputs import ImageInput
from hpe.systems.settings.hemlets import HemletsConfig

SIZE, CELLS = 64, 8
SMALL = {"encoder": "small", "volume_size": CELLS, "volume_depth": 4, "branch_width": 4, "feature_width": 8}
JOINTS = skeletons.H36M18
IMAGES = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
numpy = ops.convert_to_numpy


@pytest.fixture(scope="module")
def system():
    keras.utils.set_random_seed(0)
    return Hemlets(HemletsConfig(**SMALL), image_size=SIZE)


def configured(system, **options):
    """The system with the same networks and other settings."""
    other = copy.copy(system)
    other.config = dataclasses.replace(system.config, **options)
    return other


def truth():
    rng = np.random.default_rng(1)
    return {
        "joints2d": rng.uniform(-0.8, 0.8, (2, 18, 2)).astype("f4"),
        "joints2d_weight": np.ones((2, 18), "f4"),
        "joints3d": rng.normal(0, 0.4, (2, 18, 3)).astype("f4"),
        "joints3d_weight": np.ones((2, 18), "f4"),
        "part_order": np.zeros((2, 14), np.int32),
    }


def test_it_is_a_system_of_images(system):
    assert systems.get("hemlets").config is HemletsConfig
    assert (system.name, system.input_key, system.input_shape) == ("hemlets", "image", (SIZE, SIZE, 3))
    assert set(system.networks) == {"encoder", "features", "maps", "volume"}
    variables = [id(v) for network in system.networks.values() for v in network.variables]
    own = [id(v) for v in (*system.optimizers["main"].variables, *system.non_trainable_variables)]
    assert sorted(variables) == sorted(own)
    # By their paths optimizers name what they keep for them.
    paths = [v.path for network in system.networks.values() for v in network.variables]
    assert len(set(paths)) == len(paths)
    assert set(system.optimizers["main"].loss_names) == {"joints_loss", "triplet_loss", "heatmap_loss"}
    only = configured(system, triplet_loss_weight=0.0)
    assert "part_order" not in only.needs.fields
    assert "triplet_loss" not in only.losses(only.forward(IMAGES, training=False), truth()).parts


def test_every_loss_reaches_the_branch_of_the_maps(system):
    """The students' code computes its maps' losses outside of the graph, so that they teach nothing."""
    tail = system.networks["maps"].get_layer("maps_conv_tail").trainable_variables[0]
    encoder = system.networks["encoder"].trainable_variables[0]
    outputs_of = {}
    with tf.GradientTape(persistent=True) as tape:
        outputs = system.forward(IMAGES, training=True)
        losses = system.losses(outputs, truth())
        values = losses.values()
    for name in losses.weights:
        by_tail, by_encoder = tape.gradient(values[name], [tail, encoder])
        outputs_of[name] = numpy(by_tail)
        assert np.abs(numpy(by_encoder)).max() > 0, name
    # Of 60 maps the joints' loss moves the first 18, the triplets' the others, and each moves all of them.
    per_map = {name: np.abs(gradient).max(axis=(0, 1, 2)) for name, gradient in outputs_of.items()}
    assert (per_map["heatmap_loss"][:18] > 0).all()
    assert (per_map["heatmap_loss"][18:] == 0).all()
    assert (per_map["triplet_loss"][:18] == 0).all()
    assert (per_map["triplet_loss"][18:] > 0).all()
    assert (per_map["joints_loss"] > 0).all()


def test_2d_pictures_teach_the_plane_and_what_was_said_of_parts(system):
    batch = truth()
    batch["joints3d_weight"][:] = 0
    batch["joints3d"][:] = np.nan
    assert (numpy(system.part_states(batch)) == UNKNOWN).all()
    outputs = system.forward(IMAGES, training=False)
    assert float(system.losses(outputs, batch).parts["triplet_loss"].value) == 0
    with tf.GradientTape() as tape:
        places = tf.constant(numpy(outputs["places"]))
        tape.watch(places)
        loss = system.losses({**outputs, "places": places}, batch).parts["joints_loss"].value
    gradient = numpy(tape.gradient(loss, places))
    assert (np.abs(gradient[..., :2]) > 0).all()
    assert (gradient[..., 2] == 0).all()
    batch["part_order"][1, 4] = FARTHER
    states = numpy(system.part_states(batch))
    assert states[1, 4] == FARTHER
    assert np.count_nonzero(states) == 1
    labelled = system.losses(outputs, batch).parts["triplet_loss"]
    assert (float(labelled.value) > 0, float(labelled.count)) == (True, 1)
    # Where depths are known they go before what somebody said.
    known = truth()
    known["part_order"][:] = FARTHER
    np.testing.assert_array_equal(numpy(system.part_states(known)), numpy(system.part_states(truth())))


def test_predictions_are_places_in_metres(system):
    plain = configured(system, flip_test=False)
    places = numpy(plain.forward(IMAGES, training=False)["places"])
    prediction = plain.to_prediction(plain.infer(IMAGES))
    assert (prediction.skeleton, prediction.joints3d.shape) == ("h36m18", (2, 18, 3))
    np.testing.assert_allclose(prediction.joints2d, 2 * places[..., :2], atol=1e-6)
    np.testing.assert_allclose(
        prediction.joints3d[..., 2], VOLUME_DEPTH * (places - places[:, :1])[..., 2], atol=1e-6
    )
    scale, shift = prediction.camera[:, None, :1], prediction.camera[:, None, 1:]
    np.testing.assert_allclose(scale * (prediction.joints3d[..., :2] + shift), prediction.joints2d, atol=1e-4)
    assert ((prediction.confidence >= 0) & (prediction.confidence <= 1)).all()


def test_a_mirrored_crop_gives_the_mirrored_prediction(system):
    """With both looked at, a crop and its mirror image are told the same of, side by side."""
    there, back = system.infer(IMAGES), system.infer(IMAGES[:, :, ::-1])
    joints = numpy(there["joints2d"])
    # Pixel p becomes S - 1 - p, which normalised is -x - 2 / S.
    mirrored = numpy(back["joints2d"])[:, list(JOINTS.flip)] * [-1, 1] - [2 / SIZE, 0]
    np.testing.assert_allclose(mirrored, joints, atol=1e-5)
    np.testing.assert_allclose(
        numpy(back["joints3d"])[:, list(JOINTS.flip)] * [-1, 1, 1], numpy(there["joints3d"]), atol=1e-3
    )
    places = np.random.default_rng(2).uniform(-0.5, 0.5, (2, 18, 3)).astype("f4")
    np.testing.assert_allclose(numpy(system.mirror(system.mirror(places))), places, atol=1e-6)


def test_the_side_of_a_crop_follows_from_the_bones():
    rng = np.random.default_rng(3)
    joints = rng.normal(0, 0.3, (3, 18, 3)).astype("f4")
    ends = np.array(H36M_BONES.bones)
    lengths = np.linalg.norm(joints[:, ends[:, 0]] - joints[:, ends[:, 1]], axis=-1)
    for person, side in enumerate((0.9, 2.1, 5.0)):
        bones = type(H36M_BONES)(H36M_BONES.bones, tuple(lengths[person].tolist()))
        places, depths = joints[person : person + 1, :, :2] / side, joints[person : person + 1, :, 2:]
        found = numpy(side_in_metres(places, depths, bones))
        assert found[0] == pytest.approx(side, rel=2e-3)


def test_all_maps_of_a_crop_are_drawn(system):
    image = np.random.default_rng(5).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    model = types.SimpleNamespace(system=system, box_share=0.8)
    picture, count = draw_maps(model, image, (10, 10, 40, 60), columns=6, cell=32)
    assert count == 60
    assert picture.shape[1] == 6 * (32 + 4) + 4
    assert picture.dtype == np.uint8


def test_settings_that_cannot_be_are_refused():
    for options, message in (
        ({"volume_depth": 1}, "volume_depth"),
        ({"triplet_tolerance": -0.1}, "triplet_tolerance"),
        ({"heatmap_sigma": 0.0}, "heatmap_sigma"),
        (
            {"joints_loss_weight": 0.0, "triplet_loss_weight": 0.0, "heatmap_loss_weight": 0.0},
            "no other loss",
        ),
    ):
        with pytest.raises(UserError, match=message):
            HemletsConfig(**options)
    with pytest.raises(UserError, match=r"4 cells a side.*8, 16"):
        build_hemlets(HemletsConfig(**{**SMALL, "volume_size": 12}), ImageInput(img_size=SIZE))
    assert len(PARTS) == 14

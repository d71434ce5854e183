import keras
import numpy as np
import pytest
from keras import ops

from hpe import systems
from hpe.body.data import load_body_model
from hpe.errors import SettingError
from hpe.geometry.cameras import weak_perspective_project
from hpe.skeletons import COCO17, COCOPLUS19
from hpe.systems.inputs import ImageInput
from hpe.systems.movenet import MoveNetBody, MoveNetBodyConfig
from hpe.systems.refinement import camera_in_box, camera_of_box
from hpe.systems.settings.movenet import Evidence, MoveNetVersion

SIZE = 64
SMALL = {"lifter_size": 16, "lifter_blocks": 1, "compile_body": False}


@pytest.fixture(scope="module")
def system():
    keras.utils.set_random_seed(0)
    return systems.get("movenet").build(MoveNetBodyConfig(**SMALL), ImageInput(img_size=SIZE))


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def batch():
    generator = np.random.default_rng(1)
    return {
        "joints2d": generator.uniform(-1, 1, (2, 19, 2)).astype(np.float32),
        "joints2d_weight": np.ones((2, 19), np.float32),
        "pose": generator.normal(scale=0.3, size=(2, 72)).astype(np.float32),
        "shape": generator.normal(size=(2, 10)).astype(np.float32),
        "pose_weight": np.float32([0, 1]),
        "shape_weight": np.float32([0, 1]),
        "joints3d": generator.normal(scale=0.4, size=(2, 19, 3)).astype(np.float32),
        "joints3d_weight": np.ones((2, 19), np.float32),
    }


def test_a_prediction_holds_joints_and_a_body(system, crops):
    prediction = system.to_prediction(system.infer(crops))
    assert prediction.skeleton == "cocoplus19"
    assert prediction.joints2d.shape == (2, 19, 2)
    assert prediction.vertices.shape == (2, len(load_body_model().v_template), 3)
    projected = weak_perspective_project(prediction.joints3d, prediction.camera)
    np.testing.assert_allclose(prediction.joints2d, projected, atol=1e-5)
    unseen = [joint not in COCO17.joints for joint in COCOPLUS19.joints]
    assert (prediction.confidence[:, unseen] == 0).all()
    assert (prediction.confidence[:, np.logical_not(unseen)] > 0).all()


def test_the_camera_is_that_of_the_crop():
    generator = np.random.default_rng(2)
    points = generator.normal(size=(3, 5, 3)).astype(np.float32)
    camera = generator.uniform(0.5, 1, size=(3, 3)).astype(np.float32)
    box = generator.uniform(0.2, 0.9, size=(3, 3)).astype(np.float32)
    inside = weak_perspective_project(points, camera)
    moved = weak_perspective_project(points, ops.convert_to_numpy(camera_of_box(camera, box)))
    np.testing.assert_allclose(moved, inside * box[:, None, 2:] + box[:, None, :2], atol=1e-5)
    back = camera_in_box(camera_of_box(camera, box), box)
    np.testing.assert_allclose(ops.convert_to_numpy(back), camera, atol=1e-5)


def test_where_the_joints_lie_in_the_picture_moves_the_body_along(system):
    detections = np.random.default_rng(3).uniform(-0.5, 0.5, (1, 17, 3)).astype(np.float32)
    detections[..., 2] = 0.8
    moved = detections.copy()
    moved[..., :2] = 0.5 * moved[..., :2] + [0.3, -0.2]
    here, there = system.lift(detections)[-1], system.lift(moved)[-1]
    np.testing.assert_allclose(here["rotmats"], there["rotmats"], atol=1e-4)
    point = np.float32([[[0.1, 0.5, 0.0]]])
    np.testing.assert_allclose(
        weak_perspective_project(point, ops.convert_to_numpy(there["camera"])),
        0.5 * weak_perspective_project(point, ops.convert_to_numpy(here["camera"])) + [0.3, -0.2],
        atol=1e-4,
    )


def test_low_scores_are_taken_for_missing(crops):
    given = dict(SMALL, min_score=0.99)
    system = MoveNetBody(MoveNetBodyConfig(**given), load_body_model(), image_size=SIZE)
    assert (ops.convert_to_numpy(system.detect(crops))[..., 2] == 0).all()
    assert np.isfinite(system.to_prediction(system.infer(crops)).joints2d).all()


def test_trains_the_lifter_alone(system, crops):
    assert list(system.networks) == ["lifter"]
    (optimizer,) = system.optimizers.values()
    losses = system.losses(system.forward(crops, training=True), batch())
    assert set(optimizer.loss_names) == set(losses.weights) == {"kpr_loss", "body_loss", "joints3d_loss"}
    assert len(optimizer.variables) == len(system.lifter.trainable_variables)
    assert np.isfinite(float(losses.total))


@pytest.mark.parametrize(
    ("setting", "value"), [("lifter_size", 0), ("min_score", 1.5), ("kpr_loss_weight", float("nan"))]
)
def test_settings_are_checked(setting, value):
    with pytest.raises(SettingError, match=setting):
        MoveNetBodyConfig(**{setting: value})


def test_the_crop_must_fit_the_pyramid():
    with pytest.raises(SettingError, match="multiple of 32"):
        systems.get("movenet").build(MoveNetBodyConfig(**SMALL), ImageInput(img_size=100))


@pytest.fixture(scope="module")
def with_evidence():
    keras.utils.set_random_seed(0)
    given = dict(
        SMALL, evidence=Evidence.LIGHTNING, correction_size=16, mr_loss_weight=0.02, shape_loss_weight=0.01
    )
    return MoveNetBody(MoveNetBodyConfig(**given), load_body_model(), image_size=SIZE)


def test_evidence_corrects_the_body_of_the_joints(with_evidence, crops):
    seen = with_evidence.observe(crops)
    lifted = with_evidence.lift(seen["detections"])[-1]
    corrected, evidence = with_evidence.correct(lifted, seen)
    inferred = with_evidence.infer(crops)
    for name, value in corrected[-1].items():
        np.testing.assert_allclose(inferred[name], value, atol=1e-4)
    assert evidence["joints"].shape == (2, 14, 3)
    # Of joints alone there is no evidence.
    blind = with_evidence.infer_joints2d(seen["detections"])
    np.testing.assert_allclose(blind["rotmats"], lifted["rotmats"], atol=1e-4)


def test_all_networks_learn_from_labels_and_masks(with_evidence, crops):
    masks = np.zeros((2, SIZE, SIZE), np.uint8)
    masks[:, 16:48, 24:40] = 1
    truth = batch() | {"silhouette": masks, "silhouette_weight": np.float32([1, 0])}
    needed = {name for field in with_evidence.needs.fields for name in (field, f"{field}_weight")}
    assert needed - {"image", "image_weight"} == set(truth)
    (optimizer,) = with_evidence.optimizers.values()
    losses = with_evidence.losses(with_evidence.forward(crops, training=True), truth)
    assert set(optimizer.loss_names) == set(losses.weights) == set(losses.parts)
    assert {"mr_loss", "stay_loss", "mask_loss", "joint_maps_loss", "shape_loss"} < set(losses.parts)
    assert all(np.isfinite(float(value)) for value in losses.values().values())
    assert list(with_evidence.networks) == ["lifter", "evidence_maps", "correction"]
    assert len(optimizer.variables) == sum(
        len(network.trainable_variables) for network in with_evidence.networks.values()
    )


def test_another_version_may_observe(crops):
    given = dict(SMALL, movenet=MoveNetVersion.THUNDER, evidence=Evidence.LIGHTNING, correction_size=16)
    system = MoveNetBody(MoveNetBodyConfig(**given), load_body_model(), image_size=SIZE)
    seen = system.observe(crops)
    np.testing.assert_allclose(seen["detections"], system.detect(crops), atol=1e-5)
    assert seen["maps"].shape == (2, 48, 48, 24 + 24 + 17)
    assert np.isfinite(system.to_prediction(system.infer(crops)).joints2d).all()

"""The lifter: its frames, its statistics, its losses, and what it says."""

import keras
import numpy as np
import pytest
from keras import ops

from hpe import skeletons
from hpe.backends.autodiff import input_gradient
from hpe.errors import UserError
from hpe.systems.inputs import JointsInput
from hpe.systems.lifter import LifterConfig, LifterLoss, LiftingSystem, box_frame, build_lifter

numpy = ops.convert_to_numpy
SMALL = {"linear_size": 16, "dropout": 0.0}


def lifter(input_skeleton="h36m16", adapted=True, **options):
    keras.utils.set_random_seed(0)
    system = LiftingSystem(LifterConfig(**SMALL | options), input_skeleton=input_skeleton)
    if adapted:
        system.adapt(statistics(len(skeletons.get(input_skeleton))))
    return system


def statistics(joints=16, frames=50):
    rng = np.random.default_rng(0)
    joints3d = rng.normal(scale=0.4, size=(frames, 17, 3)).astype(np.float32)
    joints3d[:, 0] = 0
    joints2d = rng.normal(scale=100, size=(frames, joints, 2)).astype(np.float32)
    return {"joints2d": joints2d, "joints3d": joints3d}


def batch(frames=4):
    given = {name: value[:frames] for name, value in statistics().items()}
    return given | {"joints3d_weight": np.ones((frames, 17), np.float32)}


def test_the_default_network_is_the_reference():
    system = build_lifter(LifterConfig(), JointsInput())
    assert sum(int(np.prod(variable.shape)) for variable in system.optimizers["main"].variables) == 4_291_632
    assert system.input_shape == (16, 2)
    assert build_lifter(LifterConfig(**SMALL), JointsInput(keypoints="sh")).input_skeleton == "mpii16"


def test_the_pelvis_is_exactly_zero_and_the_rest_are_metres():
    system = lifter()
    outputs = system.forward(batch()["joints2d"], training=False)
    joints3d = numpy(outputs["joints3d"])
    assert joints3d.shape == (4, 17, 3)
    assert not joints3d[:, 0].any()
    given = statistics()["joints3d"][:, 1:]
    expected = numpy(outputs["standardized"]) * given.std(axis=0) + given.mean(axis=0)
    np.testing.assert_allclose(joints3d[:, 1:], expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"input_relative": True}, {"input_frame": "crop"}])
def test_the_network_sees_standardised_joints(options):
    from hpe.systems.lifter import InputFrame

    if "input_frame" in options:
        options = {"input_frame": InputFrame(options["input_frame"])}
    system = lifter(**options)
    seen = numpy(system.standardized(statistics()["joints2d"]))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std(axis=0), 1, atol=1e-3)


def test_relative_input_keeps_the_pelvis_where_it_is():
    system = lifter("mpii16", input_relative=True)
    joints2d = statistics()["joints2d"]
    shown = numpy(system.network_input(joints2d)[0])
    pelvis = skeletons.MPII16.index("pelvis")
    np.testing.assert_array_equal(shown[:, pelvis], joints2d[:, pelvis])
    np.testing.assert_allclose(shown[:, 0], joints2d[:, 0] - joints2d[:, pelvis], atol=1e-4)
    with pytest.raises(UserError, match="no pelvis"):
        lifter("coco17", input_relative=True)


def test_the_box_frame_does_not_know_place_and_size():
    joints2d = statistics()["joints2d"][:5]
    framed = numpy(box_frame(joints2d))
    extent = framed.max(axis=1) - framed.min(axis=1)
    np.testing.assert_allclose(extent.max(axis=1), 1.6, rtol=1e-5)
    np.testing.assert_allclose(framed.max(axis=1), -framed.min(axis=1), atol=1e-5)
    np.testing.assert_allclose(numpy(box_frame(3 * joints2d + 70)), framed, atol=1e-4)
    assert not numpy(box_frame(np.ones((1, 16, 2), np.float32))).any()


def test_losses_are_zero_for_the_truth_and_measured_in_their_units():
    for loss in LifterLoss:
        system = lifter(lifter_loss=loss)
        given = batch()
        outputs = system.forward(given["joints2d"], training=False)
        agreeing = given | {"joints3d": numpy(outputs["joints3d"])}
        assert float(system.losses(outputs, agreeing).total) < 1e-4
        off = agreeing | {"joints3d": agreeing["joints3d"] + np.float32([0.1, 0, 0])}
        # All but the pelvis, which is where the truth has it, too.
        off["joints3d"][:, 0] = 0
        losses = system.losses(outputs, off)
        if loss is LifterLoss.MPJPE:
            assert np.isclose(float(losses.parts["lifter_loss"].value), 0.1, atol=1e-5)
            assert np.isclose(float(losses.total), 1.0, atol=1e-4)
        else:
            deviation = statistics()["joints3d"][:, 1:].std(axis=0)
            expected = np.mean((0.1 / deviation[:, 0]) ** 2) / 3
            assert np.isclose(float(losses.total), expected, rtol=1e-3)
        assert np.isclose(float(losses.measured["loss/train_mpjpe"].value), 100 * 16 / 17, rtol=1e-4)


@pytest.mark.parametrize("loss", list(LifterLoss))
def test_a_joint_that_is_hit_exactly_has_a_gradient(loss):
    system = lifter(lifter_loss=loss)
    given = batch()
    outputs = system.forward(given["joints2d"], training=False)
    hit = given | {"joints3d": numpy(outputs["joints3d"]) + np.float32([[[0]], [[0]], [[0.1]], [[0]]])}

    def cost(standardized):
        joints3d = system.standardization.restore_outputs(standardized)
        joints3d = ops.concatenate([ops.zeros_like(joints3d[:, :1]), joints3d], axis=1)
        return system.losses({"standardized": standardized, "joints3d": joints3d}, hit).total

    gradient = numpy(input_gradient(cost, outputs["standardized"]))
    assert np.isfinite(gradient).all()
    assert gradient[2].any()
    np.testing.assert_allclose(gradient[[0, 1, 3]], 0, atol=1e-6)


def test_poses_without_truth_do_not_count():
    system, given = lifter(), batch()
    outputs = system.forward(given["joints2d"], training=False)
    half = given | {"joints3d_weight": np.float32([[1], [1], [0], [0]]) * np.ones((1, 17), np.float32)}
    spoiled = half | {"joints3d": np.concatenate([given["joints3d"][:2], 99 + given["joints3d"][2:]])}
    assert np.isclose(float(system.losses(outputs, half).total), float(system.losses(outputs, spoiled).total))


def test_the_flip_test_gives_mirror_images_mirrored_poses():
    system, joints2d = lifter(flip_test=True), batch()["joints2d"]
    flip2d, flip3d = list(skeletons.H36M16.flip), list(skeletons.H36M17.flip)
    mirrored = joints2d[:, flip2d] * np.float32([-1, 1])
    there, back = (numpy(system.infer(value)["joints3d"]) for value in (joints2d, mirrored))
    np.testing.assert_allclose(back[:, flip3d] * [-1, 1, 1], there, atol=1e-5)
    plain = numpy(lifter().infer(joints2d)["joints3d"])
    assert np.abs(plain - there).max() > 1e-3


def test_predictions_name_both_joint_sets():
    system = lifter("mpii16")
    joints2d = batch()["joints2d"]
    prediction = system.to_prediction(system.infer(joints2d))
    assert (prediction.skeleton, prediction.joints3d_skeleton) == ("mpii16", "h36m17")
    np.testing.assert_allclose(prediction.joints2d, numpy(box_frame(joints2d)), atol=1e-5)
    assert prediction.joints3d.shape == (4, 17, 3)


def test_a_frozen_lifter_runs_as_in_inference():
    system, joints2d = lifter(dropout=0.5), batch()["joints2d"]
    before = numpy(system.forward(joints2d, training=False)["joints3d"])
    frozen = system.forward(joints2d, training=True, seed=[1, 2], frozen=("lifter",))["joints3d"]
    np.testing.assert_array_equal(numpy(frozen), before)
    assert (
        np.abs(numpy(system.forward(joints2d, training=True, seed=[1, 2])["joints3d"]) - before).max() > 1e-3
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda given: given["joints2d"].__setitem__((slice(None), 3, 1), 5.0),
            "y of the 2D joint right_ankle",
        ),
        (lambda given: given["joints3d"].__setitem__((slice(None), 9, 2), 0.0), "z of the 3D joint nose"),
        (lambda given: given["joints3d"].__setitem__((0, 4, 0), np.nan), "3D joints is not finite"),
        (lambda given: given.update(joints2d=given["joints2d"][:0]), "2D joints is not finite"),
    ],
)
def test_statistics_without_sense_are_refused(spoil, message):
    given = statistics()
    spoil(given)
    with pytest.raises(UserError, match=message):
        lifter(adapted=False).adapt(given)


@pytest.mark.parametrize("wrong", [{"linear_size": 0}, {"num_blocks": 0}, {"dropout": 1.0}])
def test_wrong_settings_are_refused_by_the_name_of_their_flag(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}"):
        LifterConfig(**wrong)

"""HRNet and the lifter together: joints are handed over by their names, and do not depend on the crop."""

import types

import keras
import numpy as np
import pytest
from keras import ops

from hpe import skeletons
from hpe.errors import UserError
from hpe.systems import hrnet
from hpe.systems.hrnet import Hrnet, HrnetConfig
from hpe.systems.hrnet_lifter import HrnetLifter
from hpe.systems.lifter import InputFrame, LifterConfig, LiftingSystem
from tests.networks.strided_backbone import strided_backbone

numpy = ops.convert_to_numpy


def lifter(input_skeleton="mpii16", frame=InputFrame.CROP):
    keras.utils.set_random_seed(0)
    config = LifterConfig(linear_size=16, dropout=0.0, input_frame=frame)
    system = LiftingSystem(config, input_skeleton=input_skeleton)
    rng = np.random.default_rng(0)
    joints3d = rng.normal(scale=0.4, size=(40, 17, 3)).astype(np.float32)
    joints3d[:, 0] = 0
    joints2d = rng.normal(scale=100, size=(40, len(skeletons.get(input_skeleton)), 2)).astype(np.float32)
    system.adapt({"joints2d": joints2d, "joints3d": joints3d})
    return system


def detector(joints2d, skeleton):
    """Finds the same joints in every picture."""
    found = {"joints2d": joints2d, "confidence": np.ones(joints2d.shape[:2], np.float32)}
    return types.SimpleNamespace(
        skeleton=skeleton, input_shape=(64, 64, 3), networks={"backbone": None}, infer=lambda images: found
    )


def joints(skeleton, people=2):
    count = len(skeletons.get(skeleton))
    return np.random.default_rng(1).uniform(-0.8, 0.8, (people, count, 2)).astype(np.float32)


def test_joints_are_handed_over_by_their_names():
    found, lifting = joints("lsp14"), lifter("mpii16")
    inferred = HrnetLifter(detector(found, "lsp14"), lifting).infer(None)
    expected = skeletons.convert(skeletons.LSP14, skeletons.MPII16).coordinates(found)
    np.testing.assert_allclose(numpy(inferred["lifted2d"]), expected, atol=1e-6)
    np.testing.assert_allclose(
        numpy(inferred["joints3d"]), numpy(lifting.infer(expected)["joints3d"]), atol=1e-5
    )


def test_the_place_and_size_of_the_crop_do_not_matter():
    found, lifting = joints("mpii16"), lifter()
    first, second = (
        numpy(HrnetLifter(detector(points, "mpii16"), lifting).infer(None)["joints3d"])
        for points in (found, 0.4 * found + np.float32([0.3, -0.2]))
    )
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_real_detector_and_its_prediction(monkeypatch):
    monkeypatch.setattr(hrnet, "build_hrnet", strided_backbone)
    found = Hrnet(HrnetConfig(hrnet_width=2, skeleton="h36m17", flip_test=False), image_size=32)
    system = HrnetLifter(found, lifter("h36m17"))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    prediction = system.to_prediction(system.infer(images))
    assert (prediction.skeleton, prediction.joints3d_skeleton) == ("h36m17", "h36m17")
    assert prediction.joints2d.shape == (2, 17, 2)
    assert prediction.joints3d.shape == (2, 17, 3)
    assert prediction.confidence.shape == (2, 17)
    assert not prediction.joints3d[:, 0].any()
    assert {"hrnet/backbone", "hrnet/head", "lifter/lifter", "lifter/standardization"} == set(system.networks)
    normalized = system.normalize2d(prediction.joints2d)
    assert normalized.shape == (2, 17, 2)


def test_parts_that_do_not_fit_are_one_line():
    with pytest.raises(UserError, match="trained on pixels of its cameras, which a crop has not"):
        HrnetLifter(detector(joints("mpii16"), "mpii16"), lifter(frame=InputFrame.IMAGE))
    with pytest.raises(UserError, match="head_top of it cannot be told from the coco17 of `checkpoint`"):
        HrnetLifter(detector(joints("coco17"), "coco17"), lifter("mpii16"))

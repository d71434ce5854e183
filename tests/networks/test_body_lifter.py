import numpy as np
import pytest
from keras import ops

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.geometry.rotations import axis_angle_to_rotmat, rotmat_to_rot6d
from hpe.networks.body_lifter import BodyLifter, normalize_joints, projector
from hpe.skeletons import COCO17, COCOPLUS19


@pytest.fixture(scope="module")
def parts():
    data = load_body_model()
    mean = axis_angle_to_rotmat(np.reshape(data.mean_pose, (24, 3)))
    lifter = BodyLifter(17, ops.convert_to_numpy(rotmat_to_rot6d(mean)), width=16, num_blocks=1)
    project = projector(BodyModel(data), [COCOPLUS19.index(joint) for joint in COCO17.joints])
    return lifter, project, ops.convert_to_numpy(mean)


def detections(count=3):
    joints = np.random.default_rng(0).uniform(-1, 1, size=(count, 17, 3)).astype(np.float32)
    joints[..., 2] = np.abs(joints[..., 2]) + 0.01
    return joints


def test_starts_near_the_mean_body_and_projects_every_stage(parts):
    lifter, project, mean = parts
    stages = lifter(detections(), project=project)
    assert len(stages) == 2
    for stage in stages:
        assert stage["rotmats"].shape == (3, 24, 3, 3)
        assert stage["shape"].shape == (3, 10)
        # The root mean square is much the same whatever the first weights are, 0.03 to 0.06 in 60 draws; the
        # largest difference is a matter of chance.
        assert np.sqrt(np.mean((ops.convert_to_numpy(stage["rotmats"]) - mean) ** 2)) < 0.1
        np.testing.assert_allclose(stage["joints2d"], project(stage), atol=1e-6)


def test_later_stages_see_how_far_the_body_lies_from_the_joints(parts):
    lifter, project, _ = parts
    joints = detections()

    def moved(parameters):
        return project(parameters) + 0.3

    first, second = lifter(joints, project=project)
    other_first, other_second = lifter(joints, project=moved)
    np.testing.assert_array_equal(first["camera"], other_first["camera"])
    assert np.abs(ops.convert_to_numpy(second["camera"] - other_second["camera"])).max() > 1e-4


def test_places_of_missing_joints_have_no_effect(parts):
    lifter, project, _ = parts
    joints = detections()
    joints[:, 4, 2] = 0.0
    elsewhere = joints.copy()
    elsewhere[:, 4, :2] = 1e3
    for a, b in zip(lifter(joints, project=project), lifter(elsewhere, project=project), strict=True):
        np.testing.assert_array_equal(a["rotmats"], b["rotmats"])


def test_half_precision_in_training_is_near(parts):
    lifter, project, _ = parts
    half = BodyLifter.from_config(lifter.get_config() | {"mixed_precision": True})
    half.set_weights(lifter.get_weights())
    exact = lifter(detections(), project=project)[-1]["camera"]
    np.testing.assert_array_equal(half(detections(), project=project)[-1]["camera"], exact)
    np.testing.assert_allclose(
        half(detections(), project=project, training=True)[-1]["camera"], exact, atol=2e-2
    )


def test_sizes_are_checked(parts):
    with pytest.raises(ValueError, match="width=0"):
        BodyLifter(17, np.zeros(144), width=0)
    with pytest.raises(ValueError, match="Received: 143 and 3"):
        BodyLifter(17, np.zeros(143))


def test_joints_are_moved_into_the_box_of_those_that_are_there():
    joints = np.array([[[10, 20, 1], [30, 60, 0.5], [999, -999, 0]]], np.float32)
    inside, box = normalize_joints(joints)
    np.testing.assert_allclose(inside, [[[-0.5, -1, 1], [0.5, 1, 0.5], [0, 0, 0]]])
    np.testing.assert_allclose(box, [[20, 40, 20]])
    for nobody in (np.zeros((1, 3, 3), np.float32), np.array([[[5, 6, 1], [0, 0, 0]]], np.float32)):
        inside, box = normalize_joints(nobody)
        assert np.isfinite(inside).all()
        np.testing.assert_array_equal(inside[..., :2], 0)
        assert box[0, 2] == 1

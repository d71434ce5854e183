import numpy as np
import pytest
from keras import ops

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.body.joint_bounds import leeway, limit_excess
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.networks.body_lifter import projector
from hpe.skeletons import COCO17, COCOPLUS19
from hpe.systems.fitting import fit, joint_misfit


@pytest.fixture(scope="module")
def project():
    return projector(BodyModel(load_body_model()), [COCOPLUS19.index(joint) for joint in COCO17.joints])


def bodies(pose):
    upright = np.zeros(3)
    upright[0] = np.pi
    pose = np.concatenate([np.tile(upright, (len(pose), 1)), pose], axis=1).reshape(-1, 24, 3)
    rotmats = ops.convert_to_numpy(axis_angle_to_rotmat(pose.astype(np.float32)))
    camera = np.tile(np.float32([1.1, 0.0, 0.1]), (len(pose), 1))
    return {"rotmats": rotmats, "shape": np.zeros((len(pose), 10), np.float32), "camera": camera}


@pytest.fixture(scope="module")
def case(project):
    generator = np.random.default_rng(0)
    pose = generator.normal(size=(3, 69)) * 0.2
    true, start = bodies(pose), bodies(pose + generator.normal(size=pose.shape) * 0.1)
    points = ops.convert_to_numpy(project(true))
    return start, np.concatenate([points, np.full((3, 17, 1), 0.9)], axis=-1).astype(np.float32)


def fitted(start, joints, project, *, steps):
    return fit(start, lambda body: joint_misfit(project(body), joints), steps=steps)


def errors(project, body, joints):
    return np.linalg.norm(ops.convert_to_numpy(project(body)) - joints[..., :2], axis=-1)


def test_bodies_come_nearer_to_the_joints(project, case):
    start, joints = case
    body = fitted(start, joints, project, steps=20)
    before, after = errors(project, start, joints), errors(project, body, joints)
    assert (after.mean(axis=1) < 0.4 * before.mean(axis=1)).all()
    rotmats = ops.convert_to_numpy(body["rotmats"])
    np.testing.assert_allclose(
        rotmats @ np.swapaxes(rotmats, -1, -2), np.tile(np.eye(3), (3, 24, 1, 1)), atol=1e-5
    )


def test_people_are_fitted_each_by_itself_and_missing_joints_have_no_say(project, case):
    start, joints = case
    alone = fitted({name: value[1:2] for name, value in start.items()}, joints[1:2], project, steps=3)
    joints = joints.copy()
    joints[0, 3] = (50.0, -50.0, 0.0)
    together = fitted(start, joints, project, steps=3)
    np.testing.assert_allclose(alone["rotmats"][0], together["rotmats"][1], atol=1e-5)
    left_out = joints.copy()
    left_out[0, 3, :2] = 0.0
    np.testing.assert_allclose(
        fitted(start, left_out, project, steps=3)["rotmats"], together["rotmats"], atol=1e-6
    )


def test_without_steps_nothing_changes(project, case):
    start, joints = case
    for name, value in fitted(start, joints, project, steps=0).items():
        np.testing.assert_allclose(value, start[name], atol=1e-5)


def test_joints_are_not_bent_beyond_their_limits(project, case):
    joints = case[1]
    straight = bodies(np.zeros((1, 69)))
    wanted = joints[:1].copy()
    # A shin that points to the side: only a knee that breaks could do it.
    knee, ankle = COCO17.index("left_knee"), COCO17.index("left_ankle")
    wanted[0, :, :2] = ops.convert_to_numpy(project(straight))
    wanted[0, ankle, :2] = wanted[0, knee, :2] + [0.3, 0.2]
    body = fitted(straight, wanted, project, steps=40)
    assert float(ops.max(limit_excess(body["rotmats"], leeway(straight["rotmats"])))) < 0.1

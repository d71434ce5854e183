"""The NumPy body agrees with the Keras layer, which was written from the equations on its own."""

import dataclasses

import numpy as np
import pytest

from hpe.body.body_model import BodyModel
from hpe.body.data import load_body_model
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.synthetic.dressed_body import NumpyBody


@pytest.mark.parametrize("with_correctives", [False, True])
def test_agrees_with_the_layer(with_correctives):
    rng = np.random.default_rng(0)
    data = load_body_model("default")
    if with_correctives:
        correctives = rng.normal(0, 1e-3, (len(data.v_template), 3, 207)).astype(np.float32)
        data = dataclasses.replace(data, pose_dirs=correctives)
    layer, body = BodyModel(data), NumpyBody(data)
    poses = rng.normal(0, 0.6, (3, 72)).astype(np.float32)
    shapes = rng.normal(0, 1, (3, 10)).astype(np.float32)
    rotmats = axis_angle_to_rotmat(poses.reshape(3, 24, 3))
    expected = layer(rotmats, shapes)
    for n in range(3):
        vertices, joints = body.pose(poses[n], shapes[n])
        np.testing.assert_allclose(vertices, np.asarray(expected["vertices"])[n], atol=1e-5)
        np.testing.assert_allclose(joints, np.asarray(expected["joints"])[n], atol=1e-5)
        keypoints = body.keypoints("cocoplus19", vertices)
        np.testing.assert_allclose(keypoints, np.asarray(expected["keypoints"])[n], atol=1e-5)


def test_joints_of_the_mean_shape():
    body = NumpyBody(load_body_model("default"))
    pose = np.random.default_rng(1).normal(0, 0.5, 72)
    np.testing.assert_allclose(body.mean_joints(pose), body.pose(pose, np.zeros(10))[1], atol=1e-5)

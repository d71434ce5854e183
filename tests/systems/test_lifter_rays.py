"""The lifter that looks straight at people: where they stand in the image does not matter."""

import numpy as np
import pytest
from keras import ops
from scipy.spatial.transform import Rotation

from hpe.errors import UserError
from hpe.systems.inputs import JointsInput
from hpe.systems.lifter import InputFrame, LifterConfig, LifterLoss, LiftingSystem, build_lifter, look_at

numpy = ops.convert_to_numpy
OPTIONS = {"linear_size": 16, "dropout": 0.0, "input_frame": InputFrame.RAY}


def people(count=30, seed=0):
    """Poses (N, 17, 3) from the camera's centre."""
    rng = np.random.default_rng(seed)
    place = rng.uniform([-1.5, -0.5, 3.5], [1.5, 0.5, 6], (count, 1, 3))
    return (place + np.append(np.zeros((count, 1, 3)), rng.uniform(-0.7, 0.7, (count, 16, 3)), 1)).astype(
        np.float32
    )


def seen(points):
    """Undistorted 2D joints of h36m17."""
    return (points[..., :2] / points[..., 2:]).astype(np.float32)


def lifter(points, **options):
    system = LiftingSystem(LifterConfig(**OPTIONS | options), input_skeleton="h36m17")
    system.adapt({"joints2d": seen(points), "joints3d": points - points[:, :1]})
    return system


def test_rotations_bring_their_points_to_the_axis_by_the_shortest_way():
    points = np.float32([[0, 0], [0.3, -0.2], [-0.4, 0.1]])
    rotations = numpy(look_at(ops.convert_to_tensor(points)))
    rays = np.concatenate([points, np.ones((3, 1), np.float32)], axis=1)
    turned = np.einsum("bij,bj->bi", rotations, rays)
    np.testing.assert_allclose(turned[:, :2], 0, atol=1e-6)
    np.testing.assert_allclose(turned[:, 2], np.linalg.norm(rays, axis=1), rtol=1e-6)
    angles = np.arccos(1 / np.linalg.norm(rays, axis=1))
    np.testing.assert_allclose(Rotation.from_matrix(rotations).magnitude(), angles, atol=1e-6)


def test_turning_the_camera_turns_the_prediction():
    points = people()
    system = lifter(points)
    # The place of the pelvis is an input by itself; without its weight only the view is left.
    system.lifter.layers[0].kernel.assign(
        numpy(system.lifter.layers[0].kernel) * (np.arange(34) >= 2)[:, None].astype(np.float32)
    )
    straight = points[:1]
    view = numpy(look_at(ops.convert_to_tensor(seen(straight)[:, 0])))
    centred = np.einsum("bij,bkj->bki", view, straight)
    first = numpy(system.forward(seen(straight), training=False)["joints3d"])
    second = numpy(system.forward(seen(centred.astype(np.float32)), training=False)["joints3d"])
    np.testing.assert_allclose(np.einsum("bij,bkj->bki", view, first), second, atol=1e-5)


@pytest.mark.parametrize("loss", list(LifterLoss))
def test_the_truth_costs_nothing(loss):
    points = people()
    system = lifter(points, lifter_loss=loss)
    outputs = system.forward(seen(points), training=False)
    batch = {"joints3d": outputs["joints3d"], "joints3d_weight": np.ones((30, 17), np.float32)}
    assert float(system.losses(outputs, batch).total) < 1e-4
    assert not numpy(outputs["joints3d"])[:, 0].any()


def test_what_does_not_go_together_is_one_line():
    for frame, undistort in ((InputFrame.RAY, False), (InputFrame.IMAGE, True)):
        with pytest.raises(UserError, match=r"^input_frame=.*: ray and `undistort` go together"):
            build_lifter(LifterConfig(input_frame=frame), JointsInput(undistort=undistort))
    with pytest.raises(UserError, match="input_skeleton=lsp14: has no pelvis"):
        LiftingSystem(LifterConfig(**OPTIONS), input_skeleton="lsp14")

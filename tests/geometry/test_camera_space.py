"""The root's depth by the lengths of bones: found where the camera is known, exact where the depth is."""

import numpy as np
import pytest

from hpe.geometry.camera_space import back_project, restore_camera_space, root_depth
from hpe.geometry.cameras import PinholeCamera
from hpe.skeletons.parts import H36M_BONES

BONES = {"bones": H36M_BONES.bones, "lengths": H36M_BONES.metres}
# The published code has one camera for everything.
PUBLISHED = PinholeCamera(np.array([1150.0, 1150.0]), np.array([500.0, 500.0]))
WITH_LENS = PinholeCamera(
    np.array([1145.0, 1143.8]),
    np.array([512.5, 515.5]),
    k=np.array([-0.207, 0.248, -0.003]),
    p=np.array([-0.0014, -0.001]),
)


def person(seed: int) -> np.ndarray:
    """Joints (18, 3) from the pelvis, of somebody whose bones are as long as the average."""
    rng = np.random.default_rng(seed)
    joints = np.zeros((18, 3))
    above = {child: (parent, length) for (child, parent), length in zip(*BONES.values(), strict=True)}
    # No length is known of the bone below the thorax.
    above[8] = (7, 0.25)
    for child in range(1, 17):
        parent, length = above[child]
        direction = rng.normal(size=3)
        joints[child] = joints[parent] + length * direction / np.linalg.norm(direction)
    joints[17] = 0.5 * (joints[11] + joints[14])
    return joints


@pytest.mark.parametrize("camera", [PUBLISHED, WITH_LENS])
@pytest.mark.parametrize("distance", [2.6, 5.2, 8.4])
def test_a_person_of_average_bones_is_restored(camera, distance):
    joints = person(3) + np.array([0.3, -0.1, distance])
    pixels, depths = camera.project(joints), joints[:, 2] - distance
    restored = restore_camera_space(pixels, depths, camera, **BONES)
    # The published step is 0.115 m.
    assert abs(restored[0, 2] - distance) < 0.005
    np.testing.assert_allclose(restored, joints, atol=0.006)
    np.testing.assert_allclose(back_project(pixels, depths, camera, distance), joints, atol=1e-5)


def test_bones_that_were_not_found_do_not_count():
    joints = person(4) + np.array([0.0, 0.0, 4.0])
    pixels, depths = PUBLISHED.project(joints), joints[:, 2] - 4.0
    found = np.ones(18, bool)
    found[[2, 16]] = False
    pixels[[2, 16]] += 300
    assert abs(root_depth(pixels, depths, PUBLISHED, found=found, **BONES) - 4.0) < 0.005
    with pytest.raises(ValueError, match="none was found"):
        root_depth(pixels, depths, PUBLISHED, found=np.zeros(18, bool), **BONES)


def test_nobody_comes_to_lie_behind_the_camera():
    depths = np.zeros(18)
    depths[3] = -3.0
    restored = restore_camera_space(np.full((18, 2), 500.0), depths, PUBLISHED, **BONES)
    assert (restored[:, 2] > 0).all()

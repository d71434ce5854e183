"""Places and depths are judged in the space that the camera of the record sees, where there is one."""

import numpy as np

from hpe.evaluation.camera_space import seen_by_camera
from hpe.geometry.cameras import PinholeCamera, pixels_to_normalized
from hpe.geometry.crops import Crop, box_crop
from hpe.inference.persons import person_of
from hpe.skeletons.parts import H36M_BONES
from hpe.systems.prediction import Prediction
from tests.geometry.test_camera_space import person

SIZE, DISTANCE = 128, 3.0
JOINTS = person(3)
# Near enough that perspective tells: weak perspective is off by centimetres.
CAMERA = PinholeCamera(np.array([150.0, 150.0]), np.array([63.5, 63.5]), (SIZE, SIZE))


def predicted(pixels):
    """What a system says that sees the right places and depths, by weak perspective."""
    joints3d = JOINTS.copy()
    joints3d[:, :2] *= 1.2
    return Prediction(
        skeleton="h36m18",
        joints2d=pixels_to_normalized(pixels, SIZE)[None].astype(np.float32),
        joints3d=joints3d[None].astype(np.float32),
        bones=H36M_BONES,
    )


def test_joints_follow_from_the_camera_of_the_record():
    pixels = CAMERA.project(JOINTS + np.array([0.1, -0.05, DISTANCE]))
    prediction = predicted(pixels)
    batch = {
        "image": np.zeros((1, SIZE, SIZE, 3), np.uint8),
        "intrinsics": CAMERA.matrix[None].astype(np.float32),
        "intrinsics_weight": np.ones(1, np.float32),
    }
    np.testing.assert_allclose(seen_by_camera(prediction, batch).joints3d[0], JOINTS, atol=0.01)
    unknown = seen_by_camera(prediction, batch | {"intrinsics_weight": np.zeros(1, np.float32)})
    np.testing.assert_array_equal(unknown.joints3d, prediction.joints3d)
    assert seen_by_camera(prediction, {"image": batch["image"]}) is prediction


def test_people_of_a_picture_stand_before_its_camera():
    pixels = CAMERA.project(JOINTS + np.array([0.1, -0.05, DISTANCE]))
    crop = box_crop((0, 0, SIZE, SIZE), SIZE, box_share=1.0)
    assert isinstance(crop, Crop)
    prediction = predicted(crop.scale * pixels + np.asarray(crop.offset))
    found = person_of(prediction, 0, crop=crop, camera=CAMERA, box=(0, 0, SIZE, SIZE))
    np.testing.assert_allclose(found.joints3d, JOINTS + np.array([0.1, -0.05, DISTANCE]), atol=0.02)
    assert found.reprojection_error < 0.05

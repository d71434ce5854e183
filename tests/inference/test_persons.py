"""From crops to the frame: people of one picture stand where its one camera sees them."""

import numpy as np
import pytest

from hpe.export.motion import rig_of
from hpe.geometry.cameras import frame_camera
from hpe.geometry.crops import box_crop
from hpe.inference.persons import person_of
from hpe.systems.prediction import Prediction


@pytest.mark.parametrize("focal", [None, 2000.0])
def test_depths_of_people_agree(focal):
    """Two of one size, 3 and 6 metres away at either side, each seen in a crop by a camera of its own."""
    body, camera = rig_of("default"), frame_camera((720, 1280), focal=focal)
    joints = body.keypoint_regressors["cocoplus19"] @ (body.v_template * np.float32([1, -1, -1]))
    places = []
    for true in ([-0.9, 0.1, 3.0], [1.2, 0.1, 6.0]):
        pixels = camera.project(joints + true)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        box = (*low, *(high - low))
        crop = box_crop(box, 192)
        seen = 2 / 192 * (crop.scale * pixels + np.asarray(crop.offset)) - 1
        # The weak-perspective camera that sees the joints there, by least squares, as a network would learn it.
        one, none = np.ones((19, 1)), np.zeros((19, 1))
        rows = np.block([[joints[:, :1], one, none], [joints[:, 1:2], none, one]])
        s, *offset = np.linalg.lstsq(rows, seen.T.ravel(), rcond=None)[0]
        weak = np.float32([s, offset[0] / s, offset[1] / s])
        prediction = Prediction(
            "cocoplus19", np.float32(seen)[None], joints3d=np.float32(joints)[None], camera=weak[None]
        )
        places.append(person_of(prediction, 0, crop=crop, camera=camera, box=box).translation)
        np.testing.assert_allclose(places[-1], true, rtol=0.03, atol=0.03)  # the body is no point
    assert places[1][2] / places[0][2] == pytest.approx(2.0, rel=0.02)

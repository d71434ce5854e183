"""Maps over a frame: a peak lies where its cell is, in its own colour."""

import numpy as np
import pytest

from hpe.errors import UserError
from hpe.geometry.cameras import frame_camera
from hpe.geometry.crops import box_crop
from hpe.inference.persons import person_of
from hpe.systems.prediction import Prediction
from hpe.visualization.maps import layer_colors
from hpe.visualization.views import draw_people

FRAME = np.full((80, 120, 3), 100, np.uint8)


def person(**maps):
    box = (40.0, 20.0, 32.0, 32.0)
    prediction = Prediction("lsp14", np.zeros((1, 14, 2)), maps=maps)
    return person_of(prediction, 0, crop=box_crop(box, 64), camera=frame_camera(FRAME.shape[:2]), box=box)


def test_a_peak_lies_over_its_cell():
    attention = np.zeros((1, 8, 8, 3), np.float32)
    attention[0, 2, 6, 1] = 0.2
    shown = person(attention=attention)
    picture = draw_people(FRAME, [shown], view="attention").astype(int)
    # The box takes 0.8 of the crop, so that a cell has 5 pixels of the frame: 40 + 16 - 20 is its first column.
    x, y = 35.5 + 5 * 6.5, 15.5 + 5 * 2.5
    found = shown.maps["attention"].to_frame @ (6, 2, 1)
    np.testing.assert_allclose(found, (x, y), atol=1e-6)
    color = layer_colors(3)[1]
    assert np.abs(picture[round(y), round(x)] - (0.85 * color + 0.15 * 55)).max() < 8
    assert (picture[60:, :20] == 55).all()


def test_a_model_without_maps_says_so():
    with pytest.raises(UserError, match="no maps of attention"):
        draw_people(FRAME, [person()], view="attention")
    assert draw_people(FRAME, [], view="attention").shape == FRAME.shape

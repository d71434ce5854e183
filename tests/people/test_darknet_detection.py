"""Detectors from Darknet's files, by a network of one layer that finds red: made here, weights and all."""

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.people.darknet_detection import DarknetDetector

pytestmark = pytest.mark.skipif(
    not hasattr(cv2.dnn, "readNetFromDarknet"), reason="this OpenCV reads no files of Darknet"
)

CFG = """[net]
# comments are fine
width={side}
height={side}
channels=3

[convolutional]
filters=14
size=1
stride=32
pad=0
activation=linear

[yolo]
mask=0,1
anchors=40,80, 44,80
classes=2
num=2
"""


def write_detector(folder, *, side=128, channel=0):
    """A cell is somebody where its first pixel has more than half of a channel: red is 0."""
    (folder / "tiny.cfg").write_text(CFG.format(side=side))
    kernel, bias = np.zeros((14, 3), np.float32), np.zeros(14, np.float32)
    for anchor in (0, 7):  # x, y, width, height, objectness, and two classes, of which the first is people
        kernel[anchor + 4, channel], bias[anchor + 4] = 40, -20
        bias[anchor + 5], bias[anchor + 6] = 6 - anchor / 7, -9
    header = np.int32([0, 2, 0]).tobytes() + np.int64([0]).tobytes()
    (folder / "tiny.weights").write_bytes(header + bias.tobytes() + kernel.tobytes())
    return folder / "tiny.cfg"


def picture(size, spot, color):
    image = np.full((*size, 3), 20, np.uint8)
    x, y = spot
    image[y : y + 20, x : x + 20] = color
    return image


def test_red_is_found_where_it_is_once_in_any_size(tmp_path):
    detector = DarknetDetector(write_detector(tmp_path))
    # The canvas has cells of 32 pixels; the cell at column 2, row 1 looks at the pixel (64, 32).
    found = detector(picture((128, 128), (60, 28), (255, 0, 0)))
    # Both anchors are centred in the cell and overlap: the surer one, which is the first, stays.
    np.testing.assert_allclose(found.boxes, [[80 - 20, 48 - 40, 40, 80]], atol=0.01)
    assert found.scores[0] > 0.95
    # Of a picture of twice the width everything is half as large on the canvas; the box ends with the picture.
    found = DarknetDetector(tmp_path / "tiny.weights")(picture((128, 256), (110, 50), (255, 0, 0)))
    np.testing.assert_allclose(found.boxes, [[160 - 40, 96 - 80, 80, 128 - 16]], atol=0.6)


def test_blue_is_not_red(tmp_path):
    detector = DarknetDetector(write_detector(tmp_path))
    assert len(detector(picture((128, 128), (60, 28), (0, 0, 255)))) == 0
    assert (
        len(DarknetDetector(write_detector(tmp_path, channel=2))(picture((128, 128), (60, 28), (0, 0, 255))))
        == 1
    )


def test_mistakes_are_one_line(tmp_path):
    cfg = write_detector(tmp_path)
    weights = cfg.with_suffix(".weights").read_bytes()
    cfg.with_suffix(".weights").unlink()
    with pytest.raises(UserError, match=r"tiny\.weights: is missing; a detector of Darknet is a \.cfg and"):
        DarknetDetector(cfg)
    cfg.with_suffix(".weights").write_bytes(weights[:40])
    with pytest.raises(
        UserError, match=r"tiny\.weights: holds 40 bytes, where the network of tiny\.cfg has 244; it is cut"
    ) as error:
        DarknetDetector(cfg)
    assert "\n" not in str(error.value)
    cfg.with_suffix(".weights").write_bytes(weights)
    cfg.write_text("no cfg at all")
    with pytest.raises(UserError, match=r"tiny\.cfg: is no \.cfg of Darknet"):
        DarknetDetector(cfg)
    cfg.write_text(CFG.format(side=100))
    with pytest.raises(UserError, match=r"input of 100 pixels is no multiple of 32"):
        DarknetDetector(cfg)
    cfg.write_text(CFG.format(side=128).split("[yolo]")[0])
    with pytest.raises(UserError, match=r"its outputs .* are not rows of boxes"):
        DarknetDetector(cfg)

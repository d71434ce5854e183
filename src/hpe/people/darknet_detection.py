"""Person detectors from Darknet's files, such as YOLOv3: a `.cfg` and the `.weights` beside it, run by OpenCV.

The network sees RGB in [0, 1], the picture scaled to the top left of a grey canvas of the size that the `.cfg` says
(416 pixels, if it does not). Its rows are centre and size in shares of the canvas, objectness, and class scores.
"""

from __future__ import annotations

import configparser
import os
import pathlib

import cv2
import numpy as np

from hpe.errors import UserError, first_line
from hpe.people.detection import Detections, letterbox, select

_SIDE = 416
_MULTIPLE = 32
_HEADER = 20  # bytes; 16 in the first versions
_PERSON = 0  # of COCO's classes


class DarknetDetector:
    """A detector from Darknet's files.

    Args:
        path: the `.cfg`, or the `.weights`; the other one lies beside it under the same name.
        threshold: least score of a person.
        overlap: of two boxes whose intersection over union is larger, the surer one is kept.

    Raises:
        UserError: a file is missing or damaged, the network is no detector, or this OpenCV reads none of Darknet.
    """

    def __init__(self, path: str | os.PathLike, *, threshold: float = 0.5, overlap: float = 0.4):
        path = pathlib.Path(path)
        self._path, self._threshold, self._overlap = path, threshold, overlap
        cfg, weights = path.with_suffix(".cfg"), path.with_suffix(".weights")
        for file in (cfg, weights):
            if not file.is_file():
                raise UserError(
                    f"{file}: is missing; a detector of Darknet is a .cfg and the .weights beside it."
                )
        self._side = _side(cfg)
        if not hasattr(cv2.dnn, "readNetFromDarknet"):
            raise UserError(f"{path}: OpenCV {cv2.__version__} reads no files of Darknet; 4.10 to 4.x do.")
        try:
            self._net = cv2.dnn.readNetFromDarknet(os.fspath(cfg), os.fspath(weights))
            self._outputs = self._net.getUnconnectedOutLayersNames()
        except cv2.error as error:
            raise UserError(f"{path}: is no network of Darknet that can be run ({_said(error)}).") from error
        self._check_length(cfg, weights)
        # What else is wrong shows when it is used.
        self(np.zeros((8, 8, 3), np.uint8))

    def __call__(self, image: np.ndarray) -> Detections:
        """Finds the people in an image (H, W, 3), uint8 RGB."""
        canvas, scale = letterbox(image, longer_side=self._side, square=True)
        self._net.setInput(cv2.dnn.blobFromImage(canvas, 1 / 255))
        try:
            found = self._net.forward(self._outputs)
        except cv2.error as error:
            raise UserError(f"{self._path}: cannot be run ({_said(error)}).") from error
        if any(rows.ndim != 2 or rows.shape[1] < 6 for rows in found):
            shapes = ", ".join(str(rows.shape) for rows in found)
            raise UserError(f"{self._path}: its outputs {shapes} are not rows of boxes, as YOLO's are.")
        rows = np.concatenate(found)
        middle, half = rows[:, :2] * self._side, 0.5 * rows[:, 2:4] * self._side
        return select(
            # By areas of pixels: the canvas reaches from 0 to its side.
            np.concatenate([middle - half, middle + half], axis=1) / scale - 0.5,
            rows[:, 5 + _PERSON],
            size=image.shape[:2],
            threshold=self._threshold,
            overlap=self._overlap,
        )

    def _check_length(self, cfg: pathlib.Path, weights: pathlib.Path) -> None:
        """Refuses weights that end too early, of which OpenCV says nothing."""
        layers = (self._net.getLayer(self._net.getLayerId(name)) for name in self._net.getLayerNames())
        numbers = sum(blob.size for layer in layers if layer.type != "Region" for blob in layer.blobs)
        wanted, found = _HEADER + 4 * numbers, weights.stat().st_size
        if found < wanted:
            raise UserError(
                f"{weights}: holds {found} bytes, where the network of {cfg.name} has {wanted}; it is cut."
            )


def _side(cfg: pathlib.Path) -> int:
    """Returns the side of the square input that a `.cfg` says."""
    parser = configparser.ConfigParser(strict=False, comment_prefixes=("#", ";"), allow_no_value=True)
    try:
        text = cfg.read_text(errors="replace")
        # Sections have names that come again and again; only the first one is wanted.
        parser.read_string(text[: text.find("\n[", text.find("[") + 1)] + "\n")
        net = parser["net"] if "net" in parser else parser["network"]
        sides = {net.getint("width", _SIDE), net.getint("height", _SIDE)}
    except (configparser.Error, KeyError, ValueError, OSError) as error:
        raise UserError(f"{cfg}: is no .cfg of Darknet ({first_line(error)}).") from error
    side = max(sides)
    if side < _MULTIPLE or side % _MULTIPLE:
        raise UserError(f"{cfg}: its input of {side} pixels is no multiple of {_MULTIPLE}.")
    return side


def _said(error: Exception) -> str:
    """Returns what OpenCV complains of, without the place in its sources."""
    return first_line(Exception(str(error).rpartition("error: ")[2]))

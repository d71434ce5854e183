"""Who is in the frames that preview shows: a model, and where it looks."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hpe.errors import SettingError
from hpe.programs.preview_config import AUTO, NONE, PreviewConfig

if TYPE_CHECKING:
    from hpe.inference.model import Model
    from hpe.people.person import Person

# What the whole frame is taken for where the detector finds nobody has to be surer than this, on average of all
# joints, to be somebody.
_SURE = 0.1


class Finder:
    """Finds the people of images and videos.

    Args:
        model: what looks at them.
        config: where it looks.
    """

    def __init__(self, model: Model, config: PreviewConfig):
        self._predict = functools.partial(model.predict, refine=config.refine)
        self._config = config
        self._given = config.parsed_boxes()
        self._file = None
        if config.boxes is not None:
            from hpe.people.boxes import Boxes

            self._file = Boxes(config.boxes)
        self._detector = None if self._given or self._file else make_detector(config.detector)

    def upright(self, image: np.ndarray) -> np.ndarray:
        """Turns a frame as the user says."""
        if not self._config.rotate:
            return image
        return np.ascontiguousarray(np.rot90(image, -self._config.rotate // 90))

    def in_image(self, image: np.ndarray, *, name: str, focal: float | None = None) -> list[Person]:
        """Returns the people of an upright image.

        Args:
            image: (H, W, 3) uint8 RGB.
            name: of its file, for boxes by name.
            focal: focal length that the file tells, in pixels, or None.
        """
        focal = self._config.focal or focal
        if self._given or self._file:
            return self._predict(image, boxes=self._boxes(name, 0, image.shape[:2]), focal=focal)
        from hpe.inference.tracking import apart

        # In a crowd, the crops of two boxes may show the same person.
        people = apart(self._predict(image, focal=focal, detector=self._detector))
        if people or self._config.detector != AUTO:
            return people
        whole = self._predict(image, focal=focal)
        return [person for person in whole if float(np.mean(person.confidence)) >= _SURE]

    def in_video(self, name: str) -> Callable[[np.ndarray, float], list[Person]]:
        """Returns a function from the next upright frame and its time to the people in it, numbered and smoothed.

        Args:
            name: of the file or the camera.
        """
        from hpe.inference.tracking import BoxTracker, SmoothingConfig, VideoTracker

        focal = self._config.focal
        smoothing = SmoothingConfig() if self._config.smooth else None

        def predict(frame, boxes):
            return self._predict(frame, boxes=boxes, focal=focal)

        if self._detector is None:
            return BoxTracker(predict, lambda *where: self._boxes(name, *where), smoothing=smoothing)

        def detect(frame):
            found = self._detector(frame)
            return found.boxes, found.scores

        return VideoTracker(predict, detect, detect_every=self._config.detect_every, smoothing=smoothing)

    def _boxes(self, name: str, frame: int, size: tuple[int, int]) -> list[tuple[float, ...]]:
        height, width = size
        boxes = self._given or [(0.0, 0.0, float(width), float(height))]
        if self._file is not None:
            boxes = self._file.of(name, frame)
        for x, y, across, down in boxes:
            if x >= width or y >= height or x + across <= 0 or y + down <= 0:
                text = f"{x:g},{y:g},{across:g},{down:g}"
                raise SettingError("box", f"lies outside the frame of {width} x {height} pixels.", text)
        return boxes


def make_detector(name: str):
    """Returns what finds people, None for the whole frame.

    Args:
        name: the setting `detector`.

    Raises:
        UserError: there is no such file, or it is no detector.
    """
    if name == NONE:
        return None
    if name == AUTO:
        from hpe.people.detection import RtmdetDetector

        return RtmdetDetector()
    path = pathlib.Path(name)
    if not path.is_file():
        raise SettingError("detector", f"must be {AUTO}, {NONE} or a file, which this is not.", name)
    if path.suffix.lower() in (".cfg", ".weights"):
        from hpe.people.darknet_detection import DarknetDetector

        return DarknetDetector(path)
    from hpe.people.onnx_detection import OnnxDetector

    return OnnxDetector(path)

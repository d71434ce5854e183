"""What is done with a picture or a clip: people found, followed and made into a page."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import threading

import cv2
import numpy as np

from hpe.app.jobs import Job
from hpe.errors import SettingError, UserError
from hpe.export.clip_page import ClipPage
from hpe.export.page import Page
from hpe.export.people import contents
from hpe.inference.model import Model
from hpe.inference.pictures import read_photo
from hpe.inference.sources import VideoSource, is_picture
from hpe.inference.tracking import SmoothingConfig, VideoTracker
from hpe.people.detection import RtmdetDetector
from hpe.visualization.views import draw_people


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What the user chose.

    Attributes:
        preset: name of the model.
        detector: whether people are looked for; else the whole picture is one person.
        smoothing: whether the people of a clip are smoothed over time.
        focal: focal length in pixels, or None for what the file says, or a usual one.
    """

    preset: str = "lightning"
    detector: bool = True
    smoothing: bool = True
    focal: float | None = None

    def __post_init__(self):
        if self.focal is not None and not 1 <= self.focal <= 1e6:
            raise SettingError("focal", "must be between 1 and 1,000,000 pixels.", self.focal)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one job may ask for.

    Attributes:
        megabytes: of a file.
        megapixels: of a picture.
        seconds: of a clip.
    """

    megabytes: float = 200
    megapixels: float = 100
    seconds: float = 120


class Worker:
    """Has the models, and makes pages of files.

    Args:
        load: from a preset's name to its model, such as `hpe.load`.
        limits: what a job may ask for.
    """

    def __init__(self, load, limits: Limits = Limits()):
        self._load, self.limits = load, limits
        self._models: dict[str, Model] = {}
        self._found: RtmdetDetector | None = None
        self._lock = threading.Lock()

    def model(self, preset: str) -> Model:
        """Returns a model, which is loaded once."""
        with self._lock:
            if preset not in self._models:
                self._models[preset] = self._load(preset)
            return self._models[preset]

    def page(self, path: pathlib.Path, name: str, wishes: Wishes, job: Job) -> str:
        """Returns the page of a file.

        Raises:
            UserError: it is neither picture nor clip, or too large.
            Cancelled: the job was called off.
        """
        job.report(0, None)
        try:
            if is_picture(path):
                return self._picture(path, name, wishes)
            return self._clip(path, name, wishes, job)
        except UserError as error:
            # The path is of the private folder; the user knows another name.
            raise UserError(str(error).replace(str(path), name)) from None

    def _picture(self, path: pathlib.Path, name: str, wishes: Wishes) -> str:
        picture, focal = read_photo(path)
        pixels = picture.shape[0] * picture.shape[1] / 1e6
        if pixels > self.limits.megapixels:
            raise UserError(
                f"{name}: has {pixels:.0f} megapixels; {self.limits.megapixels:g} is the most here."
            )
        people = self.model(wishes.preset).predict(
            picture, focal=wishes.focal or focal, detector=self._detector() if wishes.detector else None
        )
        page = Page(name)
        page.add(0.0, people, picture)
        return page.finish(
            attached=contents(people, pathlib.Path(name).stem, (".json", ".csv", ".glb", ".bvh"))
        )

    def _clip(self, path: pathlib.Path, name: str, wishes: Wishes, job: Job) -> str:
        source = VideoSource(str(path))
        model, detector = self.model(wishes.preset), self._detector()

        def detect(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = detector(frame)
            return found.boxes, found.scores

        tracker = VideoTracker(
            lambda frame, boxes: model.predict(frame, boxes=boxes, focal=wishes.focal),
            detect if wishes.detector else _whole_frame,
            smoothing=SmoothingConfig() if wishes.smoothing else None,
        )
        page = ClipPage(name, pathlib.Path(name).stem, frames_per_second=source.frames_per_second)
        with contextlib.closing(source.frames()) as frames:
            for frame in frames:
                if frame.time > self.limits.seconds:
                    raise UserError(
                        f"{name}: is longer than {self.limits.seconds:g} seconds; cut it into parts."
                    )
                people = tracker(frame.image, frame.time)
                page.add(frame.number, frame.time, people, frame.image)
                job.report(frame.number + 1, source.claimed_frames)
        return page.finish()

    def frame(self, encoded: bytes, wishes: Wishes) -> bytes:
        """Returns one frame of a camera with the people drawn over it, JPEG.

        Raises:
            UserError: it is no picture.
        """
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB) if encoded else None
        if pixels is None:
            raise UserError("The frame is no picture.")
        people = self.model(wishes.preset).predict(
            pixels, focal=wishes.focal, detector=self._detector() if wishes.detector else None
        )
        drawn = draw_people(pixels, people, view="mesh")
        return cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))[1].tobytes()

    def _detector(self) -> RtmdetDetector:
        with self._lock:
            if self._found is None:
                self._found = RtmdetDetector()
            return self._found


def _whole_frame(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    height, width = frame.shape[:2]
    return np.array([[0.0, 0.0, width, height]]), np.ones(1)

"""Where frames come from: an image, a folder of images, a video file or a camera."""

from __future__ import annotations

import contextlib
import os
import pathlib
import threading
from collections.abc import Iterator

import cv2
import numpy as np

from hpe.errors import UserError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}

_FASTEST = 480.0
_USUAL = 25.0


def find_images(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the image itself or the images of a folder in the order of their names; empty for other files."""
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if child.suffix.lower() in IMAGE_SUFFIXES)
        if not found:
            raise UserError(f"{path}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        return found
    return [path] if path.suffix.lower() in IMAGE_SUFFIXES else []


class VideoSource:
    """Frames of a video file, one after the other, or of a camera, always the newest.

    Args:
        source: path of a video file, or the number of a camera.

    Attributes:
        frames_per_second: of the file, or the camera's own claim; 25 where neither is credible.

    Raises:
        UserError: the file or the camera cannot be opened.
    """

    def __init__(self, source: str | int):
        self.is_camera = isinstance(source, int)
        with _quiet_opencv():
            # FFmpeg would play a text file as the screen of a terminal.
            self._capture = cv2.VideoCapture() if _is_text(source) else cv2.VideoCapture(source)
        if not self._capture.isOpened():
            if self.is_camera:
                raise UserError(f"camera {source}: cannot be opened; is it connected and free?")
            raise UserError(f"{source}: is neither an image, a folder nor a video that OpenCV can read.")
        claimed = self._capture.get(cv2.CAP_PROP_FPS)
        # Some cameras claim 0, some files their clock's ticks.
        self.frames_per_second = claimed if 1 <= claimed <= _FASTEST else _USUAL
        self._newest: np.ndarray | None = None
        self._ended = False
        self._fresh = threading.Condition()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB frames until the source ends."""
        frames = self._camera_frames() if self.is_camera else self._file_frames()
        try:
            for frame in frames:
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            self._ended = True
            if not self.is_camera:
                self._capture.release()

    def _file_frames(self) -> Iterator[np.ndarray]:
        while True:
            read, frame = self._capture.read()
            if not read:
                return
            yield frame

    def _camera_frames(self) -> Iterator[np.ndarray]:
        # Drivers queue frames; without a thread that empties the queue the picture lags ever further behind.
        thread = threading.Thread(target=self._grab, daemon=True)
        thread.start()
        while True:
            with self._fresh:
                self._fresh.wait_for(lambda: self._newest is not None or self._ended)
                if self._newest is None:
                    return
                frame, self._newest = self._newest, None
            yield frame

    def _grab(self) -> None:
        while not self._ended:
            read, frame = self._capture.read()
            with self._fresh:
                if not read:
                    self._ended = True
                else:
                    self._newest = frame
                self._fresh.notify()
        self._capture.release()


def _is_text(source: str | int) -> bool:
    """Tells whether a file holds text: no video starts with so many bytes of which none is 0."""
    if isinstance(source, int):
        return False
    try:
        with open(source, "rb") as file:
            return b"\0" not in file.read(4096)
    except OSError:
        return False


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Holds back what OpenCV and FFmpeg log while they try one driver after the other; the caller says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)

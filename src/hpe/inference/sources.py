"""Where frames come from: an image, a folder of images, a video file or a camera."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np

from hpe.errors import UserError

IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif"),
}

# How the files of pictures begin; those of the last kind say what they are at the fifth byte.
_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"GIF87a", b"GIF89a", b"BM")
_PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
_LONGEST_START = 16

_FASTEST = 480.0
_USUAL = 25.0

# Of the pixels of a video: what is closer to a square than this is one, and what is further is not credible.
_SQUARE = 0.005
_OBLONG = 4.0


def find_images(path: pathlib.Path) -> list[pathlib.Path]:
    """Returns the image itself or the images of a folder in the order of their names; empty for other files.

    What a file holds makes it an image, whatever its name. In a folder, files that are only called so count too:
    whoever reads them says what is wrong.
    """
    if path.is_dir():
        found = sorted(
            child
            for child in path.iterdir()
            if not child.name.startswith(".")
            and child.is_file()
            and (child.suffix.lower() in IMAGE_SUFFIXES or is_picture(child))
        )
        if not found:
            raise UserError(f"{path}: holds no image ({', '.join(sorted(IMAGE_SUFFIXES))}).")
        return found
    return [path] if is_picture(path) else []


def is_picture(path: str | os.PathLike) -> bool:
    """Tells by its first bytes whether a file is a picture."""
    try:
        with open(path, "rb") as file:
            start = file.read(_LONGEST_START)
    except OSError:
        return False
    if start[:4] == b"RIFF":
        return start[8:12] == b"WEBP"
    if start[4:8] == b"ftyp":
        return start[8:12] in _PICTURE_BRANDS
    return start.startswith(_PICTURE_STARTS)


def count_pictures(path: str | os.PathLike) -> int:
    """Returns how many pictures a file of pages or frames holds; 1 for other pictures."""
    if not is_picture(path):
        return 1
    with quiet_opencv():
        try:
            return max(1, cv2.imcount(os.fspath(path)))
        except cv2.error:
            return 1


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video or a camera.

    Attributes:
        image: (H, W, 3) uint8 RGB, upright, of square pixels.
        number: from 0, of those that were yielded.
        time: seconds since the first; they grow.
        read_at: of `time.monotonic`, when it was read.
    """

    image: np.ndarray
    number: int
    time: float
    read_at: float


class VideoSource:
    """Frames of a video file, one after the other, or of a camera, always the newest.

    Args:
        source: path of a video file, or the number of a camera.

    Attributes:
        frames_per_second: of the file, or the camera's own claim; 25 where neither is credible.
        claimed_frames: how many frames the file says that it has; 0 where it says nothing, and of cameras.

    Raises:
        UserError: the file or the camera cannot be opened.
    """

    def __init__(self, source: str | int):
        self.is_camera = isinstance(source, int)
        with quiet_opencv():
            # FFmpeg would play a text file as the screen of a terminal.
            self._capture = cv2.VideoCapture() if _is_text(source) else cv2.VideoCapture(_located(source))
        if not self._capture.isOpened():
            if self.is_camera:
                raise UserError(f"camera {source}: cannot be opened; is it connected and free?")
            raise UserError(f"{source}: is neither an image, a folder nor a video that OpenCV can read.")
        claimed = self._capture.get(cv2.CAP_PROP_FPS)
        # Some cameras claim 0, some files their clock's ticks.
        self.frames_per_second = claimed if 1 <= claimed <= _FASTEST else _USUAL
        self._pixel_aspect = 1.0 if self.is_camera else self._read_pixel_aspect()
        count = 0.0 if self.is_camera else self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.claimed_frames = int(count) if 0 < count < 2**31 else 0
        self._newest: tuple[np.ndarray, float] | None = None
        self._ended = False
        self._fresh = threading.Condition()

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yields (H, W, 3) uint8 RGB frames of square pixels until the source ends."""
        for frame in self.frames():
            yield frame.image

    def frames(self) -> Iterator[Frame]:
        """Yields frames with their times until the source ends; files of varying frame rate say when each is."""
        frames = self._camera_frames() if self.is_camera else self._file_frames()
        number, start, last = 0, None, 0.0
        try:
            for pixels, stamp in frames:
                read_at = time.monotonic()
                image = cv2.cvtColor(self._squared(pixels), cv2.COLOR_BGR2RGB)
                start = stamp if start is None else start
                seconds = stamp - start
                if number and not seconds > last:
                    # The file does not say, or says nonsense.
                    seconds = last + 1 / self.frames_per_second
                yield Frame(image, number, seconds, read_at)
                number, last = number + 1, seconds
        finally:
            self._ended = True
            if not self.is_camera:
                self._capture.release()

    def _read_pixel_aspect(self) -> float:
        """Returns the width of a pixel per its height, 1 where the file says nothing credible."""
        across, down = (self._capture.get(key) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        aspect = across / down if across > 0 and down > 0 else 1.0
        # OpenCV turns the frames of a telephone upright; the shape of a pixel is that of the stored frame.
        if int(self._capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 180:
            aspect = 1 / aspect
        credible = 1 / _OBLONG <= aspect <= _OBLONG and abs(aspect - 1) > _SQUARE
        return aspect if credible else 1.0

    def _squared(self, frame: np.ndarray) -> np.ndarray:
        """Stretches a frame by the shape of its pixels, so that nothing is thrown away."""
        if self._pixel_aspect == 1.0:
            return frame
        height, width = frame.shape[:2]
        if self._pixel_aspect > 1:
            size = round(width * self._pixel_aspect), height
        else:
            size = width, round(height / self._pixel_aspect)
        return cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR)

    def _file_frames(self) -> Iterator[tuple[np.ndarray, float]]:
        while True:
            read, frame = self._capture.read()
            if not read:
                return
            yield frame, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def _camera_frames(self) -> Iterator[tuple[np.ndarray, float]]:
        # Drivers queue frames; without a thread that empties the queue the picture lags ever further behind.
        thread = threading.Thread(target=self._grab, daemon=True)
        thread.start()
        while True:
            with self._fresh:
                self._fresh.wait_for(lambda: self._newest is not None or self._ended)
                if self._newest is None:
                    return
                newest, self._newest = self._newest, None
            yield newest

    def _grab(self) -> None:
        while not self._ended:
            read, frame = self._capture.read()
            with self._fresh:
                if not read:
                    self._ended = True
                else:
                    self._newest = frame, time.monotonic()
                self._fresh.notify()
        self._capture.release()


def _located(source: str | int) -> str | int:
    """Returns the absolute path of a file: FFmpeg takes what stands before a colon for a protocol."""
    return os.path.abspath(source) if isinstance(source, str) and os.path.exists(source) else source


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
def quiet_opencv() -> Iterator[None]:
    """Holds back what OpenCV and FFmpeg log while they try one driver after the other; the caller says it."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)

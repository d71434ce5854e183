"""Writes frames to a video file that is whole, or not there."""

from __future__ import annotations

import functools
import os
import pathlib
import tempfile

import cv2
import numpy as np

from hpe import files
from hpe.errors import UserError
from hpe.inference.sources import quiet_opencv

# Of the fraction that is the frame rate of an MPEG-4 file.
_LARGEST_TERM = 65_535

# By what browsers and telephones play best: names of OpenCV, and for people. Its packages for Linux come without
# an encoder of H.264.
_CODECS = {"avc1": "H.264", "mp4v": "MPEG-4 Part 2"}

# Where a film stands still for longer, in seconds, its times are taken for damaged.
_LONGEST_STILL = 10.0


class VideoFile:
    """An mp4 file that gets its name when it is complete: written under a temporary name, read back, moved.

    As a context manager it is finished at the end of the block. Ctrl-C finishes it with the frames so far; any
    other exception leaves what was under its name before, or nothing. The file has one frame rate: a frame is
    repeated until the time of the next one, and of several within one interval of it the last one stays.

    Args:
        path: file that ends in .mp4; its folder is made.
        frames_per_second: of the video.

    Attributes:
        frames: how many frames were added.
        codec: name of the codec, once there is a frame.
        is_complete: whether the file has its name.

    Raises:
        UserError: the folder or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, *, frames_per_second: float):
        self.path = pathlib.Path(path)
        self.frames = 0
        self.codec = ""
        self.is_complete = False
        self._rate = writable_rate(frames_per_second)
        self._last: np.ndarray | None = None
        self._written = 0
        self._writer: cv2.VideoWriter | None = None
        self._file = files.Replacement(self.path, advice="set `output`")

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._finish()
        finally:
            if self._writer is not None:
                self._writer.release()
            self._file.discard()

    def add(self, frame: np.ndarray, time: float | None = None) -> None:
        """Adds a frame.

        Args:
            frame: (H, W, 3) uint8 RGB; all frames of a file have one size. What is odd of it grows by a pixel,
                since codecs want even sides.
            time: seconds since the start of the video, growing; None means one interval after the frame before.
        """
        frame = cv2.cvtColor(_even(frame), cv2.COLOR_RGB2BGR)
        if self._writer is None:
            self._open(frame.shape[1], frame.shape[0])
        place = self._written + (self._last is not None) if time is None else round(time * self._rate)
        place = min(place, self._written + round(_LONGEST_STILL * self._rate))
        while self._last is not None and self._written < place:
            self._write()
        self._last = frame
        self.frames += 1

    def _open(self, width: int, height: int) -> None:
        name = next(name for name in _CODECS if name == "mp4v" or _encodes(name))
        codec = cv2.VideoWriter_fourcc(*name)
        with quiet_opencv():
            self._writer = cv2.VideoWriter(
                os.path.abspath(self._file.temporary), codec, self._rate, (width, height)
            )
        if not self._writer.isOpened():
            raise UserError(
                f"{self.path}: cannot be written as a video of {width} x {height} pixels and {self._rate:g} "
                "frames per second; set `output`."
            )
        self.codec = _CODECS[name]

    def _write(self) -> None:
        self._writer.write(self._last)
        self._written += 1

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._write()
        self._writer.release()
        # OpenCV reports no failure of a write: a full disk shows only in what can be read back.
        found = _readable_frames(self._file.temporary)
        if found < self._written:
            raise UserError(
                f"{self.path}: cannot be written, only {found} of {self._written} frames arrived; is the "
                "disk full? Free space, or set `output`."
            )
        self._file.commit()
        self.is_complete = True


def writable_rate(frames_per_second: float) -> float:
    """Returns the rate nearest to one that MPEG-4 can hold.

    It is a fraction whose terms are below 65,536, and OpenCV makes a decimal fraction of it: so many digits after
    the point as that leaves room for.
    """
    digits = 3
    while digits and frames_per_second * 10**digits >= _LARGEST_TERM:
        digits -= 1
    return round(frames_per_second, digits)


def _even(frame: np.ndarray) -> np.ndarray:
    """Repeats the last row and column of a frame of odd height and width."""
    below, after = (side % 2 for side in frame.shape[:2])
    return cv2.copyMakeBorder(frame, 0, below, 0, after, cv2.BORDER_REPLICATE) if below or after else frame


@functools.cache
def _encodes(name: str) -> bool:
    """Tells whether OpenCV writes videos of a codec here: an encoder may be there and not work."""
    with tempfile.TemporaryDirectory() as folder, quiet_opencv():
        path = pathlib.Path(folder) / "a.mp4"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*name), 25.0, (64, 64))
        if not writer.isOpened():
            return False
        for _ in range(2):
            writer.write(np.zeros((64, 64, 3), np.uint8))
        writer.release()
        return _readable_frames(path) == 2


def _readable_frames(path: pathlib.Path) -> int:
    """Returns how many frames the index of a video lists, which an mp4 has at its end; 0 if none decodes."""
    capture = cv2.VideoCapture(os.path.abspath(path))
    try:
        if not capture.isOpened() or not capture.read()[0]:
            return 0
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()

"""Writes frames to a video file that is whole, or not there."""

from __future__ import annotations

import os
import pathlib

import cv2
import numpy as np

from hpe import files
from hpe.errors import UserError

# Of the fraction that is the frame rate of an MPEG-4 file.
_LARGEST_TERM = 65_535


class VideoFile:
    """An mp4 file that gets its name when it is complete: written under a temporary name, read back, moved.

    As a context manager it is finished at the end of the block. Ctrl-C finishes it with the frames so far; any
    other exception leaves what was under its name before, or nothing.

    Args:
        path: file that ends in .mp4; its folder is made.
        frames_per_second: of the video.

    Attributes:
        frames: how many frames were added.
        is_complete: whether the file has its name.

    Raises:
        UserError: the folder or the file cannot be written.
    """

    def __init__(self, path: str | os.PathLike, *, frames_per_second: float):
        self.path = pathlib.Path(path)
        self.frames = 0
        self.is_complete = False
        self._frames_per_second = frames_per_second
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

    def add(self, frame: np.ndarray) -> None:
        """Adds a frame (H, W, 3), uint8 RGB; all frames of a file have one size."""
        if self._writer is None:
            size = frame.shape[1], frame.shape[0]
            codec = cv2.VideoWriter_fourcc(*"mp4v")
            rate = writable_rate(self._frames_per_second)
            self._writer = cv2.VideoWriter(os.path.abspath(self._file.temporary), codec, rate, size)
            if not self._writer.isOpened():
                raise UserError(
                    f"{self.path}: cannot be written as a video of {size[0]} x {size[1]} pixels and {rate:g} "
                    "frames per second; set `output`."
                )
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def _finish(self) -> None:
        if self._writer is None:
            return
        self._writer.release()
        # OpenCV reports no failure of a write: a full disk shows only in what can be read back.
        found = _readable_frames(self._file.temporary)
        if found < self.frames:
            raise UserError(
                f"{self.path}: cannot be written, only {found} of {self.frames} frames arrived; is the "
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


def _readable_frames(path: pathlib.Path) -> int:
    """Returns how many frames the index of a video lists, which an mp4 has at its end; 0 if none decodes."""
    capture = cv2.VideoCapture(os.path.abspath(path))
    try:
        if not capture.isOpened() or not capture.read()[0]:
            return 0
        return int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()

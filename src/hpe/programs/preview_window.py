"""The live window of preview: what its keys do, and when which frame is shown."""

from __future__ import annotations

import collections
import pathlib
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from hpe.inference import display
from hpe.programs.preview_config import PreviewConfig
from hpe.visualization.view import View

if TYPE_CHECKING:
    import numpy as np

    from hpe.export.saving import VideoFiles
    from hpe.inference.sources import Frame, VideoSource
    from hpe.people.person import Person
    from hpe.programs.preview import CollectedJson
    from hpe.training.signals import Signals

_VIEWS = {
    ord("s"): View.SKELETON,
    ord("m"): View.MESH,
    ord("b"): View.BOTH,
    ord("r"): View.ROTATED,
    ord("l"): View.SIDE,
    ord("t"): View.TOP,
}
HELP = (
    "s skeleton   m mesh   b mesh and turned mesh   r turned mesh",
    "l from the side   t from the top   1 to 9 one person   0 all",
    "p pause   space one frame on   w write this picture",
    "f frames per second   h this help   ESC ends",
)

# Frames over which the rate is measured, and seconds for which a message stays.
_MEASURED = 30
_STAYS = 2.0
# While nothing changes the window looks for keys so often, in seconds.
_LOOK = 0.05
# A film that has fallen behind by more goes on from where it is, instead of catching up.
_BEHIND = 0.5


class Player:
    """What is shown, and what the user has asked for.

    Args:
        config: the settings.
        path: of snapshots, without an ending.
        is_camera: whether frames come when they come; else they are shown at their times.
    """

    def __init__(self, config: PreviewConfig, path: pathlib.Path, *, is_camera: bool):
        self.paused = self.ended = self._stepping = False
        self._view, self._path, self.is_camera = config.view, path, is_camera
        self._drawn = config.drawn
        # Frames of a camera that were read before are of the past.
        self._fresh_from = 0.0
        self._chosen = 0
        self._helps = self._measures = False
        self._message, self._message_until = "", 0.0
        self._frame: Frame | None = None
        self._people: list[Person] = []
        self._times: collections.deque[float] = collections.deque(maxlen=_MEASURED)
        self._latency = 0.0
        self._start: float | None = None

    @property
    def wants_more(self) -> bool:
        """Whether the next frame is to come."""
        return not self.paused or self._stepping

    def is_stale(self, frame: Frame) -> bool:
        """Tells whether a frame of a camera has waited for the end of a pause, so that a newer one is to come."""
        return self.is_camera and frame.read_at < self._fresh_from

    def take(self, frame: Frame, people: list[Person]) -> None:
        """Takes the next frame."""
        self._frame, self._people, self._stepping = frame, people, False
        now = time.monotonic()
        self._times.append(now)
        self._latency = now - frame.read_at
        if self._start is None or now - (self._start + frame.time) > _BEHIND:
            self._start = now - frame.time

    def waiting(self) -> float:
        """Returns for how many seconds the frame is shown before the next one's turn; 0 for none."""
        if self._stepping:
            return 0.0
        if self.paused:
            return _LOOK
        if self.is_camera or self._frame is None or self._start is None:
            return 0.0
        return max(0.0, self._start + self._frame.time - time.monotonic())

    def picture(self) -> np.ndarray:
        """Draws the frame as the user wants it."""
        from hpe.programs.preview_videos import draw
        from hpe.visualization.captions import write_lines

        people = self._drawn(self._people)
        if self._chosen:
            people = [person for person in self._people if person.track_id == self._chosen]
        picture = draw(self._frame.image, people, self._view, self._frame.time)
        lines = []
        if self._measures:
            span = self._times[-1] - self._times[0]
            rate = (len(self._times) - 1) / span if span > 0 else 0.0
            lines.append(f"{rate:.1f} frames/s, {1000 * self._latency:.0f} ms from frame to window")
        if self._chosen:
            lines.append(f"person {self._chosen}")
        if time.monotonic() < self._message_until:
            lines.append(self._message)
        lines += HELP if self._helps else ()
        return write_lines(picture, lines) if lines else picture

    def press(self, key: int) -> None:
        """Does what a key says; others are passed over."""
        self._view = _VIEWS.get(key, self._view)
        if key == display.ESCAPE:
            self.ended = True
        elif ord("0") <= key <= ord("9"):
            number = key - ord("0")
            self._chosen = 0 if number == self._chosen else number
        elif key == ord("h"):
            self._helps = not self._helps
        elif key == ord("f"):
            self._measures = not self._measures
        elif key == ord("p"):
            self._pause(not self.paused)
        elif key == ord(" "):
            if self.paused:
                self._fresh_from = time.monotonic()
            self._pause(True)
            self._stepping = True
        elif key == ord("w"):
            self._write()

    def _pause(self, paused: bool) -> None:
        if self.paused and not paused:
            self._start = None  # time has gone on meanwhile
            self._fresh_from = time.monotonic()
        self.paused = paused

    def _write(self) -> None:
        from hpe.visualization.grids import write_image

        path = self._path.with_name(f"{self._path.name}_{self._frame.number:06d}.png")
        write_image(path, self.picture())
        print(f"wrote {path}")
        self._message, self._message_until = f"wrote {path.name}", time.monotonic() + _STAYS


def play(
    seen: Generator[tuple[Frame, list[Person]]],
    source: VideoSource,
    path: pathlib.Path,
    files: VideoFiles,
    collected: CollectedJson,
    config: PreviewConfig,
    signals: Signals,
) -> int:
    """Shows frames with their people in a window until they end, or the user ends it.

    Args:
        seen: frames and people.
        source: where they come from.
        path: of snapshots, without an ending.
        files: what is written of the people.
        collected: the file for all inputs.
        config: the settings.
        signals: end it.

    Returns:
        The number of frames.
    """
    from hpe.inference.overlap import ReadAhead

    print(f"keys: {'; '.join(' '.join(line.split('   ')) for line in HELP)}")
    player = Player(config, path, is_camera=source.is_camera)
    window = display.Window("preview", fullscreen=config.fullscreen)
    frames, started, picture = 0, time.monotonic(), None
    # The next frame is being looked at while this one is drawn and shown.
    with ReadAhead(seen, ahead=1) as ahead:
        while not player.ended and signals.received is None:
            if player.wants_more:
                try:
                    item = ahead.poll(_LOOK)
                except StopIteration:
                    break
                if item is not None and not player.is_stale(item[0]):
                    player.take(*item)
                    files.add(item[0].number, item[0].time, item[1], item[0].image)
                    collected.add(item[1])
                    frames += 1
                    picture = player.picture()
            if picture is None:
                continue
            key = window.show(picture, seconds=player.waiting())
            while key >= 0:
                player.press(key)
                if player.ended or player.waiting() <= 0:
                    break  # the next picture shows what has changed
                picture = player.picture()
                key = window.show(picture, seconds=player.waiting())
            if not window.is_open():
                break
    window.close()
    seconds = time.monotonic() - started
    print(f"{frames} frames, {frames / seconds:.1f} per second")
    if source.is_camera and not player.ended and signals.received is None and config.max_frames is None:
        print("the camera delivers no more frames")
    return frames

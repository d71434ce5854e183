"""Videos and cameras become video files and files of their people, or are shown in a window."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from hpe.errors import SettingError
from hpe.programs.preview_config import JsonLayout, PreviewConfig

if TYPE_CHECKING:
    import numpy as np

    from hpe.export.saving import VideoFiles
    from hpe.inference.sources import Frame, VideoSource
    from hpe.people.person import Person
    from hpe.programs.preview import CollectedJson
    from hpe.programs.preview_people import Finder
    from hpe.training.signals import Signals
    from hpe.visualization.view import View

# How fast a 3D skeleton turns: once in twelve seconds.
_DEGREES_PER_SECOND = 30.0

# A file that ends so many frames before what it claims was cut; claims are estimates.
_CUT = 0.9


def path_of(given: str, source: VideoSource, config: PreviewConfig) -> pathlib.Path:
    """Returns the path of what is written of a video or a camera, without an ending.

    Raises:
        UserError: the video would be replaced.
    """
    name = f"camera{given}" if source.is_camera else pathlib.Path(given).stem
    path = config.folder / name.replace("\n", " ")
    video = path.with_name(f"{path.name}.mp4")
    if config.draw and not source.is_camera and video.resolve() == pathlib.Path(given).resolve():
        raise SettingError("output", f"would replace the input {video}; name another folder.", config.folder)
    return path


def show(
    given: str,
    source: VideoSource,
    finder: Finder,
    config: PreviewConfig,
    signals: Signals,
    collected: CollectedJson,
) -> None:
    """Shows or writes what is seen in a video or a camera.

    Args:
        given: how the user named it.
        source: the video.
        finder: who finds people.
        config: the settings.
        signals: end it after the frame that is being seen.
        collected: the file for all inputs.

    Raises:
        UserError: the video holds no frame, or something cannot be written.
    """
    from hpe.inference import display

    path = path_of(given, source, config)
    seen = _seen(given, source, finder, config, signals)
    files = _files(path, given, source, config)
    windowed = config.output is None and config.draw
    if windowed and not display.display_available():
        print("no display: the frames are written to files instead (choose where with --output)")
        windowed = False
    with files:
        if windowed:
            from hpe.programs.preview_window import play

            frames = play(seen, source, path, files, collected, config, signals)
        elif config.draw:
            frames = _record(seen, source, path, files, collected, config)
        else:
            frames = 0
            for frame, people in seen:
                files.add(frame.number, frame.time, people, frame.image)
                collected.add(people)
                frames += 1
        if not frames and not windowed and signals.received is None:
            raise SettingError("input", "the video holds no frame that OpenCV can read.", given)
        if frames:
            written, notes = files.finish()
            for line in notes:
                print(f"note: {line}")
            if written:
                print(f"wrote {', '.join(written)}")
    whole = config.max_frames is None and signals.received is None and not windowed
    if whole and frames < _CUT * source.claimed_frames:
        print(
            f"note: {given}: ends after {frames} of {source.claimed_frames} frames; it was cut or is damaged."
        )


def draw(image: np.ndarray, people: list[Person], view: View | None, time: float) -> np.ndarray:
    """Draws people over their frame, seen at a time in seconds."""
    from hpe.visualization.view import View
    from hpe.visualization.views import draw_people

    if any(person.vertices is not None for person in people):
        return draw_people(image, people, view=view or View.MESH)
    # Sticks in space are read by their movement.
    return draw_people(image, people, view=view or View.BOTH, azimuth=_DEGREES_PER_SECOND * time % 360.0)


def _seen(
    given: str, source: VideoSource, finder: Finder, config: PreviewConfig, signals: Signals
) -> Generator[tuple[Frame, list[Person]]]:
    """Yields upright frames with their people until the source ends, or the user wants no more."""
    from hpe.inference.overlap import ReadAhead

    follow = finder.in_video(given)
    # A camera has a thread of its own and hands out its newest frame.
    frames = source.frames() if source.is_camera else ReadAhead(source.frames())
    with contextlib.closing(frames):
        for frame in frames:
            upright = dataclasses.replace(frame, image=finder.upright(frame.image))
            yield upright, follow(upright.image, upright.time)
            if signals.received is not None or frame.number + 1 == config.max_frames:
                break


def _files(path: pathlib.Path, given: str, source: VideoSource, config: PreviewConfig) -> VideoFiles:
    from hpe.export.json_people import HemletsLayout, PeopleLayout
    from hpe.export.saving import VideoFiles

    layout = PeopleLayout(source=pathlib.Path(given).name, frames_per_second=source.frames_per_second)
    if config.json_layout is JsonLayout.HEMLETS:
        layout = HemletsLayout()
    return VideoFiles(path, config.save, frames_per_second=source.frames_per_second, layout=layout)


def _record(
    seen: Generator,
    source: VideoSource,
    path: pathlib.Path,
    files: VideoFiles,
    collected,
    config: PreviewConfig,
) -> int:
    """Writes a video of what is seen; returns the number of frames."""
    from tqdm import tqdm

    from hpe.inference.overlap import InOrder
    from hpe.inference.recording import VideoFile

    path = path.with_name(f"{path.name}.mp4")
    video = VideoFile(path, frames_per_second=source.frames_per_second)

    def write(frame: Frame, people: list[Person]) -> None:
        video.add(draw(frame.image, config.drawn(people), config.view, frame.time), frame.time)

    total = config.max_frames or source.claimed_frames or None
    # The next frame is being looked at while this one is drawn.
    with video, InOrder() as later:
        for frame, people in tqdm(seen, unit="frame", total=total):
            later.submit(write, frame, people)
            files.add(frame.number, frame.time, people, frame.image)
            collected.add(people)
    if video.is_complete:
        print(f"wrote {video.frames} frames to {path} ({video.codec})")
    return video.frames

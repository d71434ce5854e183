"""`hpe preview PHOTO`: shows what a trained model sees in images, folders, videos or a camera."""

from __future__ import annotations

import collections
import dataclasses
import math
import pathlib
import time
from typing import TYPE_CHECKING

from hpe.errors import SettingError, UserError
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.visualization.view import View

if TYPE_CHECKING:
    import numpy as np

    from hpe.inference.model import Model
    from hpe.inference.sources import VideoSource

# Files may be named without a flag.
TAKES_ARGUMENTS = True

# How fast a 3D skeleton turns: once in twelve seconds at 25 frames per second.
_DEGREES_PER_FRAME = 1.2
_KEYS = {ord("s"): View.SKELETON, ord("m"): View.MESH, ord("b"): View.BOTH, ord("r"): View.ROTATED}
_KEYS_TEXT = "keys: s skeleton, m mesh, b mesh and turned mesh side by side, r turned mesh, ESC quits"

# Values of the setting `detector`.
_AUTO, _NONE = "auto", "none"

# Sides of a panel's columns in pixels: as large as the picture, within what is readable and what is handy.
_PANEL_SIZES = (224, 480)


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """What to show, with which checkpoint, and where."""

    system: str | None = option(
        None, "Two runs as one system, such as hrnet_lifter; by default the system of the run."
    )
    checkpoint: str = option(
        "lightning",
        "Run directory, one checkpoint in it, a file of released weights, or a preset: lightning, or thunder, "
        "which is slower and more accurate.",
    )
    lifter_checkpoint: str | None = option(None, "The same for the second stage of `system=hrnet_lifter`.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    input: str = option(
        "0", "Image, folder of images, video file, or number of a camera; or name them without any flag."
    )
    output: str | None = option(None, "Folder for pictures; for videos it replaces the window.")
    view: View | None = option(
        None,
        "View to start with, by default mesh, or both without a mesh; for images, this view over the frame instead "
        "of the panel. In the window the keys s, m, b and r choose it.",
    )
    box: tuple[str, ...] = option(
        (),
        "Person's box x,y,width,height in pixels of the turned frame; repeat the flag for several people. By "
        "default people are found by `detector`.",
        repeated=True,
    )
    detector: str = option(
        _AUTO,
        "What finds people: auto, the detector of the package, or the whole frame where it finds nobody; none, the "
        "whole frame for one person; or an ONNX file of RTMDet's or YOLOX's layout.",
    )
    focal: float | None = option(
        None,
        "Focal length in pixels; by default that of the picture's EXIF data, or the diagonal of the frame.",
    )
    rotate: int = option(0, "Turn the frames clockwise by 0, 90, 180 or 270 degrees first.")
    fullscreen: bool = option(True, "Cover the whole screen; ESC leaves.")
    max_frames: int | None = option(None, "End a video after this many frames.")

    def __post_init__(self):
        if self.rotate not in (0, 90, 180, 270):
            raise SettingError("rotate", "must be 0, 90, 180 or 270.", self.rotate)
        if self.max_frames is not None and self.max_frames < 1:
            raise SettingError("max_frames", "must be at least 1.", self.max_frames)
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise SettingError("focal", "must be a positive number of pixels.", self.focal)
        self.parsed_boxes()

    def parsed_boxes(self) -> list[tuple[float, ...]] | None:
        """Returns the boxes as four numbers each, or None for the whole frame."""
        return [_parsed_box(box) for box in self.box] or None


def _parsed_box(box: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(number) for number in box.split(","))
    except ValueError:
        raise SettingError("box", "must be x,y,width,height in pixels.", box) from None
    if not (all(map(math.isfinite, (x, y, width, height))) and width > 0 and height > 0):
        raise SettingError("box", "must have a positive width and height.", box)
    return x, y, width, height


class _Eye:
    """A model with the settings of how to look: from a frame to its people and to their drawing."""

    def __init__(self, model: Model, config: PreviewConfig):
        self._model, self._config = model, config
        self._boxes = config.parsed_boxes()
        self._detector = None if self._boxes else _detector(config.detector)
        self._tracker = None

    def upright(self, frame: np.ndarray) -> np.ndarray:
        """Turns a frame as the user says."""
        import numpy as np

        return np.ascontiguousarray(np.rot90(frame, -self._config.rotate // 90))

    def see(self, frame: np.ndarray, *, focal: float | None = None) -> list:
        """Returns the people of an upright frame."""
        height, width = frame.shape[:2]
        for text, (x, y, across, down) in zip(self._config.box, self._boxes or (), strict=False):
            if x >= width or y >= height or x + across <= 0 or y + down <= 0:
                raise SettingError("box", f"lies outside the frame of {width} x {height} pixels.", text)
        focal = self._config.focal or focal
        people = self._model.predict(frame, boxes=self._boxes, focal=focal, detector=self._detector)
        if not people and self._config.detector == _AUTO:
            return self._model.predict(frame, focal=focal)
        return people

    def follow(self, frame: np.ndarray, number: int, time: float) -> list:
        """Returns the people of frame `number` of a video, seen at a time in seconds."""
        from hpe.inference.tracking import VideoTracker

        if number == 0:
            # Where the detector finds nobody to begin with, the whole frame is one person, as in an image.
            watched = self._detector is not None and (
                self._config.detector != _AUTO or len(self._detector(frame)) > 0
            )
            self._tracker = None
            if watched:
                focal = self._config.focal
                self._tracker = VideoTracker(
                    lambda frame, boxes: self._model.predict(frame, boxes=boxes, focal=focal),
                    lambda frame: (found := self._detector(frame), (found.boxes, found.scores))[1],
                )
        if self._tracker is None:
            return self._model.predict(frame, boxes=self._boxes, focal=self._config.focal)
        return self._tracker(frame, time)

    def draw(self, frame: np.ndarray, view: View | None, number: int, time: float) -> np.ndarray:
        """Draws the people of frame `number` of a video, seen at a time in seconds, over it."""
        from hpe.visualization.views import draw_people

        people = self.follow(frame, number, time)
        if not people:
            return frame
        if any(person.vertices is not None for person in people):
            return draw_people(frame, people, view=view or View.MESH)
        # Sticks in space are read by their movement.
        return draw_people(frame, people, view=view or View.BOTH, azimuth=_DEGREES_PER_FRAME * number % 360.0)

    def picture(self, frame: np.ndarray, *, focal: float | None) -> np.ndarray:
        """Draws an image: a panel for each person, or the view over the frame that the user asks for."""
        from hpe.visualization.grids import grid
        from hpe.visualization.views import draw_people, person_panel

        people = self.see(frame, focal=focal)
        if not people:
            raise UserError("nobody was found; --detector=none takes the whole picture for one person.")
        if self._config.view is not None:
            return draw_people(frame, people, view=self._config.view)
        side = min(max(max(frame.shape[:2]), _PANEL_SIZES[0]), _PANEL_SIZES[1])
        panels = [person_panel(frame, person, size=side) for person in people]
        return panels[0] if len(panels) == 1 else grid(panels, columns=1)


def _detector(name: str):
    """Returns what finds people, None for the whole frame."""
    if name == _NONE:
        return None
    if name == _AUTO:
        from hpe.people.detection import RtmdetDetector

        return RtmdetDetector()
    from hpe.people.onnx_detection import OnnxDetector

    if not pathlib.Path(name).is_file():
        raise SettingError("detector", f"must be {_AUTO}, {_NONE} or an ONNX file, which this is not.", name)
    return OnnxDetector(name)


def main() -> None:
    """Predicts images into files, or plays a video with its predictions."""
    config = program_flags.read(PreviewConfig)
    inputs = program_flags.arguments() or [config.input]
    # What cannot be opened is told before the network is loaded, which takes seconds.
    from hpe.inference.sources import VideoSource, find_images

    images: list[pathlib.Path] = []
    videos: list[tuple[str, VideoSource]] = []
    for given in inputs:
        path = pathlib.Path(given)
        if not given.isdigit() and not path.exists():
            raise SettingError("input", "no such file, folder or camera.", given)
        found = find_images(path) if path.exists() else []
        images += found
        if not found:
            videos.append((given, VideoSource(int(given) if given.isdigit() else given)))
    pictures = _picture_paths(images, config) if images else []
    for given, source in videos:
        _video_path(given, source, config)
    eye = _Eye(_load(config), config)
    if images:
        _preview_images(images, pictures, eye, config)
    for given, source in videos:
        _preview_video(given, source, eye, config)


def _load(config: PreviewConfig) -> Model:
    from hpe.programs.loading import load_model

    model = load_model(
        config.system,
        config.checkpoint,
        lifter_checkpoint=config.lifter_checkpoint,
        body_model=config.body_model,
    )
    if model.takes != "image":
        raise SettingError(
            "checkpoint",
            f"{model.name} takes 2D joints, not pictures; join it to one that does, such as "
            "`system=hrnet_lifter` `checkpoint=HRNET_RUN` `lifter_checkpoint=LIFTER_RUN`.",
            config.checkpoint,
        )
    return model


def _output(config: PreviewConfig) -> pathlib.Path:
    return pathlib.Path(config.output or "runs/preview")


def _picture_paths(images: list[pathlib.Path], config: PreviewConfig) -> list[pathlib.Path]:
    """Returns where the picture of each image goes: NAME.png, with the old ending kept where names are equal.

    Raises:
        UserError: a picture would replace an image of the input.
    """
    stems = collections.Counter(path.stem for path in images)
    names = [path.stem if stems[path.stem] == 1 else path.name for path in images]
    pictures = [_output(config) / f"{name}.png" for name in names]
    inputs = {path.resolve() for path in images}
    for picture in pictures:
        if picture.resolve() in inputs:
            raise SettingError("output", f"would replace the input {picture}; name another.", _output(config))
    return pictures


def _preview_images(
    images: list[pathlib.Path], pictures: list[pathlib.Path], eye: _Eye, config: PreviewConfig
) -> None:
    from tqdm import tqdm

    from hpe.inference.pictures import read_photo
    from hpe.inference.sources import count_pictures
    from hpe.visualization.grids import write_image

    skipped, several, written = [], [], 0
    for path, picture in tqdm(
        list(zip(images, pictures, strict=True)), unit="image", disable=len(images) < 2
    ):
        try:
            frame, focal = read_photo(path)
            drawn = eye.picture(eye.upright(frame), focal=focal)
        except UserError as error:
            # What is said of a file names it; what is said of a setting does not.
            skipped.append((path, error))
            continue
        count = count_pictures(path)
        if count > 1:
            several.append(f"{path}: holds {count} pictures, of which the first was taken.")
        write_image(picture, drawn)
        written += 1
    if len(images) == 1 and skipped:
        raise skipped[0][1]
    for path, error in skipped:
        text = program_flags.message(error)
        print(f"skipped: {path}: {text}" if isinstance(error, SettingError) else f"skipped: {text}")
    for line in several:
        print(f"note: {line}")
    if not written:
        raise UserError(f"none of the {len(images)} images could be used.")
    print(f"wrote {pictures[0] if len(images) == 1 else f'{written} pictures to {_output(config)}'}")


def _video_path(given: str, source: VideoSource, config: PreviewConfig) -> pathlib.Path:
    """Returns where the frames of a video or a camera go, if they go to a file."""
    output = _output(config)
    name = f"camera{given}" if source.is_camera else pathlib.Path(given).stem
    path = output / f"{name}.mp4"
    if not source.is_camera and path.resolve() == pathlib.Path(given).resolve():
        raise SettingError("output", f"would replace the input {path}; name another folder.", output)
    return path


def _preview_video(given: str, source: VideoSource, eye: _Eye, config: PreviewConfig) -> None:
    from hpe.inference import display

    if config.output is None and display.display_available():
        _play(source, eye, config)
        return
    if config.output is None:
        print("no display: the frames are written to files instead (choose where with --output)")
    _record(given, source, eye, config)


def _play(source: VideoSource, eye: _Eye, config: PreviewConfig) -> None:
    from hpe.inference import display

    print(_KEYS_TEXT)
    view = config.view
    window = display.Window("preview", fullscreen=config.fullscreen)
    shown, started = 0, time.monotonic()
    for frame in source:
        picture = eye.draw(eye.upright(frame), view, shown, shown / source.frames_per_second)
        # A file is not played faster than it was filmed; a camera waits by itself.
        due = 0.0 if source.is_camera else started + shown / source.frames_per_second
        key = window.show(picture, seconds=due - time.monotonic())
        shown += 1
        view = _KEYS.get(key, view)
        if key == display.ESCAPE or not window.is_open() or shown == config.max_frames:
            break
    window.close()
    print(f"{shown} frames, {shown / (time.monotonic() - started):.1f} per second")


def _record(given: str, source: VideoSource, eye: _Eye, config: PreviewConfig) -> None:
    from tqdm import tqdm

    from hpe.inference.recording import VideoFile

    path = _video_path(given, source, config)
    video = VideoFile(path, frames_per_second=source.frames_per_second)
    try:
        with video:
            for frame in tqdm(source, unit="frame", total=config.max_frames):
                seconds = video.frames / source.frames_per_second
                video.add(eye.draw(eye.upright(frame), config.view, video.frames, seconds))
                if video.frames == config.max_frames:
                    break
    finally:
        if video.is_complete:
            print(f"wrote {video.frames} frames to {path}")
    if not video.is_complete:
        raise SettingError("input", "the video holds no frame that OpenCV can read.", given)


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(PreviewConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("preview")

"""`python -m preview`: shows what a trained system sees in an image, a folder, a video or a camera."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import time

import numpy as np
from tqdm import tqdm

from hpe.errors import UserError
from hpe.geometry.crops import Crop, box_crop, frame_crop
from hpe.inference.display import ESCAPE, Window, display_available
from hpe.inference.predictor import Predictor
from hpe.inference.recording import VideoFile
from hpe.inference.sources import VideoSource, find_images
from hpe.options import option
from hpe.programs import flags as program_flags
from hpe.training.combining import load_system
from hpe.visualization.grids import read_image, write_image
from hpe.visualization.panels import prediction_panel
from hpe.visualization.views import View, draw_view

# How fast a 3D skeleton turns: once in twelve seconds at 25 frames per second.
_DEGREES_PER_FRAME = 1.2
_KEYS = {ord("s"): View.SKELETON, ord("m"): View.MESH, ord("b"): View.BOTH, ord("r"): View.ROTATED}


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """What to show, with which checkpoint, and where."""

    system: str | None = option(
        None, "Two runs as one system, such as hrnet_lifter; by default the system of the run."
    )
    checkpoint: str | None = option(None, "Run directory, or one checkpoint in it.")
    lifter_checkpoint: str | None = option(None, "The same for the second stage of --system=hrnet_lifter.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    input: str = option("0", "Image, folder of images, video file, or number of a camera.")
    output: str | None = option(None, "Folder for pictures; for videos it replaces the window.")
    view: View | None = option(
        None,
        "View to start with, by default mesh, or both without a mesh; for images, this view over the frame instead "
        "of the panel.",
    )
    box: str | None = option(
        None, "Person's box x,y,width,height in pixels of the turned frame; default is the whole frame."
    )
    rotate: int = option(0, "Turn the frames clockwise by 0, 90, 180 or 270 degrees first.")
    fullscreen: bool = option(True, "Cover the whole screen; ESC leaves.")
    max_frames: int | None = option(None, "End a video after this many frames.")

    def __post_init__(self):
        if self.checkpoint is None:
            raise ValueError("--checkpoint is needed: the run directory that training created.")
        if self.rotate not in (0, 90, 180, 270):
            raise ValueError(f"--rotate must be 0, 90, 180 or 270. Received: rotate={self.rotate}")
        if self.max_frames is not None and self.max_frames < 1:
            raise ValueError(f"--max_frames must be at least 1. Received: max_frames={self.max_frames}")
        self.parsed_box()

    def parsed_box(self) -> tuple[float, float, float, float] | None:
        """Returns the box as four numbers, or None for the whole frame."""
        if self.box is None:
            return None
        try:
            x, y, width, height = (float(number) for number in self.box.split(","))
        except ValueError:
            raise ValueError(f"--box must be x,y,width,height in pixels. Received: box={self.box}") from None
        if not (np.isfinite([x, y, width, height]).all() and width > 0 and height > 0):
            raise ValueError(f"--box must have a positive width and height. Received: box={self.box}")
        return x, y, width, height


def main() -> None:
    """Predicts images into files, or plays a video with its predictions."""
    config = program_flags.read(PreviewConfig)
    source = pathlib.Path(config.input)
    images = find_images(source) if source.exists() else []
    if not images and not config.input.isdigit() and not source.exists():
        raise UserError(f"--input={config.input}: no such file, folder or camera.")
    pictures = _picture_paths(images, config) if images else []
    predictor, _, step = load_system(
        config.system,
        config.checkpoint,
        lifter_checkpoint=config.lifter_checkpoint,
        body_model=config.body_model,
    )
    if predictor.system.input_key != "image":
        raise UserError(
            f"--checkpoint={config.checkpoint}: {predictor.system.name} takes no pictures; join it to one that "
            "does, such as --system=hrnet_lifter --checkpoint=HRNET_RUN --lifter_checkpoint=LIFTER_RUN."
        )
    print(f"{config.checkpoint}: {predictor.system.name} at step {step}")
    if images:
        _preview_images(images, pictures, predictor, config)
    else:
        _preview_video(predictor, config)


def _crop(frame: np.ndarray, predictor: Predictor, config: PreviewConfig) -> Crop:
    box = config.parsed_box()
    height, width = frame.shape[:2]
    if box is None:
        return frame_crop(height, width, predictor.image_size)
    if box[0] >= width or box[1] >= height or box[0] + box[2] <= 0 or box[1] + box[3] <= 0:
        raise UserError(f"--box={config.box}: lies outside the frame of {width} x {height} pixels.")
    return box_crop(box, predictor.image_size)


def _turn(frame: np.ndarray, degrees: int) -> np.ndarray:
    return np.ascontiguousarray(np.rot90(frame, -degrees // 90))


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
            raise UserError(f"--output={_output(config)}: would replace the input {picture}; name another.")
    return pictures


def _preview_images(
    images: list[pathlib.Path],
    pictures: list[pathlib.Path],
    predictor: Predictor,
    config: PreviewConfig,
) -> None:
    failed = []
    for path, picture_path in tqdm(
        list(zip(images, pictures, strict=True)), unit="image", disable=len(images) < 2
    ):
        try:
            frame = _turn(read_image(path), config.rotate)
            crop = _crop(frame, predictor, config)
        except UserError as error:
            failed.append(f"{path}: {error}" if str(error).startswith("--box") else str(error))
            continue
        cut = crop.take(frame)
        prediction = predictor.predict_one(cut)
        if config.view is None:
            picture = prediction_panel(cut, prediction, 0)
        else:
            picture = draw_view(config.view, frame, crop, prediction)
        write_image(picture_path, picture)
    if len(failed) == len(images) == 1:
        raise UserError(failed[0])
    for line in failed:
        print(f"skipped: {line}")
    if len(failed) == len(images):
        raise UserError(f"--input={config.input}: none of its {len(images)} images could be used.")
    written = len(images) - len(failed)
    print(f"wrote {pictures[0] if len(images) == 1 else f'{written} pictures to {_output(config)}'}")


def _preview_video(predictor: Predictor, config: PreviewConfig) -> None:
    source = VideoSource(int(config.input) if config.input.isdigit() else config.input)
    view = config.view
    if config.output is None and display_available():
        _play(source, predictor, config, view)
        return
    if config.output is None:
        print("no display: the frames are written to files instead (choose where with --output)")
    _record(source, predictor, config, view)


def _drawn(
    frame: np.ndarray, predictor: Predictor, config: PreviewConfig, view: View | None, shown: int
) -> np.ndarray:
    """Draws a frame; `shown` is how many came before."""
    crop = _crop(frame, predictor, config)
    prediction = predictor.predict_one(crop.take(frame))
    if prediction.vertices is not None:
        return draw_view(view or View.MESH, frame, crop, prediction)
    # Sticks in space are read by their movement.
    azimuth = _DEGREES_PER_FRAME * shown
    return draw_view(view or View.BOTH, frame, crop, prediction, azimuth=azimuth % 360.0)


def _play(source: VideoSource, predictor: Predictor, config: PreviewConfig, view: View) -> None:
    print("keys: s skeleton, m mesh, b mesh and turned mesh side by side, r turned mesh, ESC quits")
    window = Window("preview", fullscreen=config.fullscreen)
    shown, started = 0, time.monotonic()
    for frame in source:
        picture = _drawn(_turn(frame, config.rotate), predictor, config, view, shown)
        # A file is not played faster than it was filmed; a camera waits by itself.
        due = 0.0 if source.is_camera else started + shown / source.frames_per_second
        key = window.show(picture, seconds=due - time.monotonic())
        shown += 1
        view = _KEYS.get(key, view)
        if key == ESCAPE or not window.is_open() or shown == config.max_frames:
            break
    window.close()
    print(f"{shown} frames, {shown / (time.monotonic() - started):.1f} per second")


def _record(source: VideoSource, predictor: Predictor, config: PreviewConfig, view: View) -> None:
    output = _output(config)
    name = f"camera{config.input}" if source.is_camera else pathlib.Path(config.input).stem
    path = output / f"{name}.mp4"
    if not source.is_camera and path.resolve() == pathlib.Path(config.input).resolve():
        raise UserError(f"--output={output}: would replace the input {path}; name another folder.")
    video = VideoFile(path, frames_per_second=source.frames_per_second)
    try:
        with video:
            for frame in tqdm(source, unit="frame", total=config.max_frames):
                turned = _turn(frame, config.rotate)
                video.add(_drawn(turned, predictor, config, view, video.frames))
                if video.frames == config.max_frames:
                    break
    finally:
        if video.is_complete:
            print(f"wrote {video.frames} frames to {path}")
    if not video.is_complete:
        raise UserError(f"--input={config.input}: the video holds no frame that OpenCV can read.")


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(PreviewConfig)


if __name__ == "__main__":
    define_flags()
    program_flags.run(main)

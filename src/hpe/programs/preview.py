"""`hpe preview PHOTO`: shows what a trained model sees in images, folders, videos or a camera."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING

from hpe import files
from hpe.errors import SettingError
from hpe.programs import flags as program_flags
from hpe.programs.preview_config import PreviewConfig

if TYPE_CHECKING:
    from hpe.inference.model import Model
    from hpe.inference.sources import VideoSource
    from hpe.people.person import Person

# Files may be named without a flag.
TAKES_ARGUMENTS = True


def main() -> None:
    """Predicts images into files, or plays a video with its predictions."""
    config = program_flags.read(PreviewConfig)
    inputs = program_flags.arguments() or [config.input]
    # What cannot be opened or written is told before the network is loaded, which takes seconds.
    images, videos = _opened(inputs)
    from hpe.programs import preview_images, preview_videos
    from hpe.programs.preview_people import Finder

    names = preview_images.names_of(images, config) if images else []
    for given, source in videos:
        preview_videos.path_of(given, source, config)
    if images or config.output is not None or config.json:
        _check_writable(config)
    finder = Finder(_load(config), config)
    from hpe.training.signals import Signals

    with CollectedJson(config) as collected, Signals() as signals:
        if images:
            preview_images.show(list(zip(images, names, strict=True)), finder, config, signals, collected)
        for given, source in videos:
            if signals.received is None:
                preview_videos.show(given, source, finder, config, signals, collected)
    if signals.received is not None:
        print(f"interrupted by {signals.received.name}: what is written is whole, up to here")
        sys.exit(128 + signals.received)


def _opened(inputs: list[str]) -> tuple[list[pathlib.Path], list[tuple[str, VideoSource]]]:
    """Returns the images and the videos that are meant."""
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
        elif path.is_dir():
            others = sum(child.is_file() and child not in found for child in path.iterdir())
            if others:
                print(
                    f"note: {path}: {others} files that are no images are left out; name videos themselves."
                )
    return images, videos


def _check_writable(config: PreviewConfig) -> None:
    for folder in {config.folder, pathlib.Path(config.json or config.folder / "x").parent}:
        reason = files.why_not_writable(folder)
        if reason:
            raise SettingError("output", f"cannot be written ({reason}).", folder)


class CollectedJson:
    """The file of `json`, if there is one: all frames of all inputs, counted through."""

    def __init__(self, config: PreviewConfig):
        from hpe.export.json_people import HemletsLayout, JsonFile

        self._path = config.json
        self._file = JsonFile(config.json, HemletsLayout()) if config.json else None
        self._frames = 0

    def __enter__(self) -> CollectedJson:
        return self

    def __exit__(self, kind, *_) -> None:
        if self._file is None:
            return
        if kind is not None:
            self._file.discard()
            return
        self._file.finish()
        print(f"wrote {self._frames} frames to {self._path}")

    def add(self, people: list[Person]) -> None:
        """Adds the people of the next frame or image."""
        if self._file is not None:
            self._file.add(self._frames, None, people)
            self._frames += 1


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
    if config.refine:
        from hpe.programs.startup import quiet_tensorflow

        quiet_tensorflow()
    # Whether its bodies can be fitted is told before the first picture.
    model.predictor_of(config.refine)
    return model


def define_flags() -> None:
    """Defines the flags of this program."""
    program_flags.define(PreviewConfig)


if __name__ == "__main__":
    from hpe.programs.cli import run

    run("preview")

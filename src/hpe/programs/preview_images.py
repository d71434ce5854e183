"""Images become pictures and files of their people."""

from __future__ import annotations

import collections
import pathlib
from typing import TYPE_CHECKING

import numpy as np

from hpe.errors import SettingError, UserError
from hpe.programs import flags as program_flags
from hpe.programs.preview_config import JsonLayout, PreviewConfig

if TYPE_CHECKING:
    from hpe.people.person import Person
    from hpe.programs.preview import CollectedJson
    from hpe.programs.preview_people import Finder
    from hpe.training.signals import Signals

# Sides of a panel's columns in pixels: as large as the picture, within what is readable and what is handy.
_PANEL_SIZES = (224, 480)


def names_of(images: list[pathlib.Path], config: PreviewConfig) -> list[pathlib.Path]:
    """Returns paths of what is written of each image, without an ending: NAME, or NAME.jpg where names are equal.

    Raises:
        UserError: a picture would replace an image of the input.
    """
    stems = collections.Counter(path.stem for path in images)
    names = [
        config.folder / (path.stem if stems[path.stem] == 1 else path.name).replace("\n", " ")
        for path in images
    ]
    inputs = {path.resolve() for path in images}
    for name in names:
        picture = name.with_name(f"{name.name}.png")
        if config.draw and picture.resolve() in inputs:
            raise SettingError("output", f"would replace the input {picture}; name another.", config.folder)
    return names


def show(
    images: list[tuple[pathlib.Path, pathlib.Path]],
    finder: Finder,
    config: PreviewConfig,
    signals: Signals,
    collected: CollectedJson,
) -> None:
    """Writes what is seen in images.

    Args:
        images: each with the path of what is written, without an ending.
        finder: who finds people.
        config: the settings.
        signals: ends it before the next image.
        collected: the file for all inputs.

    Raises:
        UserError: none of the images can be used.
    """
    from tqdm import tqdm

    from hpe.export.saving import save_picture
    from hpe.inference.pictures import read_photo
    from hpe.visualization.grids import write_image

    skipped, notes, written, used = [], [], [], 0
    for path, name in tqdm(images, unit="image", disable=len(images) < 2):
        if signals.received is not None:
            break
        try:
            image, focal = read_photo(path)
            image = finder.upright(image)
            people = finder.in_image(image, name=path.name, focal=focal)
        except UserError as error:
            # What is said of a file names it; what is said of a setting does not.
            skipped.append((path, error))
            continue
        drawn = config.drawn(people) if config.draw else people
        notes += _remarks(path, people, drawn, config)
        if config.draw:
            picture = name.with_name(f"{name.name}.png")
            write_image(picture, _drawn(image, drawn, config))
            written.append(picture)
        files, lacking = save_picture(people, name, config.save, layout=_layout(path, config), picture=image)
        written += files
        notes += lacking
        collected.add(people)
        used += 1
    if len(images) == 1 and skipped:
        raise skipped[0][1]
    for path, error in skipped:
        text = program_flags.message(error)
        print(f"skipped: {path}: {text}" if isinstance(error, SettingError) else f"skipped: {text}")
    for line in notes:
        print(f"note: {line}")
    if not used and signals.received is None:
        raise UserError(f"none of the {len(images)} images could be used.")
    if len(images) == 1 and written:
        print(f"wrote {', '.join(map(str, written))}")
    elif written:
        print(f"wrote {_counted(written)} to {config.folder}")


def _remarks(
    path: pathlib.Path, people: list[Person], drawn: list[Person], config: PreviewConfig
) -> list[str]:
    """Returns what a user is told of a picture that was used, and of the people in it who are drawn."""
    from hpe.formats.images import count_pictures

    remarks = []
    count = count_pictures(path)
    if count > 1:
        remarks.append(f"{path}: holds {count} pictures, of which the first was taken.")
    if not people:
        remarks.append(f"{path}: nobody was found; --detector=none takes the whole picture for one person.")
    if len(drawn) < len(people):
        remarks.append(
            f"{path}: {len(people) - len(drawn)} people lower than {config.min_height:g} pixels are not "
            "drawn; --min_height=0 draws them."
        )
    return remarks


def _counted(written: list[pathlib.Path]) -> str:
    """Returns how many files of each kind were written, such as `12 pictures, 12 json`."""
    kinds = collections.Counter("pictures" if path.suffix == ".png" else path.suffix[1:] for path in written)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.items())


def _layout(path: pathlib.Path, config: PreviewConfig):
    from hpe.export.json_people import HemletsLayout, PeopleLayout

    if config.json_layout is JsonLayout.HEMLETS:
        return HemletsLayout()
    return PeopleLayout(source=path.name)


def _drawn(image: np.ndarray, people: list[Person], config: PreviewConfig) -> np.ndarray:
    """Draws a panel for each person, or the view over the frame that the user asks for."""
    from hpe.visualization.grids import grid
    from hpe.visualization.views import draw_people, person_panel

    if not people:
        return image
    if config.view is not None:
        return draw_people(image, people, view=config.view)
    side = min(max(max(image.shape[:2]), _PANEL_SIZES[0]), _PANEL_SIZES[1])
    panels = [person_panel(image, person, size=side) for person in people]
    return panels[0] if len(panels) == 1 else grid(panels, columns=1)

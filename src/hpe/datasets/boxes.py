"""Pictures without joints: people as boxes in COCO's form, with segmentations where a file has them, or no boxes.

What is left out is counted with its reason, as everywhere; crowds are, and so are all categories but people where a
file has a category of people.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpe.datasets.image_folders import SHARED_FILE, ImageFolders
from hpe.datasets.outlines import Outline
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from hpe.formats.json_files import field, read_json

CONTENT = "boxes in COCO's form: an object with `images` and `annotations`"
_MASKS = "masks"
_PERSON = "person"


@dataclasses.dataclass(frozen=True)
class BoxedPerson:
    """A person of a picture, as far as an annotation says.

    Attributes:
        name: of the picture's file, and behind `#` the annotation.
        box: (x, y, width, height) in pixels of the picture, counted from its edge.
        mask: an `Outline`, the path of a picture, or None.
    """

    name: str
    box: tuple[float, float, float, float]
    mask: Outline | str | None


@dataclasses.dataclass(frozen=True)
class BoxedPicture:
    """A picture and its people.

    Attributes:
        name: of its file.
        path: where it lies.
        size: height and width that the annotation says, or None.
        people: None where nobody has said where they are.
        skipped: annotations that are left out, and why.
    """

    name: str
    path: str
    size: tuple[int, int] | None = None
    people: Sequence[BoxedPerson] | None = None
    skipped: Sequence[Skipped] = ()


def boxed_pictures(path: str | os.PathLike) -> tuple[list[BoxedPicture], list[Skipped]]:
    """Reads an annotation file in COCO's form.

    Args:
        path: the file. Pictures are looked for below its folder, and the folder above; segmentations as pictures,
            called as the picture and `_` and the id of the annotation, in `masks/` beside it.

    Returns:
        The pictures that have people, in the order of the file, and what belongs to no picture.

    Raises:
        UserError: the file cannot be read, is something else, or none of its pictures is there.
    """
    path = pathlib.Path(path)
    content = read_json(path, dict, CONTENT)
    images, annotations = (field(content, key, str(path)) for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise UserError(f"{path}: is not {CONTENT}, both lists.")
    folders = [path.parent, path.parent / "images", path.parent / "data"]
    folders += [path.parent.parent / name for name in ("images", path.stem.rpartition("_")[2], "")]
    finder = ImageFolders(folders)
    people_categories = _people_categories(content.get("categories"))
    entries: dict[str, list[dict]] = {}
    for annotation in annotations:
        if isinstance(annotation, dict):
            entries.setdefault(str(annotation.get("image_id")), []).append(annotation)
    paths, shared = finder.find_all(
        image["file_name"]
        for image in images
        if isinstance(image, dict) and isinstance(image.get("file_name"), str)
    )
    pictures, lost = [], []
    for image in images:
        name = image.get("file_name") if isinstance(image, dict) else None
        own = entries.pop(str(image.get("id")), []) if isinstance(name, str) else []
        if not own:
            continue
        found = paths[name]
        if found is None:
            lost.append(Skipped(name, SHARED_FILE if name in shared else "image is missing"))
            continue
        read = [_person(name, entry, people_categories, path.parent / _MASKS) for entry in own]
        pictures.append(
            BoxedPicture(
                name,
                found,
                _size(image),
                [item for item in read if isinstance(item, BoxedPerson)],
                [item for item in read if isinstance(item, Skipped)],
            )
        )
    lost += [Skipped(f"image {key}", "annotation of an image that is not listed") for key in entries]
    if not pictures:
        raise UserError(
            f"{path}: none of its {len(images)} pictures that have annotations is there; looked in "
            f"{', '.join(map(str, finder.folders))}."
        )
    return pictures, lost


def _people_categories(categories: Any) -> set[str] | None:
    """Returns the ids of the categories of people, None where no category is called so: all are taken."""
    listed = categories if isinstance(categories, list) else []
    named = [entry for entry in listed if isinstance(entry, dict)]
    people = {str(entry.get("id")) for entry in named if _PERSON in str(entry.get("name", "")).lower()}
    return people or None


def _person(picture: str, entry: dict, categories: set[str] | None, masks: pathlib.Path):
    name = f"{picture}#{entry.get('id')}"
    if categories is not None and str(entry.get("category_id")) not in categories:
        return Skipped(name, "no person")
    if entry.get("iscrowd"):
        return Skipped(name, "crowd")
    try:
        box = np.array(entry.get("bbox"), np.float64)
        usable = box.shape == (4,) and np.isfinite(box).all() and (box[2:] > 0).all()
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        return Skipped(name, "box is missing or damaged")
    mask = masks / f"{pathlib.PurePosixPath(picture).stem}_{entry.get('id')}.png"
    if mask.is_file():
        return BoxedPerson(name, tuple(box.tolist()), str(mask))
    outline = entry.get("segmentation")
    return BoxedPerson(name, tuple(box.tolist()), Outline(outline) if outline else None)


def _size(image: dict) -> tuple[int, int] | None:
    try:
        size = int(image["height"]), int(image["width"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None

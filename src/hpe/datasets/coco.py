"""COCO's people with keypoints: `person_keypoints_*.json` and the folders of images.

Keypoints are `coco17`: v is 0 unlabelled, 1 labelled but occluded, 2 visible; all labelled joints are taken for
visible, as HRNet trains. Every person is a record of its own. The box is the annotated one made square; it takes
0.8 of the crop, so that the crop is HRNet's, 1.25 of the box. Polygons become masks; run-length codes are left out.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from typing import Any

import cv2
import numpy as np

from hpe import skeletons
from hpe.datasets.people import Person, load_person
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats import images as image_files
from hpe.formats.json_files import field, numbers, read_json

_JOINTS = len(skeletons.COCO17)
_PREFIX = "person_keypoints_"
_CONTENT = "COCO's keypoints: an object with `images` and `annotations`"

# Polygons are drawn to this share of a pixel.
_SUBPIXEL_BITS = 4
_FARTHEST = 2.0**20


@dataclasses.dataclass(frozen=True)
class CocoPerson:
    """An annotation of a person.

    Attributes:
        person: as of every dataset.
        size: height and width of the image as annotated.
        segmentation: as in the file: a list of polygons [x, y, x, y, ...], or run-length codes.
    """

    person: Person
    size: tuple[int, int]
    segmentation: Any


def coco(directory: str | os.PathLike, *, only_segmented: bool = False) -> list[Source]:
    """Returns COCO's people with keypoints, one Source per annotation file.

    Args:
        directory: folder with `person_keypoints_*.json`, at its top or in `annotations/`; without such files, with
            others of that kind. Images are in a folder called as the file (`train2017/`), there or in `images/`, or
            in `images/`, or beside the annotations.
        only_segmented: leaves out people without a polygon.

    Returns:
        The Sources, `coco_train` for `person_keypoints_train2017.json`; with the year where names would repeat.

    Raises:
        UserError: if there is no such file, one is damaged, or none of its images is found.
    """
    directory = pathlib.Path(directory)
    folders = [folder for folder in (directory / "annotations", directory) if folder.is_dir()]
    files = [path for folder in folders for path in sorted(folder.glob(f"{_PREFIX}*.json"))]
    files = files or [path for folder in folders for path in sorted(folder.glob("*.json"))]
    if not files:
        raise UserError(f"{directory}: has no {_PREFIX}*.json, neither at its top nor in annotations/.")
    stems = [re.sub(r"\W", "_", path.stem.removeprefix(_PREFIX)) for path in files]
    names = [stem.rstrip("0123456789") or stem for stem in stems]
    if len(set(names)) < len(names):
        names = stems
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"{directory}: holds {twice} twice, at its top and in annotations/; remove one of the two."
        )
    return [
        _source(directory, path, f"coco_{name}", only_segmented)
        for path, name in zip(files, names, strict=True)
    ]


def load_coco_person(item: CocoPerson | Skipped, *, only_segmented: bool) -> Sample | Skipped:
    """Reads the image of a person and draws the mask."""
    if isinstance(item, Skipped):
        return item
    sample = load_person(item.person, only_segmented=False)
    if isinstance(sample, Skipped):
        return sample
    if (sample.height, sample.width) != item.size:
        return Skipped(sample.name, "image has another size than its annotation says")
    mask, problem = polygon_mask(item.segmentation, *item.size)
    if problem and only_segmented:
        return Skipped(sample.name, problem)
    if problem:
        return dataclasses.replace(sample, notes=(*sample.notes, f"{problem}: left out"))
    return dataclasses.replace(sample, mask=image_files.encode_mask(mask))


def polygon_mask(segmentation: Any, height: int, width: int) -> tuple[np.ndarray | None, str]:
    """Draws a segmentation of polygons.

    Args:
        segmentation: list of polygons [x, y, x, y, ...]; the pixel (0, 0) reaches from 0 to 1.
        height: of the image in pixels.
        width: of the image in pixels.

    Returns:
        (height, width) uint8 of 0 and 255, and ""; or None and why there is no mask.
    """
    if isinstance(segmentation, dict):
        return None, "segmentation is run-length encoded"
    if not isinstance(segmentation, list) or not segmentation:
        return None, "no segmentation"
    mask = np.zeros((height, width), np.uint8)
    for polygon in segmentation:
        try:
            points = np.array(polygon, np.float64).reshape(-1, 2)
        except (TypeError, ValueError):
            return None, "segmentation is damaged"
        if len(points) < 3 or not np.isfinite(points).all():
            return None, "segmentation is damaged"
        # One by one: where polygons overlap, together they would cut each other out.
        points = np.clip(points - 0.5, -_FARTHEST, _FARTHEST) * 2**_SUBPIXEL_BITS
        cv2.fillPoly(mask, [np.rint(points).astype(np.int32)], 255, shift=_SUBPIXEL_BITS)
    if not mask.any():
        return None, "segmentation is empty"
    return mask, ""


def _source(directory: pathlib.Path, path: pathlib.Path, name: str, only_segmented: bool) -> Source:
    content = read_json(path, dict, _CONTENT)
    images, annotations = (field(content, key, str(path)) for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise UserError(f"{path}: is not {_CONTENT}, both lists.")
    stem = path.stem.removeprefix(_PREFIX)
    candidates = (directory / stem, directory / "images" / stem, directory / "images", directory)
    image_dir = next(folder for folder in candidates if folder.is_dir())
    found = set(os.listdir(image_dir))
    by_id = dict(_image(entry, f"{path}: image {number}") for number, entry in enumerate(images))
    people = [
        _person(entry, f"{path}: annotation {number}", by_id, image_dir, found)
        for number, entry in enumerate(annotations)
    ]
    if not any(isinstance(item, CocoPerson) and item.person.image for item in people):
        raise UserError(f"{image_dir}: holds no image of a person with keypoints of {path.name}.")
    return Source(
        name,
        skeletons.COCO17.name,
        people,
        functools.partial(load_coco_person, only_segmented=only_segmented),
        {"annotations": str(path), "images": str(image_dir), "only_segmented": only_segmented},
    )


def _image(entry, where: str) -> tuple[int, tuple[str, tuple[int, int]]]:
    """Returns the id of an image, and its file name, height and width."""
    number, file_name = field(entry, "id", where), field(entry, "file_name", where)
    if not isinstance(number, int) or not isinstance(file_name, str):
        raise UserError(f"{where}: `id` must be a whole number and `file_name` the name of a file.")
    height, width = (int(numbers(entry, key, (), where)) for key in ("height", "width"))
    return number, (file_name, (height, width))


def _person(
    entry, where: str, images: dict, image_dir: pathlib.Path, found: set[str]
) -> CocoPerson | Skipped:
    image_id = field(entry, "image_id", where)
    if not isinstance(image_id, int) or image_id not in images:
        raise UserError(f"{where}: `image_id` {image_id!r} is not that of an image.")
    file_name, (height, width) = images[image_id]
    name = f"{file_name}#{entry.get('id', image_id)}"
    if entry.get("iscrowd"):
        return Skipped(name, "crowd")
    keypoints = numbers(entry, "keypoints", (3 * _JOINTS,), where).reshape(_JOINTS, 3)
    labelled = keypoints[:, 2] > 0
    if not labelled.any():
        return Skipped(name, "no labelled joint")
    x, y, box_width, box_height = numbers(entry, "bbox", (4,), where)
    low = np.maximum((x, y), 0)
    high = np.minimum((x + box_width, y + box_height), (width, height))
    side = float((high - low).max())
    if (high <= low).any():
        return Skipped(name, "box is empty")
    person = Person(
        name=name,
        image=str(image_dir / file_name) if file_name in found else None,
        mask=None,
        skeleton=skeletons.COCO17.name,
        joints2d=np.where(labelled[:, None], keypoints[:, :2], 0),
        visibility=labelled.astype(np.float32),
        scale=side,
        # The box counts from the edges of pixels, joints from their centres.
        center=(low + high - 1) / 2,
    )
    return CocoPerson(person, (height, width), entry.get("segmentation"))

"""Your own pictures: a folder of them and a file of keypoints in COCO's layout, with or without segmentations.

Any subset of joints by name, several people per picture, masks as polygons, run lengths or files `masks/NAME.png`.
Files of several parts (`train.json` and `val.json`, or Roboflow's folders) keep them; one file can be split.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re

from hpe.datasets import coco
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Provenance, Source
from hpe.errors import UserError

MASKS = "masks"
# What parts of a dataset are called by the stems of their files or folders; others keep their own name.
_PARTS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def own(
    path: str | os.PathLike,
    *,
    name: str = "own",
    val_share: float = 0.0,
    min_joints: int = 1,
    only_segmented: bool = False,
) -> list[Source]:
    """Returns the people of a folder of your own.

    Args:
        path: the folder, with annotation files as `hpe.datasets.coco.coco` finds them, or the annotation file.
        name: begins the names of the datasets.
        val_share: of the pictures of a file that is all there is, this share becomes `NAME_val`, the others
            `NAME_train`; all people of a picture go the same way, whatever the order in the file. 0 splits nothing.
        min_joints: leaves out people with fewer labelled joints.
        only_segmented: leaves out people without a segmentation.

    Returns:
        One Source, called as `name`, or one for each part: `own_train`, `own_val`.

    Raises:
        UserError: as `hpe.datasets.coco.coco`; if several files are to be split, or name the same part.
    """
    path = pathlib.Path(path)
    files, others = coco.annotation_files(path)
    folder = path.parent if path.is_file() else path
    masks = folder / MASKS
    parts = [_part(file) for file in files]
    if len(files) == 1 and not parts[0]:
        titles = [name]
    else:
        titles = [
            f"{name}_{part or _plain(coco.file_stem(file))}" for file, part in zip(files, parts, strict=True)
        ]
    if len(set(titles)) < len(titles):
        twice = next(title for title in titles if titles.count(title) > 1)
        raise UserError(f"{path}: holds several files of the part {twice}; leave one of them there.")
    sources = [
        coco.read_annotations(
            file,
            folder,
            title,
            only_segmented=only_segmented,
            min_joints=min_joints,
            mask_folder=masks if masks.is_dir() else None,
        )
        for file, title in zip(files, titles, strict=True)
    ]
    if val_share and len(sources) > 1:
        raise UserError(f"{path}: holds {', '.join(titles)} already, so that nothing is to be split.")
    if val_share:
        sources = _split(sources[0], name, val_share)
    sources[0] = dataclasses.replace(sources[0], items=[*others, *sources[0].items])
    source = Provenance(source=f"own data: {path}")
    return [dataclasses.replace(one, provenance=source) for one in sources]


def _part(file: pathlib.Path) -> str:
    """Returns which part of a dataset a file is, empty where its name does not say."""
    words = re.findall(r"[a-z]+", coco.file_stem(file).lower())
    return next((part for part, names in _PARTS.items() if set(words) & set(names)), "")


def _plain(stem: str) -> str:
    return re.sub(r"\W", "_", stem)


def _split(source: Source, name: str, val_share: float) -> list[Source]:
    """Splits a Source by pictures; which go where depends on their names alone."""
    pictures = sorted({_picture(item) for item in source.items} - {""}, key=_draw)
    count = max(1, round(val_share * len(pictures)))
    if len(pictures) < 2 or count >= len(pictures):
        raise UserError(
            f"{source.options['annotations']}: has {len(pictures)} pictures, too few to be split."
        )
    chosen = set(pictures[:count])
    return [
        dataclasses.replace(
            source,
            name=f"{name}_{part}",
            items=[item for item in source.items if (_picture(item) in chosen) == (part == "val")],
            options={**source.options, "val_share": val_share},
        )
        for part in ("train", "val")
    ]


def _picture(item) -> str:
    """Returns the file name of the picture of a person, or of one who is left out."""
    if isinstance(item, Skipped) and "#" not in item.name:
        return ""
    return item.name.rpartition("#")[0]


def _draw(picture: str) -> str:
    return hashlib.sha256(picture.encode()).hexdigest()

"""People with keypoints in COCO's layout, COCO's own files and what annotation tools export in its form.

`coco_index` reads what the joints are, `coco_people` the people. Every person is a record of its own. The box takes
0.8 of the crop, so that the crop is HRNet's, 1.25 of the box. Polygons and run lengths become masks. An entry that
cannot be used is left out, counted and named; a file is refused where its meaning is in doubt.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Sequence

from hpe.datasets.coco_index import read_index
from hpe.datasets.coco_people import read_people
from hpe.datasets.image_folders import ImageFolders
from hpe.datasets.people import LabelledPerson, load_person
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.json_files import field, read_json

CONTENT = "COCO's keypoints: an object with `images` and `annotations`"
_PREFIX = "person_keypoints_"


def coco(directory: str | os.PathLike, *, only_segmented: bool = False, min_joints: int = 1) -> list[Source]:
    """Returns the people of a folder in COCO's layout, one Source per annotation file.

    Args:
        directory: folder with `person_keypoints_*.json`, at its top or in `annotations/`; without such files, with
            others of that kind, also in folders of its splits as Roboflow has them. Images are found by the names
            in the file from folders called as the file (`train2017/`), `images/`, `data/`, or those of the
            annotations. An annotation file may be given itself; images are then looked for beside it.
        only_segmented: leaves out people without a segmentation.
        min_joints: leaves out people with fewer labelled joints.

    Returns:
        The Sources, `coco_train` for `person_keypoints_train2017.json`; with the year where names would repeat.

    Raises:
        UserError: if there is no such file, one is damaged or names joints that are not known, or none of its
            images is found.
    """
    files, others = annotation_files(directory)
    stems = [re.sub(r"\W", "_", file_stem(path)) for path in files]
    names = [stem.rstrip("0123456789") or stem for stem in stems]
    if len(set(names)) < len(names):
        names = stems
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(
            f"{directory}: holds {twice} twice, at its top and in annotations/; remove one of the two."
        )
    options = {"only_segmented": only_segmented, "min_joints": min_joints}
    sources = [
        read_annotations(path, directory, f"coco_{name}", **options)
        for path, name in zip(files, names, strict=True)
    ]
    return [dataclasses.replace(sources[0], items=[*others, *sources[0].items]), *sources[1:]]


def annotation_files(directory: str | os.PathLike) -> tuple[list[pathlib.Path], list[Skipped]]:
    """Returns the files of keypoints of a folder, or the file itself, and those that hold something else.

    Raises:
        UserError: if there is none.
    """
    directory = pathlib.Path(directory)
    if directory.is_file():
        return [directory], []
    folders = [folder for folder in (directory / "annotations", directory) if folder.is_dir()]
    if files := _json_files(folders, _PREFIX):
        return files, []
    found = _json_files([*folders, directory / "labels"]) or _json_files(
        sorted(folder for folder in directory.iterdir() if folder.is_dir())
    )
    usable, others, reasons = [], [], []
    for path in found:
        try:
            content = read_json(path, dict, CONTENT)
            if missing := [key for key in ("images", "annotations") if key not in content]:
                raise UserError(f"{path}: has no field `{missing[0]}`; it should be {CONTENT}.")
            has_keypoints = any(
                isinstance(entry, dict) and entry.get("keypoints") for entry in content["annotations"][:1000]
            )
        except (UserError, TypeError) as error:
            others.append(Skipped(str(path.relative_to(directory)), "no COCO file of keypoints"))
            reasons.append(str(error))
            continue
        if has_keypoints:
            usable.append(path)
        else:
            others.append(Skipped(str(path.relative_to(directory)), "annotations without keypoints"))
            reasons.append(f"{path}: holds no annotation with keypoints.")
    if usable:
        return usable, others
    if reasons:
        raise UserError(reasons[0])
    raise UserError(f"{directory}: has no {_PREFIX}*.json, neither at its top nor in annotations/.")


def _json_files(folders: Sequence[pathlib.Path], prefix: str = "") -> list[pathlib.Path]:
    """Returns the JSON files of folders; what begins with a dot is macOS's or hidden."""
    return [
        path
        for folder in folders
        for path in sorted(folder.glob(f"{prefix}*.json"))
        if not path.name.startswith(".") and path.is_file()
    ]


def file_stem(path: pathlib.Path) -> str:
    """Returns what an annotation file calls its part of a dataset; Roboflow's say it by their folder."""
    if path.name.startswith("_annotations"):
        return path.parent.name
    return path.stem.removeprefix(_PREFIX)


def read_annotations(
    path: pathlib.Path,
    directory: str | os.PathLike,
    name: str,
    *,
    only_segmented: bool = False,
    min_joints: int = 1,
    mask_folder: pathlib.Path | None = None,
) -> Source:
    """Reads one annotation file.

    Args:
        path: the file.
        directory: the folder of the dataset, below which images are looked for.
        name: of the Source.
        only_segmented: leaves out people without a segmentation.
        min_joints: leaves out people with fewer labelled joints.
        mask_folder: with segmentations as pictures, called as the image, or as the image and `_` and the id of the
            annotation; used where the annotation itself has none.

    Raises:
        UserError: as `coco`.
    """
    content = read_json(path, dict, CONTENT)
    entries, annotations = (field(content, key, str(path)) for key in ("images", "annotations"))
    if not isinstance(entries, list) or not isinstance(annotations, list):
        raise UserError(f"{path}: is not {CONTENT}, both lists.")
    finder = ImageFolders(_image_folders(path, pathlib.Path(directory)))
    index = read_index(path, entries, content.get("categories"), annotations, finder)
    people = read_people(path, annotations, index, min_joints=min_joints, mask_folder=mask_folder)
    if not any(isinstance(item, LabelledPerson) and item.image for item in people):
        raise UserError(f"{path}: {_why_nobody(people, finder)}.")
    return Source(
        name,
        index.skeleton.name,
        people,
        functools.partial(load_coco_person, only_segmented=only_segmented),
        {
            "annotations": str(path),
            "images": ", ".join(map(str, finder.folders[:1])),
            "only_segmented": only_segmented,
        },
    )


def load_coco_person(item: LabelledPerson | Skipped, *, only_segmented: bool) -> Sample | Skipped:
    """Reads the image of a person and draws the mask."""
    return item if isinstance(item, Skipped) else load_person(item, only_segmented=only_segmented)


def _image_folders(path: pathlib.Path, directory: pathlib.Path) -> list[pathlib.Path]:
    if directory.is_file():
        directory = directory.parent
    stem = file_stem(path)
    return [
        *(directory / stem, directory / "images" / stem, directory / "images", directory / "data", directory),
        *(path.parent / "images", path.parent / "data", path.parent),
    ]


def _why_nobody(people: list[LabelledPerson | Skipped], finder: ImageFolders) -> str:
    persons = [item for item in people if isinstance(item, LabelledPerson)]
    if persons:
        folders = ", ".join(map(str, finder.folders))
        return (
            f"none of its images is there, such as {persons[0].name.rpartition('#')[0]}; looked in {folders}"
        )
    if not people:
        return "holds no annotations"
    reasons = collections.Counter(item.reason for item in people)
    shown = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    return f"holds no person that can be used ({shown})"

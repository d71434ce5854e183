"""People with keypoints in COCO's layout, COCO's own files and what annotation tools export in its form.

What the joints are is told by `categories[].keypoints`, in any order and in the usual spellings; without it they
are COCO's 17 in COCO's order. v is 0 unlabelled, 1 labelled but occluded, 2 visible; all labelled joints are taken
for visible, as HRNet trains. Every person is a record of its own. The box is the annotated one made square, or that
of the joints; it takes 0.8 of the crop, so that the crop is HRNet's, 1.25 of the box. Polygons and run lengths
become masks. An entry that cannot be used is left out, counted and named; a file is refused where its meaning is in
doubt.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpe import skeletons
from hpe.datasets import joint_names
from hpe.datasets.image_folders import ImageFolders
from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.outlines import Outline
from hpe.datasets.people import Person, load_person
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.json_files import field, numbers, read_json

CONTENT = "COCO's keypoints: an object with `images` and `annotations`"
_PREFIX = "person_keypoints_"

_PERSON_NAMES = {
    "person",
    "people",
    "human",
    "man",
    "woman",
    "child",
    "boy",
    "girl",
    "pedestrian",
    "athlete",
    "player",
}
_ANIMALS = {
    *(
        "animal",
        "dog",
        "cat",
        "horse",
        "cow",
        "sheep",
        "bird",
        "pig",
        "goat",
        "monkey",
        "macaque",
        "mouse",
        "rat",
    ),
    *(
        "elephant",
        "bear",
        "zebra",
        "giraffe",
        "tiger",
        "lion",
        "fox",
        "deer",
        "rabbit",
        "fish",
        "fly",
        "hand",
        "face",
    ),
}

# Joints of one person that lie within this of the corner, in pixels, are shares of the picture: nobody is so small.
_LARGEST_SHARE = 1.5
_LEAST_SIDE = 32
# How far a sound box may reach out of the picture, and how far joints out of their box, in shares of the box.
_OVERHANG = 0.1
_SLACK = 0.15
# Of the boxes of a file, these must agree before all are read in another way.
_MOST = 0.9


@dataclasses.dataclass(frozen=True)
class _Image:
    """An image as listed: its name and path, and its size as far as it is said."""

    file_name: str
    path: str | None
    size: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What the keypoints of a category are: how many, and where each joint of the skeleton is among them or -1."""

    count: int
    places: np.ndarray


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
            for key in ("images", "annotations"):
                field(content, key, str(path))
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
    images, doubtful = _images(entries, finder)
    skeleton, layouts, left_out, notes = _layouts(path, content.get("categories"), annotations)
    reader = _Reader(skeleton, layouts, left_out, images, doubtful, notes, min_joints, mask_folder)
    reader.boxes = _box_form(reader, annotations)
    people: list[Any] = [reader.read(number, entry) for number, entry in enumerate(annotations)]
    if not any(isinstance(item, Person) and item.image for item in people):
        raise UserError(f"{path}: {_why_nobody(people, finder)}.")
    return Source(
        name,
        skeleton.name,
        people,
        functools.partial(load_coco_person, only_segmented=only_segmented),
        {
            "annotations": str(path),
            "images": ", ".join(map(str, finder.folders[:1])),
            "only_segmented": only_segmented,
        },
    )


def load_coco_person(item: Person | Skipped, *, only_segmented: bool) -> Sample | Skipped:
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


def _why_nobody(people: list[Person | Skipped], finder: ImageFolders) -> str:
    persons = [item for item in people if isinstance(item, Person)]
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


def identity(value: Any) -> str | None:
    """Returns an id as text, so that 7 and "7" are one; None if it is neither a number nor a text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _images(entries: list, finder: ImageFolders) -> tuple[dict[str, _Image], set[str]]:
    """Returns the images by their ids, and the ids that several files have."""
    images: dict[str, _Image] = {}
    doubtful = set()
    for entry in entries:
        if not isinstance(entry, dict):
            continue
        key, file_name = identity(entry.get("id")), entry.get("file_name")
        if key is None or not isinstance(file_name, str) or not file_name:
            continue
        known = images.get(key)
        if known is not None and known.file_name != file_name:
            doubtful.add(key)
        if known is None:
            images[key] = _Image(file_name, finder.find(file_name), _size(entry))
    return images, doubtful


def _size(entry: dict) -> tuple[int, int] | None:
    try:
        height, width = (int(numbers(entry, key, (), "image")) for key in ("height", "width"))
    except (UserError, ValueError):
        return None
    return (height, width) if 0 < height < 1 << 20 and 0 < width < 1 << 20 else None


def _layouts(
    path: pathlib.Path, categories: Any, annotations: list
) -> tuple[skeletons.Skeleton, dict[str | None, _Layout], dict[str, str], list[str]]:
    """Returns the joint set, what the keypoints of each category are, why others are left out, and notes.

    A file without categories is COCO's own.
    """
    usual = _Layout(len(skeletons.COCO17), np.arange(len(skeletons.COCO17)))
    if not isinstance(categories, list) or not categories:
        return skeletons.COCO17, {None: usual}, {}, []
    by_key = {identity(entry.get("id")): entry for entry in categories if isinstance(entry, dict)}
    used = {identity(entry.get("category_id")) for entry in annotations if isinstance(entry, dict)}
    people, left_out = _person_categories({key: entry for key, entry in by_key.items() if key is not None})
    joints_of: dict[str, list[str] | None] = {}
    for key, entry in people.items():
        names = entry.get("keypoints")
        joints_of[key] = _joints(path, entry, names) if names and key in used else None
    named = sorted({joint for joints in joints_of.values() if joints for joint in joints})
    skeleton, without_place = joint_names.target_skeleton(named or skeletons.COCO17.joints)
    layouts: dict[str | None, _Layout] = {}
    for key, joints in joints_of.items():
        if joints is None:
            order = list(skeletons.COCO17.joints)
            layouts[key] = _Layout(len(order), _places(skeleton, order))
        else:
            layouts[key] = _Layout(len(joints), _places(skeleton, joints))
    if len(layouts) == 1:
        layouts[None] = next(iter(layouts.values()))
    notes = [f"{joint} has no place in {skeleton.name}: left out" for joint in without_place]
    return skeleton, layouts, left_out, notes


def _person_categories(categories: dict[str, dict]) -> tuple[dict[str, dict], dict[str, str]]:
    """Returns the categories of people, and why the others are left out."""

    def words(entry: dict, *keys: str) -> set[str]:
        text = " ".join(str(entry.get(key, "")) for key in keys).lower()
        return set(re.findall(r"[^\W_]+", text))

    def person(entry: dict) -> bool:
        name = words(entry, "name")
        return not name & _ANIMALS and bool((name | words(entry, "supercategory")) & _PERSON_NAMES)

    def animal(entry: dict) -> bool:
        return bool(words(entry, "name", "supercategory") & _ANIMALS)

    named = {key for key, entry in categories.items() if person(entry)}
    # Others may be called anything: they count if they have joints of people and no category is called a person.
    human = {key for key, entry in categories.items() if _human(entry.get("keypoints")) and not animal(entry)}
    alone = {key for key, entry in categories.items() if len(categories) == 1 and not animal(entry)}
    with_joints = {key for key in named if categories[key].get("keypoints")}
    chosen = with_joints or human or named or alone
    left_out = {
        key: f"category {str(entry.get('name', key))[:40]} is no person"
        for key, entry in categories.items()
        if key not in chosen
    }
    return {key: entry for key, entry in categories.items() if key in chosen}, left_out


def _human(names: Any) -> bool:
    """Whether most of the names of joints are those of people."""
    if not isinstance(names, list) or not names:
        return False
    known = [isinstance(name, str) and joint_names.canonical(name) is not None for name in names]
    return sum(known) > len(known) / 2


def _joints(path: pathlib.Path, entry: dict, names: Any) -> list[str]:
    """Returns the joints that the names of a category mean; raises UserError where one is not understood."""
    title = str(entry.get("name", entry.get("id")))[:40]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: category {title}: `keypoints` must be a list of names of joints.")
    joints = [joint_names.canonical(name) for name in names]
    if None in joints:
        unknown = names[joints.index(None)]
        known = ", ".join(skeletons.COCO17.joints)
        raise UserError(
            f"{path}: category {title}: the joint {unknown[:40]!r} is not known. The file has "
            f"{', '.join(names)[:1000]}; known are {known}, head_top, neck, thorax, pelvis, and those of hands and "
            "feet."
        )
    twice = [joint for joint, count in collections.Counter(joints).items() if count > 1]
    if twice:
        same = " and ".join(
            repr(name) for name, joint in zip(names, joints, strict=True) if joint == twice[0]
        )
        raise UserError(
            f"{path}: category {title}: {same} are both the joint {twice[0]}; rename one of them."
        )
    return joints


def _places(skeleton: skeletons.Skeleton, joints: Sequence[str]) -> np.ndarray:
    return np.array([joints.index(joint) if joint in joints else -1 for joint in skeleton.joints])


class _BoxForm(enum.Enum):
    """What the four numbers of a box are, and a note on it."""

    SIZE = ""
    CORNERS = "boxes are corners x1, y1, x2, y2: read as such"
    CENTRE = "boxes begin at their centre: read as such"

    @property
    def note(self) -> str:
        """What is to be said of it; empty for COCO's own form."""
        return self.value

    def corners(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the upper left and the lower right corner."""
        first, second = values[:2], values[2:]
        if self is _BoxForm.CORNERS:
            return first, second
        return (
            (first - second / 2, first + second / 2) if self is _BoxForm.CENTRE else (first, first + second)
        )


class _Unusable(Exception):
    """An annotation that cannot be used; the message is the reason."""


@dataclasses.dataclass
class _Reader:
    """Reads the annotations of one file."""

    skeleton: skeletons.Skeleton
    layouts: dict[str | None, _Layout]
    left_out: dict[str, str]
    images: dict[str, _Image]
    doubtful: set[str]
    notes: list[str]
    min_joints: int
    mask_folder: pathlib.Path | None
    boxes: _BoxForm = _BoxForm.SIZE

    @property
    def listed(self) -> bool:
        """Whether the file says what its categories are."""
        return set(self.layouts) != {None}

    def read(self, number: int, entry: Any) -> Person | Skipped:
        """Returns the person of an annotation, or why there is none."""
        name = f"annotation {number}"
        try:
            image, key = self.image(entry)
            name = f"{image.file_name}#{identity(entry.get('id')) or number}"
            if key in self.doubtful:
                raise _Unusable("image id is that of several files")
            if entry.get("iscrowd") not in (None, 0, False):
                raise _Unusable("crowd")
            joints, labelled = self.joints(entry)
            if not labelled.any():
                raise _Unusable("no labelled joint")
            if labelled.sum() < self.min_joints:
                raise _Unusable(f"fewer than {self.min_joints} labelled joints")
            return self.person(name, entry, image, joints, labelled)
        except _Unusable as error:
            return Skipped(name, str(error))

    def image(self, entry: Any) -> tuple[_Image, str]:
        """Returns the image of an annotation and its id."""
        if not isinstance(entry, dict):
            raise _Unusable("annotation is no object with fields")
        key = identity(entry.get("image_id"))
        if key is None or key not in self.images:
            raise _Unusable("image of the annotation is not listed")
        return self.images[key], key

    def joints(self, entry: dict) -> tuple[np.ndarray, np.ndarray]:
        """Returns the joints (J, 2) as in the file, 0 where unlabelled, and which are labelled (J,)."""
        category = identity(entry.get("category_id"))
        if category in self.left_out:
            raise _Unusable(self.left_out[category])
        # Some tools leave the category out where there is one alone.
        layout = self.layouts.get(category if self.listed else None)
        if layout is None:
            raise _Unusable("category of the annotation is not listed")
        if not entry.get("keypoints"):
            raise _Unusable("annotation has no keypoints")
        try:
            values = np.array(entry["keypoints"], np.float64)
        except (TypeError, ValueError, OverflowError):
            raise _Unusable("keypoints are no numbers") from None
        if values.size != 3 * layout.count or values.shape not in ((values.size,), (layout.count, 3)):
            raise _Unusable(f"keypoints are not 3 numbers for each of {layout.count} joints")
        values = np.concatenate([values.reshape(layout.count, 3), np.zeros((1, 3))])[layout.places]
        labelled = values[:, 2] > 0
        if not np.isfinite(values[labelled]).all():
            raise _Unusable("keypoints are not finite")
        if np.abs(values[labelled]).max(initial=0) > 1e6:
            raise _Unusable("keypoints lie far outside of any image")
        return np.where(labelled[:, None], values[:, :2], 0), labelled

    def person(
        self, name: str, entry: dict, image: _Image, joints: np.ndarray, labelled: np.ndarray
    ) -> Person:
        """Returns the person with a box, in pixels."""
        notes = list(self.notes)
        scale = np.ones(2)
        if are_shares(joints[labelled], image.size):
            if image.size is None:
                raise _Unusable("coordinates are shares of an image of unknown size")
            notes.append("coordinates are shares of the image, not pixels: read as such")
            scale = np.array(image.size[::-1], float)
        joints = joints * scale
        box, note = self.box(entry, joints[labelled], scale, image.size)
        notes += [note] if note else []
        low, high = box
        if image.size is not None:
            low, high = np.maximum(low, 0), np.minimum(high, image.size[::-1])
        if (high <= low).any():
            raise _Unusable("box is empty")
        return Person(
            name=name,
            image=image.path,
            mask=self.mask(entry, image, scale),
            skeleton=self.skeleton.name,
            joints2d=joints,
            visibility=labelled.astype(np.float32),
            scale=float((high - low).max()),
            # The box counts from the edges of pixels, joints from their centres.
            center=(low + high - 1) / 2,
            size=image.size,
            notes=tuple(notes),
        )

    def box(
        self, entry: dict, joints: np.ndarray, scale: np.ndarray, size: tuple[int, int] | None
    ) -> tuple[np.ndarray, str]:
        """Returns the corners (2, 2) of the box, and a note on it.

        Args:
            entry: the annotation.
            joints: (N, 2) labelled ones, pixels.
            scale: pixels per unit of the file.
            size: height and width of the image, if they are said.
        """
        values = _box_numbers(entry)
        if values is None:
            return self.box_of_joints(joints), "no box: made from the joints"
        low, high = (corner * scale for corner in self.boxes.corners(values))
        if (high <= low).any():
            return self.box_of_joints(joints), "no box: made from the joints"
        if len(joints) > 2 and size is not None:
            edge = np.array(size[::-1])
            visible = (high > 0).all() and (low < edge).all()
            inside = ((joints >= 0) & (joints < edge)).all()
            if visible and inside and not ((joints >= low) & (joints <= high)).all(axis=1).any():
                return self.box_of_joints(joints), "box holds no joint: made from the joints"
        return np.stack([low, high]), self.boxes.note

    def box_of_joints(self, joints: np.ndarray) -> np.ndarray:
        """Returns the corners (2, 2) of a box about labelled joints (N, 2)."""
        if len(joints) < 2:
            raise _Unusable("neither a box nor joints enough for one")
        low, high = joints.min(axis=0), joints.max(axis=0)
        half = BOX_MARGIN * max((high - low).max(), 1) / 2
        middle = (low + high + 1) / 2
        return np.stack([middle - half, middle + half])

    def mask(self, entry: dict, image: _Image, scale: np.ndarray) -> Any:
        """Returns where the segmentation of a person comes from."""
        outline = entry.get("segmentation")
        if isinstance(outline, list) and outline and (scale != 1).any():
            try:
                outline = [
                    (np.array(part, float).reshape(-1, 2) * scale).ravel().tolist() for part in outline
                ]
            except (TypeError, ValueError):
                outline = "damaged"
        if not outline and self.mask_folder is not None:
            stem = pathlib.PurePosixPath(image.file_name.replace("\\", "/")).stem
            for name in (f"{stem}_{identity(entry.get('id'))}.png", f"{stem}.png"):
                if (self.mask_folder / name).is_file():
                    return str(self.mask_folder / name)
        return Outline(outline)


def are_shares(joints: np.ndarray, size: tuple[int, int] | None) -> bool:
    """Whether joints (N, 2) are shares of the picture: all of them lie within its first pixel or two."""
    if len(joints) < 2 or np.abs(joints).max() > _LARGEST_SHARE or not np.ptp(joints, axis=0).any():
        return False
    return size is None or min(size) >= _LEAST_SIDE


def _box_form(reader: _Reader, annotations: list) -> _BoxForm:
    """Returns what the boxes of a file are.

    They are corners if nearly all hold their joints when read so, and most reach far out of their picture if they
    are not; they begin at their centre if nearly all hold their joints when read so, and few if they do not.
    """
    seen = beyond = 0
    fitting = dict.fromkeys(_BoxForm, 0)
    for entry in annotations:
        try:
            image, _ = reader.image(entry)
            joints, labelled = reader.joints(entry)
        except _Unusable:
            continue
        values = _box_numbers(entry)
        if values is None or image.size is None or labelled.sum() < 3:
            continue
        points = joints[labelled]
        size = np.ones(2) if are_shares(points, image.size) else np.array(image.size[::-1])
        seen += 1
        for form in _BoxForm:
            low, high = form.corners(values)
            fitting[form] += holds(low, high, points)
        low, high = _BoxForm.SIZE.corners(values)
        beyond += bool((high > size + _OVERHANG * (high - low)).any())
    if fitting[_BoxForm.CORNERS] > _MOST * seen and beyond > seen / 2:
        return _BoxForm.CORNERS
    if fitting[_BoxForm.CENTRE] > _MOST * seen and fitting[_BoxForm.SIZE] < seen / 2:
        return _BoxForm.CENTRE
    return _BoxForm.SIZE


def holds(low: np.ndarray, high: np.ndarray, points: np.ndarray) -> bool:
    """Whether a box holds points (N, 2), but for a margin."""
    slack = _SLACK * np.maximum(high - low, 1e-9)
    return bool((high > low).all() and ((points >= low - slack) & (points <= high + slack)).all())


def _box_numbers(entry: dict) -> np.ndarray | None:
    """Returns the four numbers of a box, None where they are of no use."""
    try:
        values = np.array(entry.get("bbox"), np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    usable = values.shape == (4,) and np.isfinite(values).all() and np.abs(values).max() <= 1e6
    return values if usable and (values[2:] > 0).all() else None

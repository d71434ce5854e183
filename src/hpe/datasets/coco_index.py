"""What a COCO file lists beside its annotations: its images, and what the keypoints of its categories are.

What the joints are is told by `categories[].keypoints`, in any order and in the usual spellings; without it they
are COCO's 17 in COCO's order. A category counts if it is one of people by its name or by its joints.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpe import skeletons
from hpe.datasets import joint_names
from hpe.datasets.image_folders import SHARED_FILE, ImageFolders
from hpe.errors import UserError
from hpe.formats.json_files import numbers

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

_NO_NAMES = "file does not name its joints: taken for COCO's 17 in COCO's order"


class Unusable(Exception):
    """An annotation that cannot be used; the message is the reason."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image as listed: its name and path, and its size as far as it is said."""

    file_name: str
    path: str | None
    size: tuple[int, int] | None


@dataclasses.dataclass(frozen=True)
class Layout:
    """What the keypoints of a category are: how many, and where each joint of the skeleton is among them or -1."""

    count: int
    places: np.ndarray


@dataclasses.dataclass(frozen=True)
class Index:
    """What the annotations of a file refer to.

    Attributes:
        skeleton: the joint set in which its people are read.
        layouts: what the keypoints of a category are, by its id; by None where an annotation names none.
        left_out: why the people of other categories are left out, by their ids.
        images: by their ids.
        doubtful: why the image of an id is not sure, by the ids.
        notes: what is to be said of every person.
    """

    skeleton: skeletons.Skeleton
    layouts: dict[str | None, Layout]
    left_out: dict[str, str]
    images: dict[str, Image]
    doubtful: dict[str, str]
    notes: list[str]

    def image(self, entry: Any) -> tuple[Image, str]:
        """Returns the image of an annotation and its id; raises Unusable if it is not listed."""
        if not isinstance(entry, dict):
            raise Unusable("annotation is no object with fields")
        key = identity(entry.get("image_id"))
        if key is None or key not in self.images:
            raise Unusable("image of the annotation is not listed")
        return self.images[key], key

    def layout(self, entry: dict) -> Layout:
        """Returns what the keypoints of an annotation are; raises Unusable if its category is not one of people."""
        category = identity(entry.get("category_id"))
        if category in self.left_out:
            raise Unusable(self.left_out[category])
        # Some tools leave the category out where there is one alone.
        listed = set(self.layouts) != {None}
        layout = self.layouts.get(category if listed else None)
        if layout is None:
            raise Unusable("category of the annotation is not listed")
        return layout


def read_index(
    path: pathlib.Path, entries: list, categories: Any, annotations: list, finder: ImageFolders
) -> Index:
    """Reads the lists of a file.

    Args:
        path: the file, for messages.
        entries: its `images`.
        categories: its `categories`, anything where it has none.
        annotations: its `annotations`.
        finder: finds the images.

    Raises:
        UserError: if it names joints that are not known.
    """
    images, doubtful = _images(entries, finder)
    skeleton, layouts, left_out, notes = _layouts(path, categories, annotations)
    return Index(skeleton, layouts, left_out, images, doubtful, notes)


def identity(value: Any) -> str | None:
    """Returns an id as text, so that 7 and "7" are one; None if it is neither a number nor a text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, int | str) and not isinstance(value, bool) else None


def _images(entries: list, finder: ImageFolders) -> tuple[dict[str, Image], dict[str, str]]:
    """Returns the images by their ids, and why the image of an id is not sure."""
    listed = [
        (key, entry["file_name"], entry)
        for entry in entries
        if isinstance(entry, dict)
        and (key := identity(entry.get("id"))) is not None
        and isinstance(entry.get("file_name"), str)
        and entry["file_name"]
    ]
    paths, shared = finder.find_all(file_name for _, file_name, _ in listed)
    images: dict[str, Image] = {}
    doubtful = {}
    for key, file_name, entry in listed:
        known = images.get(key)
        if known is not None and known.file_name != file_name:
            doubtful[key] = "image id is that of several files"
        elif file_name in shared:
            doubtful[key] = SHARED_FILE
        if known is None:
            images[key] = Image(file_name, paths[file_name], _size(entry))
    return images, doubtful


def _size(entry: dict) -> tuple[int, int] | None:
    try:
        height, width = (int(numbers(entry, key, (), "image")) for key in ("height", "width"))
    except (UserError, ValueError):
        return None
    return (height, width) if 0 < height < 1 << 20 and 0 < width < 1 << 20 else None


def _layouts(
    path: pathlib.Path, categories: Any, annotations: list
) -> tuple[skeletons.Skeleton, dict[str | None, Layout], dict[str, str], list[str]]:
    """Returns the joint set, what the keypoints of each category are, why others are left out, and notes.

    A file without categories is COCO's own.
    """
    usual = Layout(len(skeletons.COCO17), np.arange(len(skeletons.COCO17)))
    if not isinstance(categories, list) or not categories:
        return skeletons.COCO17, {None: usual}, {}, [_NO_NAMES]
    by_key = {identity(entry.get("id")): entry for entry in categories if isinstance(entry, dict)}
    used = {identity(entry.get("category_id")) for entry in annotations if isinstance(entry, dict)}
    people, left_out = _person_categories({key: entry for key, entry in by_key.items() if key is not None})
    joints_of: dict[str, list[str] | None] = {}
    for key, entry in people.items():
        names = entry.get("keypoints")
        is_used = key in used or (None in used and len(people) == 1)
        joints_of[key] = _joints(path, entry, names) if names and is_used else None
    named = sorted({joint for joints in joints_of.values() if joints for joint in joints})
    skeleton, without_place = joint_names.target_skeleton(named or skeletons.COCO17.joints)
    layouts: dict[str | None, Layout] = {}
    for key, joints in joints_of.items():
        if joints is None:
            order = list(skeletons.COCO17.joints)
            layouts[key] = Layout(len(order), _places(skeleton, order))
        else:
            layouts[key] = Layout(len(joints), _places(skeleton, joints))
    if len(layouts) == 1:
        layouts[None] = next(iter(layouts.values()))
    notes = [f"{joint} has no place in {skeleton.name}: left out" for joint in without_place]
    notes += [_NO_NAMES] if all(joints is None for joints in joints_of.values()) else []
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

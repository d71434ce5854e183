"""Human3.6M as the challenge of ECCV 2018 gave it out, with the boxes and 2D joints that pose-hg-3d trains on.

The challenge has pictures, `ECCV18_Challenge/{Train,Val}/IMG/%05d.jpg`, and 3D joints from the pelvis, but neither
cameras nor 2D joints. Both are in the cache of Integral Human Pose, `msra_cache/HM36_eccv_challenge_*_cache/*.pkl`:
a list of people in the order of the pictures, whose 2D joints are the 3D joints seen without perspective, fitted to
what a detector found. The pickle is read without running what it says.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

import numpy as np

from hpe.datasets.people import LabelledPerson, load_person
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.pickles import load_pickle
from hpe.geometry.crops import BOX_SHARE

SKELETON = "h36m18"
_JOINTS = 18
_SPLITS = ("Train", "Val")
_IMAGE = re.compile(r"(\d+)\.jpe?g", re.IGNORECASE)
_MILLIMETRES = 1000.0


@dataclasses.dataclass(frozen=True)
class Item:
    """What the cache says of a picture.

    Attributes:
        person: 2D joints and box.
        joints3d: (18, 3) metres from the pelvis, camera axes, or None.
    """

    person: LabelledPerson
    joints3d: np.ndarray | None


def h36m_eccv18(directory: str | os.PathLike) -> list[Source]:
    """Returns the splits that have both pictures and a cache.

    Args:
        directory: the folder with `ECCV18_Challenge/` and `msra_cache/`.

    Returns:
        The Sources `h36m_eccv18_train` and `h36m_eccv18_val`.

    Raises:
        UserError: there is no split, a cache is damaged, or is of other pictures.
    """
    directory = pathlib.Path(directory)
    found = []
    for split in _SPLITS:
        images = directory / "ECCV18_Challenge" / split / "IMG"
        cache = _cache(directory, split)
        if images.is_dir() and cache is not None:
            found.append(_source(split, images, cache))
    if not found:
        raise UserError(
            f"{directory}: has no split with both ECCV18_Challenge/{{Train,Val}}/IMG and msra_cache/"
            "HM36_eccv_challenge_{Train,Val}_cache/*.pkl, which holds the boxes and the 2D joints."
        )
    return found


def load(item: Item | Skipped) -> Sample | Skipped:
    """Reads a picture and puts the 3D joints beside it."""
    if isinstance(item, Skipped):
        return item
    sample = load_person(item.person, only_segmented=False)
    if isinstance(sample, Skipped):
        return sample
    if item.joints3d is None:
        return dataclasses.replace(sample, notes=(*sample.notes, "no 3D joints"))
    return dataclasses.replace(
        sample,
        skeleton3d=SKELETON,
        joints3d=item.joints3d.astype(np.float32),
        confidence3d=np.ones(_JOINTS, np.float32),
    )


def _cache(directory: pathlib.Path, split: str) -> pathlib.Path | None:
    folder = directory / "msra_cache" / f"HM36_eccv_challenge_{split}_cache"
    # Caches for patches of other sides hold the same people; that of the published code comes first.
    files = sorted(
        folder.glob("*_keypoint_jnt_bbox_db.pkl"), key=lambda path: ("w288xh384" not in path.name, path)
    )
    return files[0] if files else None


def _source(split: str, images: pathlib.Path, cache: pathlib.Path) -> Source:
    entries = load_pickle(cache)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{cache}: holds no list of people.")
    numbered = {
        int(match[1]): name for name in sorted(os.listdir(images)) if (match := _IMAGE.fullmatch(name))
    }
    if not numbered:
        raise UserError(f"{images}: holds no picture such as 00001.jpg.")
    if max(numbered) > len(entries):
        raise UserError(
            f"{cache}: has {len(entries)} people, but {images} a picture {numbered[max(numbered)]}; the two do not "
            "belong together."
        )
    items = [_item(entry, numbered.get(number), number, images) for number, entry in enumerate(entries, 1)]
    options = {"cache": str(cache), "images": str(images)}
    return Source(f"h36m_eccv18_{split.lower()}", SKELETON, items, load, options)


def _item(entry: dict, image: str | None, number: int, folder: pathlib.Path) -> Item | Skipped:
    name = image or f"{number:05d}.jpg"
    try:
        joints = _array(entry, "joints_3d", (_JOINTS, 3))[:, :2]
        seen = _array(entry, "joints_3d_vis", (_JOINTS, None)).min(axis=1) > 0
        center = np.array([_array(entry, key, ()) for key in ("center_x", "center_y")])
        side = float(max(_array(entry, key, ()) for key in ("width", "height")))
    except ValueError as error:
        return Skipped(name, str(error))
    if side <= 0:
        return Skipped(name, "box has no size")
    try:
        joints3d = _array(entry, "joints_3d_relative", (_JOINTS, 3)) / _MILLIMETRES
    except ValueError:
        joints3d = None
    if joints3d is not None and not joints3d.any():
        joints3d = None
    if joints3d is not None and not seen.any():
        return Skipped(name, "3D joints without 2D joints or camera: where they are is not known")
    person = LabelledPerson(
        name=name,
        image=None if image is None else str(folder / image),
        mask=None,
        skeleton=SKELETON,
        joints2d=np.where(seen[:, None], joints, 0),
        visibility=seen.astype(np.float32),
        # The box of the cache is the crop.
        scale=BOX_SHARE * side,
        center=center,
    )
    return Item(person, joints3d)


def _array(entry: dict, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Returns an entry as numbers of a shape; None is any length. ValueError says what is wrong."""
    if key not in entry:
        raise ValueError(f"{key} is missing")
    try:
        array = np.asarray(entry[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{key} is no array of numbers") from None
    if len(array.shape) != len(shape) or any(
        side not in (None, own) for side, own in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"{key} has another shape")
    if not np.isfinite(array).all():
        raise ValueError(f"{key} is not finite")
    return array

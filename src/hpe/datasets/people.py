"""One annotated person in an image file, with a segmentation beside it: how datasets of images agree.

Images are read upright as EXIF says. An annotation that was made on the unturned image, which its size tells, is
turned along.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from hpe.datasets.sample import Sample, Skipped
from hpe.formats import images as image_files

_TURNED_ALONG = "EXIF turns the image: annotation of the unturned image turned along"
_TAKEN_FOR_TURNED = "EXIF turns the image: annotation taken for one of the turned image"
_MIRRORED = "EXIF mirrors the image, but its annotation was made on the unmirrored one"
_TURNED_3D = "EXIF turns the image, but its 3D labels are those of the unturned one"
_OUTSIDE = "most joints lie outside of the image"
# Facts that would have to be turned along with an image.
_IN_SPACE = {"joints3d", "pose", "camera", "pinhole"}
_BODY = {"joints3d", "pose"}
_BESIDE_BOX = "all joints lie outside of the box"
_ONE_PIXEL = "all joints lie within one pixel: are coordinates shares of the image?"
_LARGE_BOX = "box is many times as large as the image"
_FAR_JOINTS = "joints that are not finite or far outside: left out"
# In longer sides of the image: nobody's joint is so far away, and no box so large.
_FARTHEST = 10
# As many joints of a person as these do not lie within so few pixels, in a picture of so many.
_MANY_JOINTS, _LEAST_SPAN, _LEAST_SIDE = 4, 1.5, 32
# Joints may lie this many pixels outside of their image.
_BESIDE = 8.0
_OTHER_SIZE = "image has another size than its annotation says"


class Segmentation(Protocol):
    """An outline that an index holds itself."""

    def draw(self, height: int, width: int) -> tuple[np.ndarray | None, str]:
        """Returns the mask of the annotated image, (H, W) uint8 0 and 255, and ""; or None and why."""


@dataclasses.dataclass(frozen=True)
class LabelledPerson:
    """What a dataset's index says of a person, before the image is read.

    Attributes:
        name: base name of the image file.
        image: path of the image file, None where it is missing.
        mask: path of the segmentation, or a Segmentation, or None.
        skeleton: joint set of the annotation.
        joints2d: (J, 2) pixels; 0 where unlabelled.
        visibility: (J,) 1 where labelled and visible.
        scale: side of the person box in pixels, see `Sample`.
        center: (2,) centre of the person box in pixels; None for that of the box of the visible joints.
        head_size: see `Sample`.
        size: height and width of the annotated image in pixels, None where the index does not say.
        notes: see `Sample`.
        facts: what else is known of the person, by the names of the attributes of `Sample`: 3D joints, pose,
            camera, gender, recording.
    """

    name: str
    image: str | None
    mask: str | Segmentation | None
    skeleton: str
    joints2d: np.ndarray
    visibility: np.ndarray
    scale: float | None = None
    center: np.ndarray | None = None
    head_size: float | None = None
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def load_item(item: LabelledPerson | Skipped, *, only_segmented: bool = False) -> Sample | Skipped:
    """Reads a person as `load_person`; hands on why there is none."""
    return item if isinstance(item, Skipped) else load_person(item, only_segmented=only_segmented)


def load_person(person: LabelledPerson, *, only_segmented: bool) -> Sample | Skipped:
    """Reads a person's image and segmentation.

    A segmentation that is missing, damaged, empty or of another size than its image is left out and noted on the
    Sample; with `only_segmented` such a person is skipped.

    Args:
        person: whom to read.
        only_segmented: skips people without a usable segmentation, as the original hybrid HMR did.

    Returns:
        The Sample, or why there is none.
    """
    if person.image is None:
        return Skipped(person.name, "image is missing")
    if problem := _without_place(person, np.isfinite(person.joints2d).all(axis=1)):
        return Skipped(person.name, problem)
    try:
        image = image_files.read_image(person.image)
    except image_files.BadImage as error:
        return Skipped(person.name, str(error))
    upright, stored = (image.height, image.width), image.stored_size
    turns = image.orientation if upright != person.size == stored else 1
    if person.size not in (None, upright, stored):
        return Skipped(person.name, _OTHER_SIZE)
    if image_files.mirrors(turns):
        return Skipped(person.name, _MIRRORED)
    if turns != 1 and not _IN_SPACE.isdisjoint(person.facts):
        return Skipped(person.name, _TURNED_3D)
    notes = list(person.notes)
    if image.pictures > 1:
        notes.append(f"file holds {image.pictures} pictures, of which the first is taken")
    if turns != 1:
        notes.append(_TURNED_ALONG)
    elif image.orientation != 1 and (person.size is None or upright == stored):
        notes.append(_TAKEN_FOR_TURNED)
    mask, problem = _load_mask(person.mask, upright, stored, image.orientation, turns)
    if problem and only_segmented:
        return Skipped(person.name, problem)
    # Most people of LSP-extended have no segmentation: that is as it should be and needs no note.
    if problem and person.mask:
        notes.append(f"{problem}: left out")
    # NaN is not below anything.
    usable = (np.abs(person.joints2d) < _FARTHEST * max(upright)).all(axis=1)
    if not usable.all():
        notes.append(_FAR_JOINTS)
    joints2d = image_files.turn_points(np.where(usable[:, None], person.joints2d, 0), turns, *stored)
    if problem := _without_place(person, usable) or _misplaced(person, usable, joints2d, upright):
        return Skipped(person.name, problem)
    center = person.center
    if center is None:
        seen = person.joints2d[usable & (person.visibility > 0)]
        center = (seen.min(axis=0) + seen.max(axis=0)) / 2
    known = usable & (person.joints2d != 0).any(axis=1)
    return Sample(
        name=person.name,
        image=image.content,
        height=image.height,
        width=image.width,
        skeleton=person.skeleton,
        # Unlabelled joints are 0 and stay so where the image is turned.
        joints2d=np.where(known[:, None], joints2d, 0).astype(np.float32),
        visibility=np.where(known, person.visibility, 0).astype(np.float32),
        center=image_files.turn_points(np.asarray(center), turns, *stored).astype(np.float32),
        scale=person.scale,
        head_size=person.head_size,
        mask=mask,
        notes=tuple(notes),
        **person.facts,
    )


def _without_place(person: LabelledPerson, usable: np.ndarray) -> str:
    """Returns why nothing says where a person is, if so; `usable` (J,) are joints that have a place."""
    # Of people whose body is known, a box may be all that is known of their place in the picture.
    has_box = person.center is not None and not _BODY.isdisjoint(person.facts)
    return "" if has_box or (usable & (person.visibility > 0)).any() else "no visible joint"


def _misplaced(
    person: LabelledPerson, usable: np.ndarray, joints2d: np.ndarray, upright: tuple[int, int]
) -> str:
    """Returns why joints and box cannot be those of somebody in the picture, or an empty text.

    Args:
        person: as annotated.
        usable: (J,) joints that have a place.
        joints2d: (J, 2) pixels of the upright image.
        upright: height and width of it.
    """
    if person.scale and person.scale > _FARTHEST * max(upright):
        return _LARGE_BOX
    visible = usable & (person.visibility > 0)
    if not visible.any():
        return ""
    inside = (joints2d >= -_BESIDE).all(axis=1) & (joints2d < np.array(upright[::-1]) + _BESIDE).all(axis=1)
    if inside[visible].mean() < 0.5:
        return _OUTSIDE
    seen = person.joints2d[visible]
    span = float(np.ptp(seen, axis=0).max()) if len(seen) >= _MANY_JOINTS else 0.0
    if 0 < span < _LEAST_SPAN and min(upright) >= _LEAST_SIDE:
        return _ONE_PIXEL
    if person.center is not None and person.scale:
        beside = (np.abs(seen - person.center) > person.scale).any(axis=1)
        return _BESIDE_BOX if beside.all() else ""
    return ""


def _load_mask(
    source: str | Segmentation | None,
    upright: tuple[int, int],
    stored: tuple[int, int],
    orientation: int,
    turns: int,
) -> tuple[bytes | None, str]:
    """Returns the encoded mask of the upright image, or None and why there is none.

    Args:
        source: of the mask.
        upright: height and width of the image.
        stored: the same before EXIF's orientation was applied.
        orientation: of the image.
        turns: the orientation that turns the annotation.
    """
    if source is None:
        return None, "no segmentation"
    if isinstance(source, str):
        try:
            mask = image_files.read_mask(source, sizes=(upright, stored))
        except image_files.BadImage as error:
            return None, str(error)
        if mask.shape != upright:
            turns = orientation
    else:
        mask, problem = source.draw(*(upright if turns == 1 else stored))
        if mask is None:
            return None, problem
    if not mask.any():
        return None, "segmentation is empty"
    return image_files.encode_mask(image_files.turn(mask, turns)), ""

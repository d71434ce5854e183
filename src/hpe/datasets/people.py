"""One annotated person in an image file, with a segmentation beside it: how LSP, LSP-extended and MPII agree."""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.datasets.sample import Sample, Skipped
from hpe.formats import images as image_files


@dataclasses.dataclass(frozen=True)
class Person:
    """What a dataset's index says of a person, before the image is read.

    Attributes:
        name: base name of the image file.
        image: path of the image file, None where it is missing.
        mask: path of the segmentation, or None.
        skeleton: joint set of the annotation.
        joints2d: (J, 2) pixels; 0 where unlabelled.
        visibility: (J,) 1 where labelled and visible.
        scale: side of the person box in pixels, see `Sample`.
        center: (2,) centre of the person box in pixels; None for that of the box of the visible joints.
        head_size: see `Sample`.
    """

    name: str
    image: str | None
    mask: str | None
    skeleton: str
    joints2d: np.ndarray
    visibility: np.ndarray
    scale: float | None = None
    center: np.ndarray | None = None
    head_size: float | None = None


def load_person(person: Person, *, only_segmented: bool) -> Sample | Skipped:
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
    if not person.visibility.any():
        return Skipped(person.name, "no visible joint")
    try:
        image, height, width = image_files.read_image(person.image)
    except image_files.BadImage as error:
        return Skipped(person.name, str(error))
    mask, problem = _load_mask(person.mask, (height, width))
    if problem and only_segmented:
        return Skipped(person.name, problem)
    # Most people of LSP-extended have no segmentation: that is as it should be and needs no note.
    notes = (f"{problem}: left out",) if problem and person.mask else ()
    center = person.center
    if center is None:
        visible = person.joints2d[person.visibility > 0]
        center = (visible.min(axis=0) + visible.max(axis=0)) / 2
    return Sample(
        name=person.name,
        image=image,
        height=height,
        width=width,
        skeleton=person.skeleton,
        joints2d=person.joints2d.astype(np.float32),
        visibility=person.visibility.astype(np.float32),
        center=center.astype(np.float32),
        scale=person.scale,
        head_size=person.head_size,
        mask=mask,
        notes=notes,
    )


def _load_mask(path: str | None, size: tuple[int, int]) -> tuple[bytes | None, str]:
    """Returns the encoded mask, or None and why there is none."""
    if path is None:
        return None, "no segmentation"
    try:
        mask = image_files.read_mask(path)
    except image_files.BadImage as error:
        return None, str(error)
    if mask.shape != size:
        return None, "segmentation has another size than its image"
    if not mask.any():
        return None, "segmentation is empty"
    return image_files.encode_mask(mask), ""

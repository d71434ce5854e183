"""People from the annotations of a COCO file.

v is 0 unlabelled, 1 labelled but occluded, 2 visible; all labelled joints are taken for visible, as HRNet trains.
The box is the annotated one made square, or that of the joints. Boxes and joints in another form than COCO's are
read as what they are, and told; an annotation that cannot be used is left out and says why.
"""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from typing import Any

import numpy as np

from hpe.datasets import coco_frame
from hpe.datasets.coco_index import Image, Index, Unusable, identity
from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.outlines import Outline
from hpe.datasets.people import LabelledPerson
from hpe.datasets.sample import Skipped

# Joints of one person that lie within this of the corner, in pixels, are shares of the picture: nobody is so small.
_LARGEST_SHARE = 1.5
_LEAST_SIDE = 32
# How far a sound box may reach out of the picture, and how far joints out of their box, in shares of the box.
_OVERHANG = 0.1
_SLACK = 0.15
# Of the boxes of a file, these must agree before all are read in another way.
_MOST = 0.9


def read_people(
    path: pathlib.Path,
    annotations: list,
    index: Index,
    *,
    min_joints: int = 1,
    mask_folder: pathlib.Path | None = None,
) -> list[LabelledPerson | Skipped]:
    """Returns the person of every annotation, or why there is none.

    Args:
        path: the file, for messages.
        annotations: of the file.
        index: what they refer to.
        min_joints: leaves out people with fewer labelled joints.
        mask_folder: with segmentations as pictures, called as the image, or as the image and `_` and the id of the
            annotation; used where the annotation itself has none.

    Raises:
        UserError: if x and y are exchanged.
    """
    placed = _placed(index, annotations)
    percent = coco_frame.are_percent(placed)
    if not percent:
        coco_frame.check_order(placed, path)
    boxes = _box_form(index, annotations, percent)
    reader = _Reader(index, boxes, percent, min_joints, mask_folder)
    return [reader.read(number, entry) for number, entry in enumerate(annotations)]


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


@dataclasses.dataclass(frozen=True)
class _Reader:
    """Reads the annotations of one file."""

    index: Index
    boxes: _BoxForm
    percent: bool
    min_joints: int
    mask_folder: pathlib.Path | None

    def read(self, number: int, entry: Any) -> LabelledPerson | Skipped:
        """Returns the person of an annotation, or why there is none."""
        name = f"annotation {number}"
        try:
            image, key = self.index.image(entry)
            name = f"{image.file_name}#{identity(entry.get('id')) or number}"
            if key in self.index.doubtful:
                raise Unusable(self.index.doubtful[key])
            if entry.get("iscrowd") not in (None, 0, False):
                raise Unusable("crowd")
            joints, labelled, notes = _joints(self.index, entry)
            if not labelled.any():
                raise Unusable("no labelled joint")
            if labelled.sum() < self.min_joints:
                raise Unusable(f"fewer than {self.min_joints} labelled joints")
            return self.person(name, entry, image, joints, labelled, notes)
        except Unusable as error:
            return Skipped(name, str(error))

    def person(
        self,
        name: str,
        entry: dict,
        image: Image,
        joints: np.ndarray,
        labelled: np.ndarray,
        remarks: list[str],
    ) -> LabelledPerson:
        """Returns the person with a box, in pixels."""
        notes = [*self.index.notes, *remarks]
        scale = np.ones(2)
        if self.percent:
            if image.size is None:
                raise Unusable("coordinates are percent of an image of unknown size")
            notes.append(coco_frame.PERCENT_NOTE)
            scale = np.array(image.size[::-1], float) / 100
        elif _are_shares(joints[labelled], image.size):
            if image.size is None:
                raise Unusable("coordinates are shares of an image of unknown size")
            notes.append("coordinates are shares of the image, not pixels: read as such")
            scale = np.array(image.size[::-1], float)
        joints = joints * scale
        box, note = self.box(entry, joints[labelled], scale, image.size)
        notes += [note] if note else []
        low, high = box
        if image.size is not None:
            low, high = np.maximum(low, 0), np.minimum(high, image.size[::-1])
        if (high <= low).any():
            raise Unusable("box is empty")
        return LabelledPerson(
            name=name,
            image=image.path,
            mask=self.mask(entry, image, scale),
            skeleton=self.index.skeleton.name,
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
            raise Unusable("neither a box nor joints enough for one")
        low, high = joints.min(axis=0), joints.max(axis=0)
        half = BOX_MARGIN * max((high - low).max(), 1) / 2
        middle = (low + high + 1) / 2
        return np.stack([middle - half, middle + half])

    def mask(self, entry: dict, image: Image, scale: np.ndarray) -> Any:
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


def _joints(index: Index, entry: dict) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns the joints (J, 2) as in the file, 0 where unlabelled, which are labelled (J,), and notes."""
    layout = index.layout(entry)
    if not entry.get("keypoints"):
        raise Unusable("annotation has no keypoints")
    try:
        values = np.array(entry["keypoints"], np.float64)
    except (TypeError, ValueError, OverflowError):
        raise Unusable("keypoints are no numbers") from None
    if values.size != 3 * layout.count or values.shape not in ((values.size,), (layout.count, 3)):
        raise Unusable(f"keypoints are not 3 numbers for each of {layout.count} joints")
    values = np.concatenate([values.reshape(layout.count, 3), np.zeros((1, 3))])[layout.places]
    labelled = values[:, 2] > 0
    # Some tools write NaN for a joint that is not there, and count it as visible.
    placed = labelled & np.isfinite(values).all(axis=1)
    if labelled.any() and not placed.any():
        raise Unusable("keypoints are not finite")
    notes = ["joints without a place: left out"] if (placed != labelled).any() else []
    labelled = placed
    if np.abs(values[labelled]).max(initial=0) > 1e6:
        raise Unusable("keypoints lie far outside of any image")
    return np.where(labelled[:, None], values[:, :2], 0), labelled, notes


def _placed(index: Index, annotations: list) -> list[coco_frame.Placed]:
    """Returns the labelled joints of the people whose picture has a known size."""
    found = []
    for entry in annotations:
        try:
            image, _ = index.image(entry)
            joints, labelled, _ = _joints(index, entry)
        except Unusable:
            continue
        if image.size is not None and labelled.any():
            found.append(coco_frame.Placed(joints[labelled], image.size))
    return found


def _are_shares(joints: np.ndarray, size: tuple[int, int] | None) -> bool:
    """Whether joints (N, 2) are shares of the picture: all of them lie within its first pixel or two."""
    if len(joints) < 2 or np.abs(joints).max() > _LARGEST_SHARE or not np.ptp(joints, axis=0).any():
        return False
    return size is None or min(size) >= _LEAST_SIDE


def _box_form(index: Index, annotations: list, percent: bool) -> _BoxForm:
    """Returns what the boxes of a file are; `percent` tells whether all of its coordinates are.

    They are corners if nearly all hold their joints when read so, and most reach far out of their picture if they
    are not; they begin at their centre if nearly all hold their joints when read so, and few if they do not.
    """
    seen = beyond = 0
    fitting = dict.fromkeys(_BoxForm, 0)
    for entry in annotations:
        try:
            image, _ = index.image(entry)
            joints, labelled, _ = _joints(index, entry)
        except Unusable:
            continue
        values = _box_numbers(entry)
        if values is None or image.size is None or labelled.sum() < 3:
            continue
        points = joints[labelled]
        size = np.ones(2) if _are_shares(points, image.size) else np.array(image.size[::-1])
        size = np.full(2, 100.0) if percent else size
        seen += 1
        for form in _BoxForm:
            low, high = form.corners(values)
            fitting[form] += _holds(low, high, points)
        low, high = _BoxForm.SIZE.corners(values)
        beyond += bool((high > size + _OVERHANG * (high - low)).any())
    if fitting[_BoxForm.CORNERS] > _MOST * seen and beyond > seen / 2:
        return _BoxForm.CORNERS
    if fitting[_BoxForm.CENTRE] > _MOST * seen and fitting[_BoxForm.SIZE] < seen / 2:
        return _BoxForm.CENTRE
    return _BoxForm.SIZE


def _holds(low: np.ndarray, high: np.ndarray, points: np.ndarray) -> bool:
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

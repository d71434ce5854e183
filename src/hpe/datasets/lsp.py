"""Leeds Sports Pose and its extension, with the segmentations of Unite the People (UP) where they exist.

| | images | `joints` in joints.mat | flag |
|---|---|---|---|
| LSP | images/im0001.jpg ... im2000.jpg | 3 x 14 x 2000: x, y, flag | 1 is occluded |
| LSP-extended | images/im00001.jpg ... im10000.jpg | 14 x 3 x 10000 | 1 is labelled |

People of both are about 150 px tall; in LSP's original size they are several times that, which their joints tell,
and their boxes are made from the joints.

Joints of LSP all carry coordinates. Unlabelled joints of LSP-extended hold garbage, which is replaced by 0.
Coordinates are taken as they are, as the original codes do, though MATLAB counts pixels from 1.
"""

from __future__ import annotations

import enum
import functools
import os
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from hpe.datasets.people import LabelledPerson, load_person
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.matlab import load_matlab

LSP_SHAPE = (3, 14, 2000)
LSP_EXTENDED_SHAPE = (14, 3, 10000)
# The first 1000 images are for training, the last 1000 for testing (Johnson and Everingham, BMVC 2010).
LSP_TRAIN_IMAGES = 1000

# The small release has people of 150 px: the longer side of the box of their joints is 130 px in the mean.
_BOX_PER_SPAN = 150 / 130
# In the original size half of the people span more than this; in the small one nearly nobody does.
_ORIGINAL_SPAN = 215.0

_IMAGE_NAME = re.compile(r"im(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_MASK_NAME = re.compile(r"im(\d+)_segmentation\.png", re.IGNORECASE)


class Split(enum.Enum):
    """The two halves of LSP."""

    TRAIN = "train"
    VAL = "val"


def lsp(
    joints_file: str | os.PathLike,
    image_dir: str | os.PathLike,
    mask_dir: str | os.PathLike | None = None,
    *,
    split: Split,
    only_segmented: bool = False,
) -> Source:
    """Returns one half of LSP, small-image version.

    Args:
        joints_file: its `joints.mat`.
        image_dir: folder of the images.
        mask_dir: folder of UP's `imNNNN_segmentation.png`, or None.
        split: which half.
        only_segmented: leaves out people without a usable segmentation.

    Returns:
        The Source `lsp_train` or `lsp_val`.

    Raises:
        UserError: if joints.mat is not LSP's, or no image is found.
    """
    joints = read_joints(joints_file, LSP_SHAPE)
    coordinates = joints[:2].transpose(2, 1, 0)
    visibility = (joints[2].T == 0).astype(np.float32)
    first, last = (1, LSP_TRAIN_IMAGES) if split is Split.TRAIN else (LSP_TRAIN_IMAGES + 1, LSP_SHAPE[2])
    people = _people(range(first, last + 1), 4, coordinates, visibility, image_dir, mask_dir)
    return _source(f"lsp_{split.value}", people, joints_file, image_dir, mask_dir, only_segmented)


def lsp_extended(
    joints_file: str | os.PathLike,
    image_dir: str | os.PathLike,
    mask_dir: str | os.PathLike | None = None,
    *,
    only_segmented: bool = False,
) -> Source:
    """Returns LSP-extended; arguments, result and errors as `lsp`, with UP's `imNNNNN_segmentation.png`."""
    joints = read_joints(joints_file, LSP_EXTENDED_SHAPE).transpose(2, 0, 1)
    visibility = (joints[:, :, 2] > 0).astype(np.float32)
    coordinates = np.where(visibility[:, :, None] > 0, joints[:, :, :2], 0)
    people = _people(range(1, len(joints) + 1), 5, coordinates, visibility, image_dir, mask_dir)
    return _source("lsp_ext", people, joints_file, image_dir, mask_dir, only_segmented)


def read_joints(path: str | os.PathLike, shape: tuple[int, int, int]) -> np.ndarray:
    """Reads the variable `joints` of a MATLAB file.

    Args:
        path: the file.
        shape: the shape it must have.

    Returns:
        Array of that shape, float64.

    Raises:
        UserError: if the file is absent, unreadable, or holds something else.
    """
    expected = "x".join(map(str, shape))
    if not os.path.exists(path):
        raise UserError(f"{path}: no such file; it should hold the joints, {expected}.")
    try:
        content = load_matlab(path, ("joints",))
    except UserError as error:
        raise UserError(f"{str(error).removesuffix('.')}; it should hold the joints, {expected}.") from error
    if "joints" not in content:
        raise UserError(f"{path}: holds no variable `joints`; expected one of {expected}.")
    joints = np.asarray(content["joints"])
    if joints.shape != shape or joints.dtype.kind not in "fiu":
        found = "x".join(map(str, joints.shape)) or "something else,"
        hint = ""
        if joints.shape in (LSP_SHAPE, LSP_EXTENDED_SHAPE):
            hint = " This is the other one of LSP and LSP-extended: are the two directories exchanged?"
        elif joints.ndim == 3 and joints.shape[:2] == LSP_EXTENDED_SHAPE[:2]:
            hint = " LSP-extended in high resolution is read by `hr_lspet`."
        raise UserError(
            f"{path}: `joints` must be {expected} numbers. Received: {found} {joints.dtype}.{hint}"
        )
    return joints.astype(np.float64)


def _people(
    numbers: Iterable[int],
    digits: int,
    coordinates: np.ndarray,
    visibility: np.ndarray,
    image_dir: str | os.PathLike,
    mask_dir: str | os.PathLike | None,
) -> list[LabelledPerson]:
    images = _by_number(image_dir, _IMAGE_NAME)
    masks = _by_number(mask_dir, _MASK_NAME) if mask_dir is not None else {}
    numbers = list(numbers)
    if not images.keys() & set(numbers):
        raise UserError(
            f"{image_dir}: holds no image im{numbers[0]:0{digits}d}.jpg to im{numbers[-1]:0{digits}d}.jpg."
        )
    spans = {number: _span(coordinates[number - 1], visibility[number - 1]) for number in numbers}
    original = np.median([spans[number] for number in numbers if number in images]) > _ORIGINAL_SPAN
    return [
        LabelledPerson(
            name=pathlib.Path(images.get(number, f"im{number:0{digits}d}.jpg")).name,
            image=images.get(number),
            mask=masks.get(number),
            skeleton="lsp14",
            joints2d=coordinates[number - 1],
            visibility=visibility[number - 1],
            scale=_BOX_PER_SPAN * spans[number] if original and spans[number] else None,
        )
        for number in numbers
    ]


def _span(joints: np.ndarray, visibility: np.ndarray) -> float:
    """Returns the longer side of the box of the joints with coordinates, pixels; 0 where there are none."""
    known = joints[((visibility > 0) | (joints != 0).any(axis=1)) & np.isfinite(joints).all(axis=1)]
    return float(np.ptp(known, axis=0).max()) if len(known) else 0.0


def _by_number(directory: str | os.PathLike, pattern: re.Pattern) -> dict[int, str]:
    """Returns the files of a folder by the number in their own name; digits of parent folders do not count."""
    try:
        names = sorted(os.listdir(directory))
    except OSError as error:
        raise UserError(f"{directory}: cannot be listed ({error.strerror}).") from error
    matches = ((name, pattern.fullmatch(name)) for name in names)
    return {int(match[1]): os.path.join(directory, name) for name, match in matches if match}


def _source(name, people, joints_file, image_dir, mask_dir, only_segmented) -> Source:
    return Source(
        name,
        "lsp14",
        people,
        functools.partial(load_person, only_segmented=only_segmented),
        {
            "joints": str(joints_file),
            "images": str(image_dir),
            "segmentations": str(mask_dir) if mask_dir is not None else None,
            "only_segmented": only_segmented,
        },
    )

"""LSP-extended in high resolution, as SPIN uses it: `im00001.png` ... and `joints.mat` in one folder.

`joints` is 14 x 3 x N (or 14 x 2 x N): x, y and a flag. Pictures that could not be had in high resolution are
absent, and so are their joints: the i-th picture by name has the i-th joints, unless there are joints for every
number. SPIN takes all joints for labelled; what is 0 or below, as LSP-extended writes joints that it has not,
is left out. Boxes come from the joints.
"""

from __future__ import annotations

import os
import pathlib
import re

import numpy as np

from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.matlab import load_matlab

_JOINTS = 14
_NAME = re.compile(r"im(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)


def hr_lspet(directory: str | os.PathLike) -> Source:
    """Returns the people of a folder.

    Args:
        directory: with joints.mat and the pictures, or the pictures in `images/`.

    Returns:
        The Source `hr_lspet`.

    Raises:
        UserError: if joints.mat or the pictures are not there, or do not belong together.
    """
    directory = pathlib.Path(directory)
    path = directory / "joints.mat"
    joints = load_matlab(path, ("joints",)).get("joints")
    if joints is None or np.ndim(joints) != 3 or joints.shape[:2] not in ((_JOINTS, 2), (_JOINTS, 3)):
        found = "nothing of that name" if joints is None else "x".join(map(str, np.shape(joints)))
        raise UserError(f"{path}: `joints` must be {_JOINTS}x3xN numbers. Received: {found}")
    joints = np.asarray(joints, np.float64).transpose(2, 0, 1)
    folder, images = _pictures(directory)
    if len(images) == len(joints):
        places = dict(zip(sorted(images), range(len(joints)), strict=True))
    elif max(images) <= len(joints):
        places = {number: number - 1 for number in images}
    else:
        raise UserError(
            f"{folder}: has {len(images)} pictures, the last of which is {images[max(images)]}, but {path.name} "
            f"joints of {len(joints)}; which belong together cannot be told."
        )
    people = [_person(images[number], folder, joints[place]) for number, place in sorted(places.items())]
    return Source(
        "hr_lspet",
        "lsp14",
        people,
        load_item,
        {
            "joints": str(path),
            "images": str(folder),
            "by": "place" if len(images) == len(joints) else "number",
        },
    )


def _pictures(directory: pathlib.Path) -> tuple[pathlib.Path, dict[int, str]]:
    """Returns the folder of the pictures, and their names by their numbers."""
    for folder in (directory, directory / "images"):
        names = os.listdir(folder) if folder.is_dir() else []
        found = {int(match[1]): name for name in sorted(names) if (match := _NAME.fullmatch(name))}
        if found and min(found) > 0:
            return folder, found
    raise UserError(f"{directory}: holds no picture im00001.png, nor does its folder images.")


def _person(name: str, folder: pathlib.Path, joints: np.ndarray) -> LabelledPerson:
    places = joints[:, :2]
    known = np.isfinite(places).all(axis=1) & (places > 0).all(axis=1)
    seen = places[known]
    span = float(np.ptp(seen, axis=0).max()) if len(seen) > 1 else 0.0
    return LabelledPerson(
        name=name,
        image=str(folder / name),
        mask=None,
        skeleton="lsp14",
        joints2d=np.where(known[:, None], places, 0),
        visibility=known.astype(np.float32),
        scale=BOX_MARGIN * span if span else None,
    )

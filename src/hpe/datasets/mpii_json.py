"""MPII Human Pose in the JSON files of MSRA's Simple Baselines and HRNet: `annot/*.json` and `images/`.

Every entry is a person: `image`, `joints` (16 x 2), `joints_vis` (16; 0 is unlabelled, and occluded joints are
labelled), `center` and `scale`, in units of 200 px. Coordinates are MATLAB's, from 1. As HRNet does, the centre is
moved down by 15 scale, and the crop is 1.25 x 200 scale: the box is 0.8 of the crop here, so that its side is 200
scale. `annot/gt_valid.mat` has the boxes of the heads of `valid.json`, in its order, for PCKh.
"""

from __future__ import annotations

import os
import pathlib

import numpy as np

from hpe.datasets.mpii import BOX_MARGIN, person_size
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.json_files import field, numbers, read_json
from hpe.formats.matlab import load_matlab

# Unit of `scale` in pixels.
SCALE_UNIT = 200.0
# How far the centre is moved down, per unit of `scale`, so that the feet are inside.
CENTER_SHIFT = 15.0
# PCKh measures in this share of the diagonal of the head's box (SC_BIAS of MPII's evaluation).
HEAD_SHARE = 0.6
# MATLAB counts pixels from here.
MATLAB_ORIGIN = 1.0

_JOINTS = 16
_CONTENT = "a list of people with `image`, `joints`, `joints_vis`, `center` and `scale`"


def mpii_json(directory: str | os.PathLike) -> list[Source]:
    """Returns MPII as MSRA's JSON files split it.

    Args:
        directory: the folder with `annot/` and `images/`.

    Returns:
        The Sources `mpii_train` and `mpii_valid`, as there are files; `mpii_trainval` where there is only that. The
        test set has no labels and is not read.

    Raises:
        UserError: if there is no such file, one is damaged, or no image is found.
    """
    directory = pathlib.Path(directory)
    splits = [name for name in ("train", "valid") if (directory / "annot" / f"{name}.json").is_file()]
    if not splits and (directory / "annot" / "trainval.json").is_file():
        splits = ["trainval"]
    if not splits:
        raise UserError(f"{directory}: has neither annot/train.json nor annot/valid.json.")
    return [_source(directory, split) for split in splits]


def read_head_sizes(path: str | os.PathLike) -> np.ndarray:
    """Reads the heads of `gt_valid.mat`.

    Args:
        path: the file; its `headboxes_src` is 2x2xN: corner, x and y, person.

    Returns:
        (N,) float64, 0.6 of the diagonals of the boxes in pixels.

    Raises:
        UserError: if the file cannot be read or holds something else.
    """
    boxes = load_matlab(path, ("headboxes_src",)).get("headboxes_src")
    if boxes is None:
        raise UserError(f"{path}: holds no variable `headboxes_src`, 2x2xN.")
    boxes = np.asarray(boxes)
    if boxes.ndim != 3 or boxes.shape[:2] != (2, 2) or boxes.dtype.kind not in "fiu":
        found = "x".join(map(str, boxes.shape))
        raise UserError(f"{path}: `headboxes_src` must be 2x2xN numbers. Received: {found} {boxes.dtype}")
    boxes = boxes.astype(np.float64)
    if not np.isfinite(boxes).all():
        raise UserError(f"{path}: `headboxes_src` holds numbers that are not finite.")
    return HEAD_SHARE * np.linalg.norm(boxes[1] - boxes[0], axis=0)


def _source(directory: pathlib.Path, split: str) -> Source:
    path, image_dir = directory / "annot" / f"{split}.json", directory / "images"
    entries = read_json(path, list, _CONTENT)
    heads_path = directory / "annot" / "gt_valid.mat"
    heads = None
    if split == "valid" and heads_path.is_file():
        heads = read_head_sizes(heads_path)
        if len(heads) != len(entries):
            raise UserError(
                f"{heads_path}: has {len(heads)} heads, but valid.json {len(entries)} people; the two do not "
                "belong together."
            )
    try:
        images = set(os.listdir(image_dir))
    except OSError as error:
        raise UserError(f"{image_dir}: cannot be listed ({error.strerror}).") from error
    people: list[LabelledPerson | Skipped] = []
    for number, entry in enumerate(entries):
        try:
            head_size = None if heads is None else heads[number]
            people.append(_person(entry, number, path, image_dir, images, head_size))
        except UserError as error:
            # One odd entry among thousands is left out and named.
            people.append(Skipped(f"{path.name} entry {number}", str(error).removesuffix(".")))
    if not any(isinstance(person, LabelledPerson) and person.image for person in people):
        reasons = sorted({person.reason for person in people if isinstance(person, Skipped)})
        if people and len(reasons) and not any(isinstance(person, LabelledPerson) for person in people):
            raise UserError(f"{path}: holds nobody who can be used ({reasons[0]}).")
        raise UserError(f"{image_dir}: holds none of the images of {path.name}.")
    return Source(
        f"mpii_{split}",
        "mpii16",
        people,
        load_item,
        {
            "annotations": str(path),
            "images": str(image_dir),
            "heads": str(heads_path) if heads is not None else None,
        },
    )


def _person(entry, number: int, path, image_dir, images: set[str], head_size: float | None) -> LabelledPerson:
    where = "annotation"
    image = field(entry, "image", where)
    if not isinstance(image, str):
        raise UserError(f"{where}: `image` must be the name of a file. Received: {image!r}")
    joints = numbers(entry, "joints", (_JOINTS, 2), where, finite=False) - MATLAB_ORIGIN
    labelled = numbers(entry, "joints_vis", (_JOINTS,), where) > 0
    if not np.isfinite(joints[labelled]).all():
        raise UserError(f"{where}: `joints` holds labelled joints that are not finite.")
    center, scale = numbers(entry, "center", (2,), where), float(numbers(entry, "scale", (), where))
    if scale > 0 and (center != -1).all():
        box = center + np.array([0, CENTER_SHIFT * scale]) - MATLAB_ORIGIN
        side = SCALE_UNIT * scale
    else:
        # Few people have neither: their joints say where they are.
        box, size = None, person_size(joints, labelled)
        side = size and BOX_MARGIN * size
    return LabelledPerson(
        name=f"{image}#{number}",
        image=str(image_dir / image) if image in images else None,
        mask=None,
        skeleton="mpii16",
        joints2d=np.where(labelled[:, None], joints, 0),
        visibility=labelled.astype(np.float32),
        scale=side,
        center=box,
        head_size=None if head_size is None or head_size <= 0 else float(head_size),
    )

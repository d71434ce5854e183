"""MPII Human Pose in the layout of Unite the People (UP): single people with segmentations.

`images/NNNNN.png`, `NNNNN_segmentation.png` beside them or one folder up, and `poses.npz` with `poses`
(3, 16, N): x, y and a flag, column N belongs to image N + 1. The releases do not say whether the flag means
visible or occluded, and the original hybrid HMR took it for occluded. Most labelled joints of MPII are visible,
so the meaning of the more frequent value decides unless the caller does.
"""

from __future__ import annotations

import enum
import functools
import os
import pathlib
import re

import numpy as np

from hpe import skeletons
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.npz import load_npz

# Median distances on LSP's people in pixels, where the box of all joints has a diagonal of 150 px. HMR's converter
# of MPII means 75 px for shoulder to hip but measures from the head top, and takes 56 px where that is missing.
PERSON_SIZE = 150
SHOULDER_TO_HIP_SIZE = 46
HEAD_TO_HIP_SIZE = 72
# A person box leaves this much room around the joints: scalp, hands and feet reach beyond them.
BOX_MARGIN = 1.2

# A folder in which more of the images have no pose is that of another file of poses.
_FEW = 0.1

_NAME = re.compile(r"(\d+)\.(?:png|jpg|jpeg)", re.IGNORECASE)


class FlagMeaning(enum.Enum):
    """What a 1 in the third row of `poses` says of its joint."""

    AUTO = "auto"
    VISIBLE = "visible"
    OCCLUDED = "occluded"


def mpii(
    directory: str | os.PathLike,
    *,
    poses_file: str | os.PathLike | None = None,
    flag: FlagMeaning = FlagMeaning.AUTO,
    only_segmented: bool = False,
) -> Source:
    """Returns MPII as UP lays it out.

    Args:
        directory: UP's folder `mpii`, with `images/` and `poses.npz`.
        poses_file: the poses, where they are elsewhere.
        flag: meaning of the third row of the poses.
        only_segmented: leaves out people without a usable segmentation.

    Returns:
        The Source `mpii`.

    Raises:
        UserError: if the poses are not MPII's, or no image is found.
    """
    directory = pathlib.Path(directory)
    poses_file = pathlib.Path(poses_file or directory / "poses.npz")
    poses = read_poses(poses_file)
    joints = poses[:2].transpose(2, 1, 0)
    labelled = np.isfinite(joints).all(axis=2) & (joints > 0).all(axis=2)
    flags = poses[2].T > 0
    if flag is FlagMeaning.AUTO:
        mostly_set = flags[labelled].mean() > 0.5 if labelled.any() else True
        flag = FlagMeaning.VISIBLE if mostly_set else FlagMeaning.OCCLUDED
    visibility = labelled & (flags if flag is FlagMeaning.VISIBLE else ~flags)
    joints = np.where(labelled[:, :, None], joints, 0)
    return Source(
        "mpii",
        "mpii16",
        _people(directory, joints, visibility),
        functools.partial(load_item, only_segmented=only_segmented),
        {
            "poses": str(poses_file),
            "images": str(directory / "images"),
            "flag": flag.value,
            "only_segmented": only_segmented,
        },
    )


def read_poses(path: str | os.PathLike) -> np.ndarray:
    """Reads `poses` (3, 16, N) of UP's poses.npz; raises UserError if the file holds something else."""
    poses = load_npz(path, ("poses",), objects=False).get("poses")
    if poses is None:
        raise UserError(f"{path}: is not an npz file with `poses`, 3x16xN.")
    if poses.ndim != 3 or poses.shape[:2] != (3, 16) or poses.dtype.kind not in "fiu":
        found = "x".join(map(str, poses.shape))
        raise UserError(f"{path}: `poses` must be 3x16xN numbers. Received: {found} {poses.dtype}")
    return poses.astype(np.float64)


def person_size(joints: np.ndarray, visibility: np.ndarray) -> float | None:
    """Estimates how tall a person would stand in the image, from the joints that are visible.

    Diagonal of the box of all joints where an ankle is visible, else from the distance of the shoulders to the
    hip of their side, else from that of the head top to the hips (the rules of HMR's converter of MPII, with
    lengths that make all three say the same of LSP's people).

    Args:
        joints: (16, 2) pixels, `mpii16`.
        visibility: (16,) 0 or 1.

    Returns:
        Pixels, or None where too little is visible.
    """
    index = skeletons.MPII16.index

    def mean_distance(*pairs: tuple[str, str]) -> float | None:
        ends = [(index(a), index(b)) for a, b in pairs]
        known = [np.linalg.norm(joints[a] - joints[b]) for a, b in ends if visibility[a] and visibility[b]]
        return float(np.mean(known)) if known else None

    if visibility[index("left_ankle")] or visibility[index("right_ankle")]:
        visible = joints[visibility > 0]
        size = float(np.linalg.norm(visible.max(axis=0) - visible.min(axis=0)))
    elif (torso := mean_distance(("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"))) is not None:
        size = torso * PERSON_SIZE / SHOULDER_TO_HIP_SIZE
    elif (torso := mean_distance(("head_top", "right_hip"), ("head_top", "left_hip"))) is not None:
        size = torso * PERSON_SIZE / HEAD_TO_HIP_SIZE
    else:
        return None
    return size if size > 0 else None


def _people(
    directory: pathlib.Path, joints: np.ndarray, visibility: np.ndarray
) -> list[LabelledPerson | Skipped]:
    image_dir = directory / "images"
    try:
        names = os.listdir(image_dir)
    except OSError as error:
        raise UserError(f"{image_dir}: cannot be listed ({error.strerror}).") from error
    images = {int(match[1]): name for name in sorted(names) if (match := _NAME.fullmatch(name))}
    if not images:
        raise UserError(f"{image_dir}: holds no image NNNNN.png.")
    # Numbers start at 1, unless there is an image 0.
    first = 0 if 0 in images else 1
    strangers = [number for number in images if number >= first + len(joints)]
    if len(strangers) > _FEW * len(images):
        raise UserError(
            f"{image_dir}: there is an image {images[max(images)]}, but the poses end at {len(joints)}; "
            "the two do not belong together."
        )
    people: list[LabelledPerson | Skipped] = [
        Skipped(images.pop(number), "image without a pose") for number in sorted(strangers)
    ]
    for column in range(len(joints)):
        size = person_size(joints[column], visibility[column])
        name = images.get(column + first, f"{column + first:05d}.png")
        stem = name.rsplit(".", 1)[0]
        candidates = [folder / f"{stem}_segmentation.png" for folder in (image_dir, directory)]
        mask = next((str(path) for path in candidates if path.is_file()), None)
        people.append(
            LabelledPerson(
                name=name,
                image=str(image_dir / name) if column + first in images else None,
                mask=mask,
                skeleton="mpii16",
                joints2d=joints[column],
                visibility=visibility[column].astype(np.float32),
                scale=size and BOX_MARGIN * size,
            )
        )
    return people

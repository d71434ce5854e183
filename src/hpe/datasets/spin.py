"""People in the npz files of SPIN, PARE and their kin (`dataset_extras`): pictures by name, with bodies.

| array | |
|---|---|
| `imgname` | (N,) paths of pictures, below the folder of their dataset |
| `center`, `scale` | (N, 2) and (N,): middle of the box in pixels, and its side in units of 200 px |
| `part` | (N, 24, 3): x, y, weight, joints of `spin24`; or 17 of MPI-INF-3DHP's test or of Human3.6M |
| `openpose` | (N, 25, 3), the same of OpenPose: together they are `spin49` |
| `S` | as `part`, (N, 24, 4): metres, from the pelvis or the camera, x right, y down, z forward |
| `pose`, `shape`, `has_smpl` | (N, 72), (N, 10), (N,): SMPL; the root's rotation is the camera's |
| `gender` | (N,) `m` or `f`: whose body that is |
| `maskname` | (N,) paths of segmentations |

What an array says of a joint or a body is taken as it is; whether `S` is seen where `part` is, and in metres, is
checked. Source: Kolotouros et al., SPIN (ICCV 2019), datasets/preprocess and base_dataset.py.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from hpe import skeletons
from hpe.datasets import space
from hpe.datasets.image_folders import SHARED_FILE, ImageFolders
from hpe.datasets.mpii_json import SCALE_UNIT
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.npz import load_npz, npz_shapes

_KEYS = (
    *(
        "imgname",
        "center",
        "scale",
        "part",
        "openpose",
        "S",
        "pose",
        "shape",
        "has_smpl",
        "gender",
        "maskname",
    ),
)
_GENDERS = {"m": "male", "f": "female", "n": "neutral"}
# Joint sets of 17 that are written in this form; their pelvis, and the hips that it lies between, tell which.
_OF_17 = (skeletons.MPI_INF_3DHP17, skeletons.H36M17)
# Of the distance of the hips, how far the pelvis may lie from their middle.
_MIDDLE = 0.2
_LARGEST = 1e6
_LONGEST_NAME = 1000
_SHOWN = 300
# Folders that are no recordings.
_NO_RECORDING = {
    "",
    ".",
    "..",
    "images",
    "imageFiles",
    "imageFrames",
    "imageSequence",
    "mpi_inf_3dhp_test_set",
}
_FRAME = re.compile(r"(\d{1,9})\.\w+$")


def spin(
    path: str | os.PathLike, image_dir: str | os.PathLike | None = None, *, only_segmented: bool = False
) -> list[Source]:
    """Returns the people of one npz file, or of all in a folder.

    Args:
        path: the file or the folder.
        image_dir: folder of the dataset that `imgname` is below; by default that of the file, or the one above.
        only_segmented: leaves out people without a segmentation.

    Returns:
        A Source for each file, `spin_3dpw_test` for `3dpw_test.npz`. Files of a folder that hold something else are
        left out and named with the first.

    Raises:
        UserError: if there is no such file, it is damaged, its 3D joints are in another convention, or none of the
            pictures is there.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [_source(path, image_dir, only_segmented)]
    files = sorted(file for file in path.glob("*.npz") if not file.name.startswith("."))
    sources, left_out, reasons = [], [], []
    for file in files:
        try:
            shapes = npz_shapes(file)
            if "imgname" not in shapes:
                raise UserError(f"{file}: holds no `imgname`.")
            sources.append(_source(file, image_dir, only_segmented))
        except UserError as error:
            left_out.append(Skipped(file.name, str(error).removeprefix(f"{file}: ").removesuffix(".")))
            reasons.append(error)
    if not sources:
        raise reasons[0] if reasons else UserError(f"{path}: holds no *.npz of SPIN's.")
    return [dataclasses.replace(sources[0], items=[*left_out, *sources[0].items]), *sources[1:]]


def _source(path: pathlib.Path, image_dir: str | os.PathLike | None, only_segmented: bool) -> Source:
    content = load_npz(path, _KEYS, objects=False)
    names = content.get("imgname")
    if names is None or names.ndim != 1 or names.dtype.kind not in "SU" or not len(names):
        raise UserError(f"{path}: `imgname` must be the names of the pictures, texts.")
    count = len(names)
    center = _numbers(path, content, "center", (count, 2), wanted=True)
    scale = _numbers(path, content, "scale", (count,), wanted=True)
    skeleton2d, joints2d = _joints2d(path, content, count)
    skeleton3d, joints3d = _joints3d(path, content, count, joints2d, skeleton2d)
    pose = _numbers(path, content, "pose", (count, 72))
    shape = _numbers(path, content, "shape", (count, 10))
    fitted = _numbers(path, content, "has_smpl", (count,))
    if fitted is not None and (fitted > 0).any() and pose is None:
        raise UserError(f"{path}: `has_smpl` says that there are bodies, but it holds no `pose`.")
    fitted = np.ones(count) if fitted is None else fitted
    if pose is not None and not space.are_radians(pose[(fitted > 0) & np.isfinite(pose).all(axis=1)]):
        raise UserError(f"{path}: `pose`: {space.NO_RADIANS}")
    genders, masks = (_texts(path, content, key, count) for key in ("gender", "maskname"))
    _require_genders(path, genders, fitted)
    finder = ImageFolders(
        [pathlib.Path(image_dir)] if image_dir else [path.parent, path.parent / "images", path.parent.parent]
    )
    titles = [name.decode("utf-8", "replace") if names.dtype.kind == "S" else str(name) for name in names]
    titles = [name[:_LONGEST_NAME] for name in titles]
    _require_inside(path, "imgname", titles, finder)
    _require_inside(path, "maskname", [] if masks is None else masks.tolist(), finder)
    paths, shared = finder.find_all(titles)
    people: list[LabelledPerson | Skipped] = []
    for place, name in enumerate(titles):
        if name in shared:
            people.append(Skipped(f"{name}#{place}", SHARED_FILE))
            continue
        facts: dict[str, Any] = {}
        if joints3d is not None and (joints3d[place, :, 3] > 0).any():
            facts |= {
                "skeleton3d": skeleton3d.name,
                "joints3d": joints3d[place, :, :3],
                "confidence3d": joints3d[place, :, 3],
            }
        if fitted[place] > 0:
            facts |= _body(pose, shape, place)
            if "pose" in facts or "shape" in facts:
                facts |= {"body_model": "smpl", "gender": _gender(genders, place)}
        people.append(
            _person(
                name,
                place,
                paths[name],
                finder,
                skeleton2d,
                joints2d[place],
                center[place],
                scale[place],
                masks,
                facts,
            )
        )
    if not any(isinstance(person, LabelledPerson) and person.image for person in people):
        shown = next((person.name for person in people if isinstance(person, LabelledPerson)), people[0].name)
        folders = ", ".join(map(str, finder.folders))
        raise UserError(
            f"{path}: none of its pictures is there, such as {shown}; looked in {folders}. Say where they are by "
            "`spin_images`."
        )
    return Source(
        "spin_" + re.sub(r"\W", "_", path.stem),
        skeleton2d.name,
        people,
        functools.partial(load_item, only_segmented=only_segmented),
        {"annotations": str(path), "images": str(finder.folders[0]), "only_segmented": only_segmented},
    )


def _numbers(
    path: pathlib.Path, content: dict, key: str, shape: tuple[int, ...], *, wanted: bool = False
) -> np.ndarray | None:
    """Returns an array of a shape as float32; None where there is none."""
    values = content.get(key)
    if values is None and not wanted:
        return None
    if values is None or values.shape not in (shape, (*shape, 1)) or values.dtype.kind not in "fiub":
        found = "none" if values is None else f"{'x'.join(map(str, values.shape))} {values.dtype}"
        raise UserError(f"{path}: `{key}` must be {'x'.join(map(str, shape))} numbers. Received: {found}")
    return values.reshape(shape).astype(np.float32)


def _texts(path: pathlib.Path, content: dict, key: str, count: int) -> np.ndarray | None:
    values = content.get(key)
    if values is None:
        return None
    if values.shape != (count,) or values.dtype.kind not in "SU":
        raise UserError(f"{path}: `{key}` must be {count} texts. Received: {values.shape} {values.dtype}")
    return values.astype(str) if values.dtype.kind == "U" else np.char.decode(values, "latin-1")


def _joints2d(path: pathlib.Path, content: dict, count: int) -> tuple[skeletons.Skeleton, np.ndarray]:
    """Returns the joint set, and the joints (N, J, 3) with their weights; those that are not finite are 0."""
    parts = content.get("part")
    found = None if parts is None else _joints(path, "part", parts, count, 3)
    detected = content.get("openpose")
    if detected is not None:
        detected = _numbers(path, content, "openpose", (count, 25, 3))
    if found is None:
        if detected is None:
            # 3DPW's files for evaluation have bodies alone: nobody is seen but by the box.
            return skeletons.SPIN24, np.zeros((count, len(skeletons.SPIN24), 3), np.float32)
        return skeletons.OPENPOSE25, _clean(detected)
    skeleton, joints = found
    if detected is None or skeleton is not skeletons.SPIN24:
        return skeleton, _clean(joints)
    return skeletons.SPIN49, _clean(np.concatenate([detected, joints], axis=1))


def _joints3d(
    path: pathlib.Path, content: dict, count: int, joints2d: np.ndarray, skeleton2d: skeletons.Skeleton
) -> tuple[skeletons.Skeleton | None, np.ndarray | None]:
    values = content.get("S")
    if values is None:
        return None, None
    skeleton, joints = _joints(path, "S", values, count, 4)
    joints = _clean(joints)
    known = joints[:, :, 3] > 0
    where = f"{path}: `S`"
    whole = np.where(known[:, :, None], joints[:, :, :3], np.nan)
    # A person's height is that of the joints that are known.
    tall = whole[known.sum(axis=1) >= 6]
    if len(tall):
        low, high = np.nanmin(tall, axis=1), np.nanmax(tall, axis=1)
        space.check_height(np.stack([low, high], axis=1), where, unit="metres")
    pixels = joints2d[:, -len(skeleton) :] if skeleton2d is skeletons.SPIN49 else joints2d
    if pixels.shape[1] == len(skeleton):
        space.check_axes(joints[:, :, :3], pixels[:, :, :2], known & (pixels[:, :, 2] > 0), where)
    return skeleton, joints


def _joints(
    path: pathlib.Path, key: str, values: np.ndarray, count: int, columns: int
) -> tuple[skeletons.Skeleton, np.ndarray]:
    """Returns the joint set of an array, by how many joints it has and where its pelvis lies."""
    if (
        values.ndim != 3
        or values.shape[0] != count
        or values.shape[2] != columns
        or values.dtype.kind not in "fiu"
    ):
        found = "x".join(map(str, values.shape))
        raise UserError(
            f"{path}: `{key}` must be {count}x24x{columns} numbers. Received: {found} {values.dtype}"
        )
    values = values.astype(np.float32)
    if values.shape[1] == len(skeletons.SPIN24):
        return skeletons.SPIN24, values
    if values.shape[1] == len(skeletons.SPIN49):
        return skeletons.SPIN49, values
    fitting = [
        skeleton for skeleton in _OF_17 if len(skeleton) == values.shape[1] and _fits(skeleton, values)
    ]
    if len(fitting) == 1:
        return fitting[0], values
    known = ", ".join(skeleton.name for skeleton in (skeletons.SPIN24, skeletons.SPIN49, *_OF_17))
    raise UserError(
        f"{path}: `{key}` has {values.shape[1]} joints, and which they are cannot be told; known are {known}."
    )


def _fits(skeleton: skeletons.Skeleton, joints: np.ndarray) -> bool:
    """Whether the pelvis of most people lies between the hips."""
    pelvis, left, right = (joints[:, skeleton.index(name)] for name in ("pelvis", "left_hip", "right_hip"))
    apart = np.linalg.norm((left - right)[:, :-1], axis=1)
    off = np.linalg.norm((pelvis - (left + right) / 2)[:, :-1], axis=1)
    known = np.isfinite(apart + off) & (apart > 0)
    return bool(known.any() and np.median(off[known] / apart[known]) < _MIDDLE)


def _clean(joints: np.ndarray) -> np.ndarray:
    """Returns joints (N, J, C + 1) with weights from 0 to 1; 0 where they are not finite or out of reach."""
    good = np.isfinite(joints).all(axis=2) & (np.abs(joints) < _LARGEST).all(axis=2) & (joints[:, :, -1] > 0)
    joints = np.where(good[:, :, None], joints, 0)
    joints[:, :, -1] = np.minimum(joints[:, :, -1], 1)
    return joints


def _body(pose: np.ndarray | None, shape: np.ndarray | None, place: int) -> dict[str, np.ndarray]:
    parts = {"pose": pose, "shape": shape}
    return {
        key: values[place]
        for key, values in parts.items()
        if values is not None and np.isfinite(values[place]).all()
    }


def _gender(genders: np.ndarray | None, place: int) -> str:
    return "" if genders is None else _GENDERS.get(str(genders[place]).strip().lower()[:1], "")


def _require_genders(path: pathlib.Path, genders: np.ndarray | None, fitted: np.ndarray) -> None:
    """Raises UserError if the gender of a body is none: whose body it is would be a guess."""
    known = {"", *_GENDERS, *_GENDERS.values()}
    for place, text in enumerate(() if genders is None else genders):
        if fitted[place] > 0 and str(text).strip().lower() not in known:
            raise UserError(
                f"{path}: `gender` must be m, f or n. Received: {str(text)[:20]!r} of number {place}"
            )


def _require_inside(path: pathlib.Path, key: str, names: Sequence[str], finder: ImageFolders) -> None:
    """Raises UserError for the first name that leads out of the folders of the pictures."""
    for place, name in enumerate(names):
        if how := finder.outside(name[:_LONGEST_NAME]):
            raise UserError(
                f"{path}: `{key}` number {place}, {name[:_SHOWN]!r}, {how} {finder.folders[0]}; write names below "
                "that folder, or say by `spin_images` below which they are."
            )


def _person(
    name, place, image, finder, skeleton, joints, center, scale, masks, facts
) -> LabelledPerson | Skipped:
    title = f"{name}#{place}"
    side = SCALE_UNIT * float(scale)
    if not np.isfinite(center).all() or not 0 < side < _LARGEST or np.abs(center).max() > _LARGEST:
        return Skipped(title, "center or scale are no place in a picture")
    mask = None
    if masks is not None and masks[place]:
        mask = finder.find(str(masks[place])[:_LONGEST_NAME]) or "missing"
    return LabelledPerson(
        name=title,
        image=image,
        mask=mask,
        skeleton=skeleton.name,
        joints2d=joints[:, :2],
        visibility=joints[:, 2],
        scale=side,
        center=center.astype(np.float64),
        facts={**_recording(name), **facts},
    )


def _recording(name: str) -> dict[str, Any]:
    """Returns sequence and frame of a picture that lies in a folder of its recording, and no more of others."""
    *folders, file = name.replace("\\", "/").split("/")
    folders = [folder for folder in folders if folder not in _NO_RECORDING]
    number = _FRAME.search(file)
    if not folders or number is None:
        return {}
    return {"sequence": "/".join(folders), "frame": int(number[1])}

"""MPI-INF-3DHP as it is released, with the pictures of its videos.

| | labels | pictures |
|---|---|---|
| training | `S1/Seq1/annot.mat`: cells `annot2` (F, 56) and `annot3` (F, 84) for each of 14 cameras, 28 joints | \
`S1/Seq1/imageFrames/video_0/frame_000001.jpg` |
| test | `mpi_inf_3dhp_test_set/TS1/annot_data.mat` (HDF5): `annot2` (F, 1, 17, 2), `annot3`, `univ_annot3`, \
`valid_frame`, `activity_annotation` | `imageSequence/img_000001.jpg` beside it |

Pictures may also lie in `images/` under names such as `S1_Seq1_Cam0_000001.jpg` and `TS1_000001.jpg`. They are
numbered from 1, one for each frame: pictures that were taken at another rate are told by their number and left out.
3D joints are millimetres in the frame of the camera. The camera itself is found by least squares from the joints in
both, which is exact, and tells whether they belong together. Joints outside of the picture count as not labelled.
Source: Mehta et al., 3DV 2017, and the readme of the dataset.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from hpe.datasets import film_frames, space
from hpe.datasets.mpii import BOX_MARGIN
from hpe.datasets.people import LabelledPerson, load_item
from hpe.datasets.sample import Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.formats.image_headers import Header, Truncated, Unknown, read_header
from hpe.formats.matlab import load_matlab
from hpe.geometry.cameras import PinholeCamera
from hpe.skeletons import MPI_INF_3DHP17, MPI_INF_3DHP28, Skeleton

_TEST_SET = "mpi_inf_3dhp_test_set"
_SUBJECTS, _SEQUENCES, _CAMERAS, _TEST_SEQUENCES = range(1, 9), (1, 2), 14, range(1, 7)
# What the numbers of `activity_annotation` mean.
_ACTIVITIES = (
    *("standing or walking", "exercising", "sitting", "reaching or crouching", "on the floor", "sports"),
    "miscellaneous",
)
# The films of some recordings have 50 frames per second, those of the others for training 25.
_FAST = {"S1/Seq2", "S3/Seq1", "S3/Seq2", "S5/Seq1", "S5/Seq2"}
_RATE, _FAST_RATE = 25.0, 50.0
_NUMBER = re.compile(r"(\d{1,9})\.(?:jpg|jpeg|png)$", re.IGNORECASE)
# How far the projected joints may lie from the 2D joints, pixels in the median: nobody rounds to more.
_NEAR = 5.0
# Frames that a camera is found from.
_FRAMES = 200


class _Unusable(Exception):
    """A recording that cannot be used; the message is the reason."""


def mpi_inf_3dhp(directory: str | os.PathLike, *, every: int = 10, universal: bool = False) -> list[Source]:
    """Returns the people of the pictures that are there.

    Args:
        directory: with `S1/` to `S8/`, or `mpi_inf_3dhp_test_set/` (or `TS1/` to `TS6/`), or both.
        every: takes each frame of this number, of each camera.
        universal: of the test set, takes the joints of the skeleton of one size for all (`univ_annot3`), which the
            published evaluation compares with.

    Returns:
        The Sources `mpi_inf_3dhp_train` and `mpi_inf_3dhp_test`, as there are folders. Recordings that cannot
        be used are left out and named with them.

    Raises:
        UserError: if there is neither, or nothing can be used.
    """
    directory = pathlib.Path(directory)
    flat = _Flat(directory / "images")
    sources, reasons = [], []
    for name, skeleton, recordings in (
        ("train", MPI_INF_3DHP28, _training(directory, flat, every)),
        ("test", MPI_INF_3DHP17, _test(directory, flat, every, universal)),
    ):
        items: list[LabelledPerson | Skipped] = []
        for part in recordings:
            items += part
        if any(isinstance(item, LabelledPerson) for item in items):
            options = {"directory": str(directory), "every": every, "universal": universal}
            sources.append(Source(f"mpi_inf_3dhp_{name}", skeleton.name, items, load_item, options))
        else:
            reasons += [f"{directory / item.name}: {item.reason}." for item in items]
    if not sources:
        raise UserError(
            reasons[0]
            if reasons
            else f"{directory}: has neither S1/Seq1/annot.mat nor {_TEST_SET}/TS1/annot_data.mat."
        )
    return sources


def _training(directory: pathlib.Path, flat: _Flat, every: int) -> Iterator[list[LabelledPerson | Skipped]]:
    for subject in _SUBJECTS:
        for sequence in _SEQUENCES:
            folder = directory / f"S{subject}" / f"Seq{sequence}"
            name, path = f"S{subject}/Seq{sequence}", folder / "annot.mat"
            if not path.is_file():
                continue
            try:
                content = load_matlab(path, ("annot2", "annot3"))
                labels = [content.get(key) for key in ("annot2", "annot3")]
                if not all(isinstance(label, list) for label in labels) or len(labels[0]) != len(labels[1]):
                    raise _Unusable("annot.mat has no cells annot2 and annot3 of as many cameras")
            except (_Unusable, UserError) as error:
                yield [Skipped(f"{name}/annot.mat", _reason(error, path))]
                continue
            for camera, (flat2d, flat3d) in enumerate(zip(*labels, strict=True)):
                pictures = flat.find(f"S{subject}_Seq{sequence}_Cam{camera}") or _pictures(
                    *(folder / part / f"video_{camera}" for part in ("imageFrames", "imageSequence", "")),
                )
                if not pictures:
                    continue
                facts = {
                    "subject": f"S{subject}",
                    "sequence": name,
                    "camera_name": f"video_{camera}",
                    "frames_per_second": _FAST_RATE if name in _FAST else _RATE,
                }
                title = f"{name}/video_{camera}"
                try:
                    joints2d, joints3d = _shaped(flat2d, flat3d, MPI_INF_3DHP28)
                    yield _people(title, pictures, joints2d, joints3d, MPI_INF_3DHP28, every, facts)
                except _Unusable as error:
                    yield [Skipped(title, str(error))]
            if not any(_pictures_of(folder, flat, subject, sequence)):
                yield [Skipped(name, "none of its pictures is there")]


def _pictures_of(folder: pathlib.Path, flat: _Flat, subject: int, sequence: int) -> Iterator[bool]:
    for camera in range(_CAMERAS):
        yield bool(flat.find(f"S{subject}_Seq{sequence}_Cam{camera}"))
        yield any(
            (folder / part / f"video_{camera}").is_dir() for part in ("imageFrames", "imageSequence", "")
        )


def _test(
    directory: pathlib.Path, flat: _Flat, every: int, universal: bool
) -> Iterator[list[LabelledPerson | Skipped]]:
    for number in _TEST_SEQUENCES:
        name = f"TS{number}"
        folder = next(
            (
                place / name
                for place in (directory / _TEST_SET, directory)
                if (place / name / "annot_data.mat").is_file()
            ),
            None,
        )
        if folder is None:
            continue
        path = folder / "annot_data.mat"
        try:
            content = load_matlab(
                path, ("annot2", "annot3", "univ_annot3", "valid_frame", "activity_annotation")
            )
            joints2d, joints3d = _shaped(_rows(content, "annot2"), _rows(content, "annot3"), MPI_INF_3DHP17)
            shown = joints3d
            if universal:
                _, shown = _shaped(_rows(content, "annot2"), _rows(content, "univ_annot3"), MPI_INF_3DHP17)
            valid = np.ravel(_rows(content, "valid_frame")) > 0
            activity = np.ravel(content.get("activity_annotation", ()))
            if len(valid) != len(joints2d):
                raise _Unusable("valid_frame has another number of frames")
            pictures = flat.find(name) or _pictures(folder / "imageSequence")
            if not pictures:
                raise _Unusable("none of its pictures is there")
            actions = activity if len(activity) == len(valid) else np.zeros(len(valid))
            yield _people(
                name,
                pictures,
                joints2d,
                joints3d,
                MPI_INF_3DHP17,
                every,
                {"subject": name, "sequence": name},
                shown=shown,
                actions=actions,
                valid=valid,
            )
        except (_Unusable, UserError) as error:
            yield [Skipped(f"{name}/annot_data.mat", _reason(error, path))]


def _reason(error: Exception, path: pathlib.Path) -> str:
    return str(error).removeprefix(f"{path}: ").removesuffix(".")


def _rows(content: dict, key: str) -> np.ndarray:
    """Returns a variable of a file of version 7.3 with the frames first again; `load_matlab` has them last."""
    values = content.get(key)
    if not isinstance(values, np.ndarray):
        raise _Unusable(f"has no {key}")
    return values.T


def _shaped(flat2d, flat3d, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Returns 2D joints (F, J, 2) in pixels and 3D joints (F, J, 3) in metres."""
    shaped = []
    for values, columns in ((flat2d, 2), (flat3d, 3)):
        if (
            not isinstance(values, np.ndarray)
            or values.dtype.kind not in "fiu"
            or values.ndim < 2
            or not len(values)
        ):
            raise _Unusable("labels are no numbers")
        if values[0].size != len(skeleton) * columns:
            raise _Unusable(f"labels are not {columns} numbers for each of {len(skeleton)} joints")
        shaped.append(values.reshape(len(values), len(skeleton), columns).astype(np.float32))
    if len(shaped[0]) != len(shaped[1]):
        raise _Unusable("2D and 3D labels differ in their frames")
    return shaped[0], shaped[1] / np.float32(space.MM_PER_M)


class _Flat:
    """Pictures of all recordings in one folder."""

    def __init__(self, folder: pathlib.Path):
        self._found: dict[str, dict[int, str]] = {}
        for name in sorted(os.listdir(folder)) if folder.is_dir() else ():
            if (match := _NUMBER.search(name)) and match.start() and not name.startswith("."):
                self._found.setdefault(name[: match.start()].rstrip("_"), {})[int(match[1]) - 1] = str(
                    folder / name
                )

    def find(self, recording: str) -> dict[int, str]:
        """Returns the pictures of a recording by their frames from 0."""
        return {frame: path for frame, path in self._found.get(recording, {}).items() if frame >= 0}


def _pictures(*folders: pathlib.Path) -> dict[int, str]:
    """Returns the pictures of the first of some folders that has any, by their frames from 0."""
    for folder in folders:
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        found = {
            int(match[1]) - 1: str(folder / name)
            for name in names
            if (match := _NUMBER.search(name)) and not name.startswith(".")
        }
        if found:
            return {frame: path for frame, path in found.items() if frame >= 0}
    return {}


def _people(
    title: str,
    pictures: dict[int, str],
    joints2d: np.ndarray,
    joints3d: np.ndarray,
    skeleton: Skeleton,
    every: int,
    facts: dict,
    *,
    shown: np.ndarray | None = None,
    actions: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> list[LabelledPerson | Skipped]:
    """Returns the people of one camera's pictures; raises _Unusable if the labels are in another convention."""
    rate = film_frames.other_rate(pictures, len(joints2d), film_rate=facts.get("frames_per_second", 0.0))
    if rate:
        raise _Unusable(
            f"{len(pictures)} pictures for labels of {len(joints2d)} frames: they were taken at {rate:g} per "
            "second, wanted is one for each frame of the film"
        )
    camera = _camera(joints2d, joints3d, _size(pictures))
    shown = joints3d if shown is None else shown
    found: list[LabelledPerson | Skipped] = []
    for frame in sorted(pictures):
        if frame % every or (valid is not None and not (frame < len(valid) and valid[frame])):
            continue
        name = f"{title}/{pathlib.Path(pictures[frame]).name}"
        if frame >= len(joints2d):
            found.append(Skipped(name, "picture without labels"))
            continue
        pixels = joints2d[frame]
        if not np.isfinite(pixels).all() or not np.isfinite(shown[frame]).all():
            found.append(Skipped(name, "labels are not finite"))
            continue
        inside = np.ones(len(pixels), bool)
        if camera.size is not None:
            inside = (pixels >= -0.5).all(axis=1) & (pixels < np.array(camera.size) - 0.5).all(axis=1)
        if inside.sum() < len(pixels) / 2:
            found.append(Skipped(name, "most joints lie outside of the image"))
            continue
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        number = int(actions[frame]) - 1 if actions is not None and 0 < actions[frame] < 100 else -1
        found.append(
            LabelledPerson(
                name=name,
                image=pictures[frame],
                mask=None,
                skeleton=skeleton.name,
                joints2d=np.where(inside[:, None], pixels, 0),
                visibility=inside.astype(np.float32),
                scale=BOX_MARGIN * float((high - low).max()),
                center=(low + high) / 2,
                size=None if camera.size is None else camera.size[::-1],
                facts={
                    **facts,
                    "action": _ACTIVITIES[number] if 0 <= number < len(_ACTIVITIES) else "",
                    "frame": frame,
                    "skeleton3d": skeleton.name,
                    "joints3d": shown[frame],
                    "confidence3d": np.ones(len(skeleton), np.float32),
                    "pinhole": camera,
                },
            )
        )
    return found


def _size(pictures: dict[int, str]) -> tuple[int, int] | None:
    """Returns width and height of the first picture whose header can be read."""
    for path in list(pictures.values())[:3]:
        try:
            with open(path, "rb") as file:
                header: Header = read_header(file.read())
        except (OSError, Truncated, Unknown):
            continue
        return header.width, header.height
    return None


def _camera(joints2d: np.ndarray, joints3d: np.ndarray, size: tuple[int, int] | None) -> PinholeCamera:
    """Returns the camera that sees the 3D joints at the 2D joints."""
    frames = slice(None, None, max(1, len(joints2d) // _FRAMES))
    chosen3d, chosen2d = joints3d[frames].astype(np.float64), joints2d[frames].astype(np.float64)
    try:
        space.check_height(chosen3d, "annot3", unit="metres")
    except UserError as error:
        tall = str(error).partition(": ")[2].partition(" m tall")[0]
        raise _Unusable(f"{tall} m tall by annot3, if it is in millimetres, as wanted") from None
    camera, off = space.fit_pinhole(chosen3d.reshape(-1, 3), chosen2d.reshape(-1, 2), size)
    if camera is None or off > _NEAR:
        far = "no camera sees" if camera is None else f"the best camera sees, {off:.0f} px off,"
        raise _Unusable(
            f"{far} annot3 where annot2 is: wanted are millimetres in the frame of the camera, x right, y down, z "
            "forward"
        )
    return camera

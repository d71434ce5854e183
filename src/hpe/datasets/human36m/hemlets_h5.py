"""Human3.6M as the authors of HEMlets cut it: one HDF5 file of 256-pixel crops for each video.

`S_11_C_4_1.h5` (subject, camera 1 to 4, number of the video) holds `images` (N, 256, 256, 3) uint8, blue
first; `joints` (N, 18, 3): x and y in pixels of the crop, z in 0 to 255 over 2 m about the pelvis;
`joints3d_cam` (N, 32, 3), millimetres before the camera; and `trans` (N, 3), by which a pixel of the whole
picture is crop / scale + (tx, ty). `S11.json` beside it, or in the folder above, names the videos: `"Walking
1.60457274": "S_11_C_4_1"`.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re

import cv2
import numpy as np

from hpe.datasets.human36m.names import (
    CAMERAS,
    NUM_RAW_JOINTS,
    RAW_JOINTS,
    TRAIN_SUBJECTS,
    VAL_SUBJECTS,
    parse_trial,
)
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.datasets.space import MM_PER_M, check_height, fit_pinhole
from hpe.errors import UserError
from hpe.formats import hdf5
from hpe.formats.json_files import read_json
from hpe.geometry.cameras import PinholeCamera
from hpe.geometry.crops import BOX_SHARE
from hpe.skeletons import H36M18

CROP_SIZE = 256
# Depths are whole numbers over this range of metres.
DEPTH_STEPS, DEPTH_RANGE = 255.0, 2.0
_NAME = re.compile(r"S_(\d+)_C_([1-4])_(\d+)(?:_full)?\.h5")
_ARRAYS = ("images", "joints", "joints3d_cam", "trans")
# Frames that the camera is fitted to, evenly spread.
_FITTED = 64
# Pixels of the whole picture that projections may be off: the lens makes a few.
_FAR = 12.0
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]


@dataclasses.dataclass(frozen=True)
class Video:
    """One file.

    Attributes:
        path: of the file.
        subject: such as `S11`.
        camera: name of the camera.
        sequence: name of the video.
        action: what is done, empty where no JSON file says it.
        lens: of the whole picture, fitted to the labels.
    """

    path: str
    subject: str
    camera: str
    sequence: str
    action: str
    lens: PinholeCamera


@dataclasses.dataclass(frozen=True)
class Frame:
    """One crop: the item of a Source."""

    video: Video
    row: int

    @property
    def subject(self) -> str:
        """Who is seen."""
        return self.video.subject


def hemlets_h5(path: str | os.PathLike) -> list[Source]:
    """Returns the crops of a file, or of all such files of a folder and its subfolders.

    Returns:
        `hemlets_train` (S1, S5-S8) and `hemlets_val` (S9, S11), as there are files.

    Raises:
        UserError: there is no such file, one lacks an array or holds something else, or its labels do not belong
            together.
    """
    path = pathlib.Path(path)
    files = sorted(path.rglob("S_*.h5")) if path.is_dir() else [path]
    videos = [_open(file) for file in files if _NAME.fullmatch(file.name) or not path.is_dir()]
    if not videos:
        raise UserError(f"{path}: holds no file S_<subject>_C_<camera>_<video>.h5 of HEMlets.")
    found = []
    for name, subjects in (("hemlets_train", TRAIN_SUBJECTS), ("hemlets_val", VAL_SUBJECTS)):
        items = [
            Frame(video, row) for video, count in videos if video.subject in subjects for row in range(count)
        ]
        if items:
            found.append(Source(name, H36M18.name, items, load_frame, {"files": str(path)}))
    if not found:
        raise UserError(f"{path}: has no subject of {', '.join((*TRAIN_SUBJECTS, *VAL_SUBJECTS))}.")
    return found


def load_frame(frame: Frame) -> Sample | Skipped:
    """Reads one crop."""
    video, row = frame.video, frame.row
    rows = hdf5.read(video.path, lambda file: {key: file.array(key, rows=row) for key in _ARRAYS})
    name = f"{video.sequence}_{row:06d}"
    joints2d, joints3d = rows["joints"].astype(np.float64)[:, :2], _in_metres(rows["joints3d_cam"][None])[0]
    scale = float(rows["trans"][2])
    if not (np.isfinite(joints2d).all() and np.isfinite(joints3d).all() and np.isfinite(scale) and scale > 0):
        return Skipped(name, "labels are not finite")
    encoded = cv2.imencode(".jpg", np.ascontiguousarray(rows["images"]), _JPEG)[1].tobytes()
    return Sample(
        name=name,
        image=encoded,
        height=CROP_SIZE,
        width=CROP_SIZE,
        skeleton=H36M18.name,
        joints2d=joints2d.astype(np.float32),
        visibility=np.ones(len(H36M18), np.float32),
        center=np.full(2, (CROP_SIZE - 1) / 2, np.float32),
        # The crop is taken as it is: its middle part, which a box fills, is the box.
        scale=BOX_SHARE * CROP_SIZE,
        skeleton3d=H36M18.name,
        joints3d=joints3d.astype(np.float32),
        confidence3d=np.ones(len(H36M18), np.float32),
        pinhole=PinholeCamera(
            video.lens.focal * scale,
            (video.lens.center - rows["trans"][:2]) * scale,
            (CROP_SIZE, CROP_SIZE),
        ),
        subject=video.subject,
        action=video.action,
        sequence=video.sequence,
        camera_name=video.camera,
        frame=row,
    )


def _open(path: pathlib.Path) -> tuple[Video, int]:
    """Returns a file that was checked, and its number of frames."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise UserError(
            f"{path}: must be called S_<subject>_C_<camera>_<video>.h5, as the authors' files are."
        )
    shapes = hdf5.read(path, lambda file: {key: file.shape(key) for key in _ARRAYS})
    if missing := [key for key in _ARRAYS if shapes[key] is None]:
        raise UserError(f"{path}: has no {missing[0]}, as the authors' files have.")
    count = shapes["images"][0] if shapes["images"] else 0
    wanted = {
        "images": (count, CROP_SIZE, CROP_SIZE, 3),
        "joints": (count, len(H36M18), 3),
        "joints3d_cam": (count, NUM_RAW_JOINTS, 3),
        "trans": (count, 3),
    }
    for key, shape in wanted.items():
        if shapes[key] != shape:
            raise UserError(
                f"{path}: {key} must be {'x'.join(map(str, shape))}. "
                f"Received: {'x'.join(map(str, shapes[key]))}"
            )
    if not count:
        raise UserError(f"{path}: holds no frames.")
    labels = hdf5.read(path, lambda file: {key: file.array(key) for key in _ARRAYS[1:]})
    chosen = np.unique(np.linspace(0, count - 1, _FITTED).astype(int))
    joints, trans = (labels[key][chosen].astype(np.float64) for key in ("joints", "trans"))
    joints3d = _in_metres(labels["joints3d_cam"][chosen])
    check_height(joints3d, f"{path}: joints3d_cam", unit="millimetres")
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = joints[..., :2] / trans[:, None, 2:] + trans[:, None, :2]
    lens, off = fit_pinhole(joints3d.reshape(-1, 3), pixels.reshape(-1, 2))
    if lens is None or off > _FAR:
        seen = "no camera sees" if lens is None else f"{off:.0f} px off is where the best camera sees"
        raise UserError(
            f"{path}: {seen} joints3d_cam, of where joints and trans say; labels of another camera or video?"
        )
    depth = (joints3d[..., 2] - joints3d[:, :1, 2]) / DEPTH_RANGE + 0.5
    apart = np.nanmedian(np.abs(joints[..., 2] / DEPTH_STEPS - depth))
    if not apart < 0.02:
        raise UserError(
            f"{path}: depths of joints are {DEPTH_RANGE * apart:.2f} m from those of joints3d_cam; they are wanted "
            "as 0 to 255 over 2 m about the pelvis."
        )
    sequence = path.stem.removesuffix("_full")
    camera = list(CAMERAS)[int(match[2]) - 1]
    return Video(str(path), f"S{match[1]}", camera, sequence, _action(path, sequence), lens), count


def _in_metres(joints: np.ndarray) -> np.ndarray:
    """Returns the joints (N, 18, 3) of `h36m18` in metres out of the release's 32."""
    chosen = np.asarray(joints, np.float64)[:, list(RAW_JOINTS)] / MM_PER_M
    middle = 0.5 * (chosen[:, H36M18.index("left_shoulder")] + chosen[:, H36M18.index("right_shoulder")])
    return np.concatenate([chosen, middle[:, None]], axis=1)


def _action(path: pathlib.Path, sequence: str) -> str:
    """Returns what a JSON file of the authors says is done in a video, empty without such a file."""
    subject = f"S{sequence.split('_')[1]}"
    for folder in (path.parent, path.parent.parent):
        file = folder / f"{subject}.json"
        if not file.is_file():
            continue
        for key, value in read_json(file, dict, "names of videos by action and camera").items():
            if value == sequence:
                trial = parse_trial(subject, str(key).partition(".")[0])
                return trial.action if trial else ""
    return ""

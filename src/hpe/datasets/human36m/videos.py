"""Pictures of Human3.6M out of its videos, with 3D joints of any public layout and the cameras beside them.

A video is called by its action and its camera, `Directions 1.54138969.mp4`, and lies in a folder of its
subject (`S9/Videos/` of the release, `S9/`). The frame n of a video is the row n of the 3D positions. Of a
frame that part is kept that the person needs.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re

import cv2
import numpy as np

from hpe.datasets.human36m import npz as h36m_npz
from hpe.datasets.human36m.cameras import Camera, CameraTable, find_cameras
from hpe.datasets.human36m.names import CAMERAS, TRAIN_SUBJECTS, VAL_SUBJECTS, Trial, is_subject, parse_trial
from hpe.datasets.human36m.recordings import Recordings
from hpe.datasets.pose_sequence import GROUND_TRUTH
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.errors import UserError
from hpe.geometry.cameras import PinholeCamera

FRAMES_PER_SECOND = 50.0
_SKELETON = "h36m17"
_VIDEO = re.compile(r"(?P<trial>.+?)[._](?P<camera>\d{8})\.(?:mp4|avi|mkv|mov)", re.IGNORECASE)
# Videos are a few frames longer or shorter than their positions.
_FEW_FRAMES = 25
# A person's box is so much larger than that of the joints; of the picture so much of the box is kept.
_BOX_MARGIN, _KEPT = 1.2, 1.8
# Frames that are read and thrown away rather than looked for.
_NEAR = 120
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95]
# Pixels of two cameras' projections that tell them apart from noise of labels.
_FAR = 60.0


@dataclasses.dataclass(frozen=True)
class Frame:
    """One frame of a video: the item of a Source.

    Attributes:
        path: of the video.
        subject, action, sequence, camera_name: as of `Sample`.
        number: of the frame.
        joints3d: (17, 3) float32 metres before the camera.
        camera: that took it.
    """

    path: str
    subject: str
    action: str
    sequence: str
    camera_name: str
    number: int
    joints3d: np.ndarray
    camera: Camera


def h36m_videos(
    directory: str | os.PathLike, recordings: Recordings, *, every: int = 10, subject: str = ""
) -> list[Source]:
    """Returns the frames of all videos of a folder.

    Args:
        directory: with the videos and the cameras.
        recordings: 3D positions of the same folder.
        every: takes each frame of this number.
        subject: of videos that lie in no folder of a subject, such as `S1`.

    Returns:
        `h36m_frames_train` (S1, S5-S8) and `h36m_frames_val` (S9, S11), as there are videos.

    Raises:
        UserError: there is no video, a video does not go with its positions, or no video has any.
    """
    directory = pathlib.Path(directory)
    _, cameras = find_cameras(directory)
    found: dict[str, list[Frame | Skipped]] = {"h36m_frames_train": [], "h36m_frames_val": []}
    videos = [path for path in sorted(directory.rglob("*")) if _VIDEO.fullmatch(path.name)]
    if not videos:
        raise UserError(
            f"{directory}: holds no videos called by action and camera, such as "
            "S9/Videos/Directions 1.54138969.mp4."
        )
    detections = dict(recordings.detections)
    if (truth := directory / f"{h36m_npz.DETECTIONS_PREFIX}{GROUND_TRUTH}.npz").is_file():
        detections[GROUND_TRUTH] = h36m_npz.read_detections(truth)
    recordings = dataclasses.replace(recordings, detections=detections)
    for path in videos:
        place = _place(path, directory, subject)
        name = "h36m_frames_val" if place[0].subject in VAL_SUBJECTS else "h36m_frames_train"
        if place[0].subject not in (*TRAIN_SUBJECTS, *VAL_SUBJECTS):
            found[name].append(Skipped(path.name, "subject is neither for training nor for validation"))
            continue
        found[name] += _frames(path, *place, recordings, cameras, every)
    if not any(isinstance(item, Frame) for items in found.values() for item in items):
        reasons = sorted({item.reason for items in found.values() for item in items})
        raise UserError(f"{directory}: none of its {len(videos)} videos can be used ({reasons[0]}).")
    options = {"directory": str(directory), "every": every, "detections": sorted(detections)}
    return [Source(name, _SKELETON, items, load_frame, options) for name, items in found.items() if items]


def load_frame(frame: Frame | Skipped) -> Sample | Skipped:
    """Reads a frame and cuts the person's part out of it."""
    if isinstance(frame, Skipped):
        return frame
    name = f"{frame.sequence}.{frame.camera_name}_{frame.number:06d}"
    if not np.isfinite(frame.joints3d).all():
        return Skipped(name, "3D joints are not finite")
    joints2d = frame.camera.project(frame.joints3d.astype(np.float64))
    if not np.isfinite(joints2d).all():
        return Skipped(name, "a joint lies behind the camera")
    picture = _reader(frame.path).read(frame.number)
    if picture is None:
        return Skipped(name, "video ends before this frame")
    low, high = joints2d.min(axis=0), joints2d.max(axis=0)
    center, side = (low + high) / 2, _BOX_MARGIN * float((high - low).max())
    height, width = picture.shape[:2]
    first = np.clip(np.floor(center - _KEPT * side / 2), 0, None).astype(int)
    last = np.minimum(np.ceil(center + _KEPT * side / 2), [width, height]).astype(int)
    if (last - first < 2).any():
        return Skipped(name, "person lies outside of the picture")
    cut = picture[first[1] : last[1], first[0] : last[0]]
    camera = frame.camera
    return Sample(
        name=name,
        image=cv2.imencode(".jpg", cut, _JPEG)[1].tobytes(),
        height=cut.shape[0],
        width=cut.shape[1],
        skeleton=_SKELETON,
        joints2d=(joints2d - first).astype(np.float32),
        visibility=np.ones(len(joints2d), np.float32),
        center=(center - first).astype(np.float32),
        scale=side,
        skeleton3d=_SKELETON,
        joints3d=frame.joints3d,
        confidence3d=np.ones(len(joints2d), np.float32),
        pinhole=PinholeCamera(
            camera.f,
            camera.c - first,
            cut.shape[1::-1],
            camera.k,
            camera.p,
            camera.rotation,
            camera.translation,
        ),
        subject=frame.subject,
        action=frame.action,
        sequence=frame.sequence,
        camera_name=frame.camera_name,
        frame=frame.number,
        frames_per_second=FRAMES_PER_SECOND,
    )


def check_camera(
    where: str, joints3d: np.ndarray, pixels: np.ndarray, camera: str, others: dict[str, Camera]
) -> None:
    """Raises UserError if 2D joints are not where a camera sees the 3D joints, and says which camera does.

    Args:
        where: for the message.
        joints3d: (T, J, 3) in the world, metres.
        pixels: (T, J, 2).
        camera: name of the camera that took them.
        others: all cameras of the subject, this one included.
    """
    off = {
        name: float(np.nanmedian(np.linalg.norm(one.project(one.to_camera(joints3d)) - pixels, axis=-1)))
        for name, one in others.items()
    }
    off = {name: value if np.isfinite(value) else np.inf for name, value in off.items()}
    if off[camera] <= _FAR:
        return
    best = min(off, key=off.get)
    hint = f"; {off[best]:.0f} px of camera {best}: are the two exchanged?" if off[best] <= _FAR else ""
    raise UserError(
        f"{where}: projections of the 3D joints are {off[camera]:.0f} px off the 2D joints of camera {camera}{hint}"
    )


def _place(path: pathlib.Path, directory: pathlib.Path, subject: str) -> tuple[Trial, str]:
    """Returns the trial and the camera that a video is of."""
    match = _VIDEO.fullmatch(path.name)
    folders = [part for part in path.relative_to(directory).parts[:-1] if is_subject(part)]
    if not folders and not subject:
        raise UserError(
            f"{path}: lies in no folder of a subject, such as S9; move it, or say whose it is by `h36m_subject=S9`."
        )
    trial = parse_trial(folders[-1] if folders else subject, match["trial"])
    if trial is None:
        raise UserError(f"{path}: is called by no action of Human3.6M.")
    if match["camera"] not in CAMERAS:
        raise UserError(f"{path}: there is no camera {match['camera']}, only {', '.join(CAMERAS)}.")
    return trial, match["camera"]


def _frames(
    path: pathlib.Path,
    trial: Trial,
    camera: str,
    recordings: Recordings,
    cameras: CameraTable,
    every: int,
) -> list[Frame | Skipped]:
    if trial not in recordings.positions:
        return [Skipped(path.name, "video has no 3D positions")]
    if (trial.subject, camera) not in cameras:
        raise UserError(f"{path}: the cameras beside it lack {camera} of {trial.subject}.")
    world = recordings.positions[trial]()
    count, rate = _describe(path)
    if abs(rate - FRAMES_PER_SECOND) > 0.5:
        raise UserError(
            f"{path}: has {rate:g} frames per second, not the {FRAMES_PER_SECOND:g} of the 3D positions, so that "
            "its frames are not theirs."
        )
    if abs(count - len(world)) > _FEW_FRAMES:
        raise UserError(
            f"{path}: has {count} frames, but there are 3D positions of {len(world)}; the two do not belong "
            "together."
        )
    for detections in recordings.detections.values():
        load = detections.files.get((trial, camera))
        if load is None or detections.skeleton != _SKELETON:
            continue
        pixels = load()[..., :2]
        rows = np.unique(np.linspace(0, min(len(pixels), len(world)) - 1, 64).astype(int))
        own = {name: cameras[trial.subject, name] for name in CAMERAS if (trial.subject, name) in cameras}
        check_camera(str(path), world[rows], pixels[rows], camera, own)
    joints3d = cameras[trial.subject, camera].to_camera(world).astype(np.float32)
    return [
        Frame(
            str(path),
            trial.subject,
            trial.action,
            str(trial),
            camera,
            number,
            joints3d[number],
            cameras[trial.subject, camera],
        )
        for number in range(0, min(count, len(world)), every)
    ]


def _describe(path: pathlib.Path) -> tuple[int, float]:
    """Returns number and rate of the frames of a video; UserError if OpenCV cannot read it."""
    capture = cv2.VideoCapture(str(path))
    try:
        count, rate = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))
        if not capture.isOpened() or count < 1:
            raise UserError(f"{path}: is no video that OpenCV can read.")
        return int(count), float(rate)
    finally:
        capture.release()


class _Reader:
    """Frames of one video by their numbers; reads on where the next is near."""

    def __init__(self, path: str):
        self._capture = cv2.VideoCapture(path)
        self._next = 0

    def read(self, number: int) -> np.ndarray | None:
        """Returns (H, W, 3) uint8, blue first, or None where there is no such frame."""
        if not self._next <= number <= self._next + _NEAR:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            self._next = number
        while self._next < number:
            if not self._capture.grab():
                return None
            self._next += 1
        read, picture = self._capture.read()
        self._next += 1
        return picture if read else None


@functools.lru_cache(maxsize=4)
def _reader(path: str) -> _Reader:
    return _Reader(path)

"""Whether positions, cameras and detections of Human3.6M follow the conventions that they are read by.

The public files come in millimetres or metres, with z or y upwards, with R as it is or as MATLAB left it. A person
between 0.5 and 3 m tells the unit; projections that fall into the pictures, near the detections or else upright,
tell axes and rotations. Nothing is guessed: files in another convention are refused with the one that fits.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from hpe import skeletons
from hpe.datasets.human36m.cameras import Camera, CameraTable
from hpe.datasets.human36m.names import CAMERAS, Trial
from hpe.datasets.human36m.recordings import Recordings
from hpe.datasets.space import check_height
from hpe.errors import UserError
from hpe.skeletons import H36M17

# Of every subject so many trials are looked at, evenly spread frames of each.
_TRIALS = 2
_FRAMES = 16
# Who walks or stands comes before who sits.
_UPRIGHT_ACTIONS = (
    "Walking",
    "WalkTogether",
    "WalkDog",
    "Directions",
    "Greeting",
    "Discussion",
    "Posing",
    "Purchases",
)

# How projections look where the convention is right: in the picture, this near to detections (median, pixels), or
# the head above the ankles by this share of the person.
_INSIDE = 0.5
_NEAR = 60.0
_UPRIGHT, _NOT_UPRIGHT = 0.5, 0.3
# Left and right are exchanged if that brings joints nearer than this share of their distance.
_MUCH_NEARER = 0.5
# Metres: who moves less about the world's origin is not in the world.
_STILL = 1e-3
# Nobody is smaller than this in pictures of 1000 pixels.
_LEAST_PIXELS = 40.0

# This alone looks like nothing at all where there are no detections.
_MIRRORED = "the positions are mirrored"
# What is done to positions that have another axis upwards, so that z is.
_AXES = {
    "": ((0, 1, 2), (1, 1, 1)),
    "y is up in the positions (x, z, -y is wanted)": ((0, 2, 1), (1, -1, 1)),
    "y is up in the positions (x and y exchange with z)": ((2, 0, 1), (1, 1, 1)),
    "y is down in the positions": ((0, 2, 1), (1, 1, -1)),
    "x is up in the positions": ((1, 2, 0), (1, 1, 1)),
    "z is down in the positions (x, -y, -z is wanted)": ((0, 1, 2), (1, -1, -1)),
    _MIRRORED: ((0, 1, 2), (-1, 1, 1)),
}


@dataclasses.dataclass(frozen=True)
class _View:
    """What one camera says of a few frames: world joints (T, 17, 3), and detections (T, J, 2) if there are any."""

    world: np.ndarray
    camera: Camera
    size: tuple[int, int]
    detected: np.ndarray | None
    skeleton: str


@dataclasses.dataclass(frozen=True)
class _Fit:
    """How well a convention fits: share of joints in the picture, pixels from detections, posture and size."""

    inside: float
    far: float | None
    upright: float
    pixels: float

    @property
    def good(self) -> bool:
        """Whether nothing speaks against it."""
        if self.inside < _INSIDE or self.pixels < _LEAST_PIXELS:
            return False
        return self.upright >= _UPRIGHT if self.far is None else self.far <= _NEAR

    @property
    def bad(self) -> bool:
        """Whether something does."""
        return self.inside < _INSIDE or (
            self.upright < _NOT_UPRIGHT if self.far is None else self.far > _NEAR
        )


def check(recordings: Recordings, cameras: CameraTable, *, directory: str, cameras_file: str) -> None:
    """Raises UserError if positions or cameras are in another convention than that of the layout.

    Args:
        recordings: positions in the world, as metres.
        cameras: of every subject.
        directory: of the dataset, for the message.
        cameras_file: for the message.
    """
    for subject in sorted({trial.subject for trial in recordings.positions}):
        views = list(_views(subject, recordings, cameras))
        if not views:
            continue
        where = f"{directory}: 3D positions of {subject}"
        world = np.concatenate([view.world for view in views])
        check_height(world, where, unit=recordings.unit)
        if len(world) > 1 and np.abs(world[:, H36M17.index("pelvis")]).max() < _STILL:
            raise UserError(f"{where} are relative to the pelvis; wanted are those in the world.")
        usual = _fit(views, "", transposed=False, is_offset=False, scale=1.0)
        if usual.far is not None:
            exchanged = [dataclasses.replace(view, world=view.world[:, list(H36M17.flip)]) for view in views]
            other = _fit(exchanged, "", transposed=False, is_offset=False, scale=1.0)
            if other.good and other.far < _MUCH_NEARER * usual.far:
                raise UserError(
                    f"{where} lie {usual.far:.0f} px from the detections, and {other.far:.0f} px if left and right "
                    "are exchanged: whose left is it in one of them?"
                )
        if not usual.bad:
            continue
        others = [
            (
                _words(*choice),
                _fit(views, choice[0], transposed=choice[1], is_offset=choice[2], scale=choice[3]),
            )
            for choice in itertools.product(_AXES, (False, True), (False, True), (1.0, 1000.0))
            if choice != ("", False, False, 1.0) and (choice[0] != _MIRRORED or usual.far is not None)
        ]
        fitting = [(fit.far or -fit.upright, words) for words, fit in others if fit.good]
        seen = f"{usual.inside:.0%} of the joints fall into the pictures"
        if usual.far is not None:
            seen += f", {usual.far:.0f} px from the detections"
        if fitting:
            raise UserError(
                f"{where} and {cameras_file} do not fit in the usual convention ({seen}); they fit if "
                f"{min(fitting)[1]}. Bring the files into the usual convention."
            )
        if usual.inside < _INSIDE or usual.far is not None:
            only = "only " if usual.inside < _INSIDE else ""
            raise UserError(
                f"{where} and {cameras_file} do not belong together: {only}{seen}; wanted are positions with z up "
                "and cameras with R (world to camera, as MATLAB left it) and T (their centres)."
            )


def _views(subject: str, recordings: Recordings, cameras: CameraTable) -> Iterator[_View]:
    """Yields what a few trials of a subject show, each camera once per trial; unreadable ones are passed over."""
    trials = sorted((trial for trial in recordings.positions if trial.subject == subject), key=_preference)
    used = 0
    for trial in trials:
        if used == _TRIALS:
            return
        try:
            world = recordings.positions[trial]()
        except UserError:
            continue
        frames = np.flatnonzero(np.isfinite(world).all(axis=(1, 2)))
        frames = frames[:: max(1, len(frames) // _FRAMES)][:_FRAMES]
        if not len(frames):
            continue
        used += 1
        for name, size in CAMERAS.items():
            if (subject, name) in cameras:
                detected, skeleton = _detected(recordings, trial, name, frames)
                yield _View(world[frames], cameras[subject, name], size, detected, skeleton)


def _preference(trial: Trial):
    upright = trial.action in _UPRIGHT_ACTIONS
    return (_UPRIGHT_ACTIONS.index(trial.action) if upright else len(_UPRIGHT_ACTIONS), trial)


def _detected(recordings: Recordings, trial: Trial, name: str, frames: np.ndarray):
    for detections in recordings.detections.values():
        load = detections.files.get((trial, name))
        if load is None:
            continue
        try:
            joints = load()
        except UserError:
            continue
        if len(joints) > frames[-1]:
            return joints[frames, :, :2].astype(np.float64), detections.skeleton
    return None, ""


def _fit(views: list[_View], axes: str, *, transposed: bool, is_offset: bool, scale: float) -> _Fit:
    """Returns how the views look if the files are read in another way.

    Args:
        views: of one subject.
        axes: key of `_AXES`.
        transposed: takes R for its transpose.
        is_offset: takes T for the world's origin in the camera instead of the camera's centre in the world.
        scale: of T.
    """
    order, signs = _AXES[axes]
    inside, far, upright, sizes = [], [], [], []
    for view in views:
        rotation = view.camera.rotation.T if transposed else view.camera.rotation
        translation = scale * view.camera.translation
        if is_offset:
            translation = -rotation.T @ translation
        camera = dataclasses.replace(view.camera, rotation=rotation, translation=translation)
        joints = camera.to_camera(view.world[..., list(order)] * np.array(signs))
        with np.errstate(all="ignore"):
            pixels = camera.project(joints)
        width, height = view.size
        x, y = pixels[..., 0], pixels[..., 1]
        inside.append((x >= 0) & (x < width) & (y >= 0) & (y < height))
        sizes.append(np.linalg.norm(np.ptp(np.nan_to_num(pixels), axis=1), axis=-1))
        tall = np.linalg.norm(np.ptp(joints, axis=1), axis=-1)
        ankles = (joints[:, H36M17.index("left_ankle"), 1] + joints[:, H36M17.index("right_ankle"), 1]) / 2
        upright.append((ankles - joints[:, H36M17.index("head_top"), 1]) / tall)
        if view.detected is not None:
            names = skeletons.get(view.skeleton).joints
            shared = [
                name
                for name in ("left_hip", "right_hip", "left_knee", "right_ankle", "left_wrist")
                if name in names
            ]
            own = pixels[:, [H36M17.index(name) for name in shared]]
            found = view.detected[:, [names.index(name) for name in shared]]
            distance = np.linalg.norm(own - found, axis=-1)
            # What was not detected says nothing; what is behind the camera is far.
            known = np.isfinite(found).all(axis=-1)
            far.append(np.where(np.isfinite(distance), distance, 1e4)[known])
    return _Fit(
        float(np.mean(np.concatenate([part.ravel() for part in inside]))),
        float(np.median(np.concatenate(far))) if any(map(len, far)) else None,
        float(np.median(np.concatenate(upright))),
        float(np.median(np.concatenate(sizes))),
    )


def _words(axes: str, transposed: bool, is_offset: bool, scale: float) -> str:
    parts = [axes] if axes else []
    parts += ["R of the cameras is not transposed"] if transposed else []
    parts += (
        ["T of the cameras is the origin of the world in the camera, not the camera's centre"]
        if is_offset
        else []
    )
    parts += ["T of the cameras is in metres, not in millimetres"] if scale != 1 else []
    return " and ".join(parts)

"""The type that pose datasets yield: one person's 3D and 2D joints over time, as one camera sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from hpe.datasets.sample import Skipped
from hpe.datasets.source import NOWHERE, Provenance

# Keypoints of this name are projections of the 3D joints, or the dataset's own 2D labels.
GROUND_TRUTH = "gt"

# Note on a sequence whose frames are not all of its recording.
FRAMES_LEFT_OUT = "frames with joints that are not finite: these frames left out"
# Noted beside it, if those are a detector's.
_CAUSE = "{}: not finite in some frames, which are left out for all others, too"


@dataclasses.dataclass(frozen=True)
class Keypoints:
    """2D joints of one origin.

    Attributes:
        skeleton: name of their joint set, see `hpe.skeletons`.
        joints: (T, J, 2) float32, x and y in pixels of the image; pixel centres lie at integers.
        confidence: (T, J) float32, or None where the detector gives none.
    """

    skeleton: str
    joints: np.ndarray
    confidence: np.ndarray | None = None

    def frames(self, chosen: np.ndarray | slice) -> Keypoints:
        """Returns the chosen frames alone: a boolean (T,), indices or a slice."""
        confidence = None if self.confidence is None else self.confidence[chosen]
        return Keypoints(self.skeleton, self.joints[chosen], confidence)


@dataclasses.dataclass(frozen=True)
class PoseSequence:
    """One recording of a person by one camera.

    Attributes:
        name: what identifies it, such as `S9/Directions 1/54138969`.
        subject: who moves, such as `S9`.
        action: what is done, such as `WalkDog`; trials of an action share it.
        camera: name of the camera, empty where it is unknown.
        joints3d: (T, 17, 3) float32, metres, `h36m17`, camera frame (x right, y down, z forward), from the camera's
            centre, or from the pelvis where only that is known; None without 3D.
        keypoints: 2D joints by origin: `gt` for ground truth, else the name of the detector, such as `sh`.
        f, c: (2,) float32, focal length and principal point in pixels, or None.
        k, p: (3,) and (2,) float32, radial and tangential distortion of
            `hpe.geometry.cameras.perspective_project`, or None.
        rotation: (3, 3) float32, world to camera: X_camera = rotation (X_world - translation), or None.
        translation: (3,) float32, the camera's centre in the world, metres, or None.
        world_up: (3,) which way is up in the world of `rotation`, of length 1; Human3.6M's z by default.
        image_size: width and height of the image in pixels, or None.
        frames_per_second: 0 where it is unknown.
        notes: remarks on what was left out, in a few words that group well; counted and listed, not stored.
    """

    name: str
    subject: str
    action: str
    camera: str
    joints3d: np.ndarray | None
    keypoints: dict[str, Keypoints]
    f: np.ndarray | None = None
    c: np.ndarray | None = None
    k: np.ndarray | None = None
    p: np.ndarray | None = None
    rotation: np.ndarray | None = None
    translation: np.ndarray | None = None
    world_up: tuple[float, float, float] = (0.0, 0.0, 1.0)
    image_size: tuple[int, int] | None = None
    frames_per_second: float = 0.0
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of frames T."""
        if self.joints3d is not None:
            return len(self.joints3d)
        return len(next(iter(self.keypoints.values())).joints) if self.keypoints else 0

    def frames(self, chosen: np.ndarray | slice) -> PoseSequence:
        """Returns the sequence with the chosen frames alone: a boolean (T,), indices or a slice."""
        return dataclasses.replace(
            self,
            joints3d=None if self.joints3d is None else self.joints3d[chosen],
            keypoints={name: points.frames(chosen) for name, points in self.keypoints.items()},
        )


@dataclasses.dataclass(frozen=True)
class SequenceSource:
    """The sequences of one dataset, ready to be read.

    Attributes:
        name: name of the dataset, such as `h36m_train`.
        count: how many items `stream` yields.
        stream: returns them in order: a sequence, or why there is none.
        notes: for every remark on the dataset the names of what it is about, such as missing recordings.
        options: what the dataset is made from, for the manifest.
        provenance: where it comes from, for the manifest.
    """

    name: str
    count: int
    stream: Callable[[], Iterable[PoseSequence | Skipped]]
    notes: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    provenance: Provenance = NOWHERE


def finite_frames(sequence: PoseSequence) -> PoseSequence | Skipped:
    """Drops frames in which a joint of any origin, or its confidence, is not finite, and notes a detector's part.

    A frame goes for all origins, even if one detector alone has failed in it: they share one count of frames, by
    which records, 3D joints and files of detections belong together, and detectors are compared on equal frames.

    Returns:
        The sequence; Skipped where no frame is left.
    """
    finite, causes = np.ones(len(sequence), bool), []
    if sequence.joints3d is not None:
        finite &= _finite(sequence.joints3d)
    for name, points in sequence.keypoints.items():
        own = _finite(points.joints)
        if points.confidence is not None:
            own &= _finite(points.confidence)
        finite &= own
        if name != GROUND_TRUTH and not own.all():
            causes.append(_CAUSE.format(name))
    if finite.all() and len(finite):
        return sequence
    if not finite.any():
        return Skipped(sequence.name, "no frame has finite joints" if len(finite) else "holds no frames")
    notes = (*sequence.notes, FRAMES_LEFT_OUT, *causes)
    return dataclasses.replace(sequence.frames(finite), notes=notes)


def _finite(array: np.ndarray) -> np.ndarray:
    """Returns for each frame whether all its numbers are finite, (T,) bool."""
    return np.isfinite(array).all(axis=tuple(range(1, array.ndim)))

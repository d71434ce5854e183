"""Whether recovered bodies could be people: measures that need no truth about the image.

- Angles outside the limits: intrinsic Euler angles of the 23 body joints, in the orders of `hpe.body.limits`,
  against the robust extremes of motion capture.
- Distance to the nearest pose of the motion capture, as the mean geodesic angle over the 23 body joints.
- Limb asymmetry: how far the lengths of left and right limbs differ.
- Implausible bones: upper and lower limbs of one side in a proportion that nobody has.
- Shape coefficients beyond 3 standard deviations.

All are the same for a body and its mirror image: people have no preferred side, whatever a recording has.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.body.limits import limits_of
from hpe.errors import SettingError, UserError
from hpe.evaluation.nearest_poses import NearestPose
from hpe.geometry.euler import rotmat_to_euler
from hpe.geometry.rotations import axis_angle_to_rotmat
from hpe.records.mocap import find_frames, read_frames

# Limits are these percentiles: a few broken frames of a recording do not widen them.
PERCENTILES = (0.1, 99.9)
# An angle is outside from this far beyond: joints that a recording never moves have limits without any width.
MARGIN = np.radians(1.0)
# Nearer than this to gimbal lock (middle angle +-90 degrees) the outer two angles are not determined.
GIMBAL = np.radians(5.0)
# Frames of motion capture that poses are compared with; twice as many poses, since mirror images count.
MAX_FRAMES = 20_000
# Shapes are unit-normal by construction.
SHAPE_LIMIT = 3.0

_SMPL = skeletons.SMPL24
_BODY = range(1, len(_SMPL))  # all joints but the root
_FLIP = np.array(_SMPL.flip)
_ORDERS = [limits_of(_SMPL.joints[joint]).order for joint in _BODY]
# Mirroring at x = 0 turns the other way about y and z.
_MIRROR = np.array([1.0, -1.0, -1.0])
# Segments of one bone: their length does not depend on the pose, as that from hip to shoulder does.
_LIMBS = (("knee", "hip"), ("ankle", "knee"), ("elbow", "shoulder"), ("wrist", "elbow"))

# Mean lengths of upper bones by lower ones: of Human3.6M, as in the geometry loss of Zhou et al. (2017).
_PROPORTIONS = {
    "leg": (("knee", "hip"), ("ankle", "knee"), 1.0086),
    "arm": (("elbow", "shoulder"), ("wrist", "elbow"), 1.1375),
}
# People differ by less than a tenth.
PROPORTION_MARGIN = 0.25


def euler_angles(rotmats) -> np.ndarray:
    """Returns the Euler angles of the body joints, about x, y and z, in the orders of `hpe.body.limits`.

    Two triples of angles name one rotation, (a, b, c) and (a + pi, pi - b, c + pi). Taken is the one with the
    smaller sum of squares, so that a joint whose middle angle passes 90 degrees goes on from there instead of
    turning its outer angles over. Outer angles lie in (-pi, pi]; the cut lies opposite the rest pose, where no
    joint of people comes. Within `GIMBAL` of gimbal lock only the sum or difference of the outer angles is
    determined: they are NaN there, and nobody judges them.

    Args:
        rotmats: (N, 24, 3, 3) rotation matrices, root first.

    Returns:
        (N, 23, 3) float64 radians.
    """
    rotmats = np.asarray(rotmats, np.float64)
    if rotmats.ndim != 4 or rotmats.shape[1:] != (len(_SMPL), 3, 3):
        raise ValueError(f"rotmats must be (N, {len(_SMPL)}, 3, 3). Received: shape={rotmats.shape}")
    angles = np.empty((len(rotmats), len(_BODY), 3))
    for place, (joint, order) in enumerate(zip(_BODY, _ORDERS, strict=True)):
        outer, middle = ["xyz".index(order[0]), "xyz".index(order[2])], "xyz".index(order[1])
        one = rotmat_to_euler(order, rotmats[:, joint])
        other = one - np.copysign(np.pi, one)
        other[:, middle] = np.copysign(np.pi, one[:, middle]) - one[:, middle]
        shorter = (other**2).sum(axis=1) < (one**2).sum(axis=1)
        chosen = np.where(shorter[:, None], other, one)
        locked = np.abs(np.abs(chosen[:, middle]) - np.pi / 2) < GIMBAL
        chosen[np.ix_(locked, outer)] = np.nan
        angles[:, place] = chosen
    return angles


class FeasibilityReference:
    """What poses of people are compared with: the extremes of motion capture, and its poses.

    Limits are taken set by set and the widest count, because some sets (HMR's jointLim) are small and recorded
    for their extremes. A left joint, the mirrored right one and, for joints in the middle, both mirror images
    share one range.

    Args:
        poses: for every set of motion capture (M, 72) axis-angle poses, root first.

    Attributes:
        low, high: (23, 3) limits of `euler_angles`, radians, without `MARGIN`; NaN where a joint is always in
            gimbal lock.
        frames: number of poses.
    """

    def __init__(self, poses: Sequence[np.ndarray]):
        sets = [_rotmats(part) for part in poses if len(part)]
        if not sets:
            raise ValueError("poses must hold at least one pose. Received none.")
        ranges = [_limits(euler_angles(rotmats)) for rotmats in sets]
        self.low = np.fmin.reduce([low for low, _ in ranges])
        self.high = np.fmax.reduce([high for _, high in ranges])
        rotmats = np.concatenate(sets)
        self.frames = len(rotmats)
        self._nearest = NearestPose(rotmats[:, 1:])

    def angles_outside(self, rotmats) -> tuple[np.ndarray, np.ndarray]:
        """Counts the angles outside the limits, and those judged.

        Args:
            rotmats: (N, 24, 3, 3) rotation matrices, root first.

        Returns:
            outside: (N,) number of angles that lie outside.
            judged: (N,) number of angles that have a limit and are determined, 69 away from gimbal lock.
        """
        angles = euler_angles(rotmats)
        outside = (angles < self.low - MARGIN) | (angles > self.high + MARGIN)
        judged = np.isfinite(angles) & np.isfinite(self.low)
        return outside.sum(axis=(1, 2)), judged.sum(axis=(1, 2))

    def nearest(self, rotmats) -> np.ndarray:
        """Returns the distance to the nearest pose or mirrored pose of the motion capture.

        Args:
            rotmats: (N, 24, 3, 3) rotation matrices, root first.

        Returns:
            (N,) mean angle over the 23 body joints, degrees.
        """
        rotmats = np.asarray(rotmats, np.float64)
        mirrored = mirror(rotmats)
        # The distance of mirrored poses is that of the poses, so the set need not be kept twice.
        both = [self._nearest.distances(poses[:, 1:]) for poses in (rotmats, mirrored)]
        return np.degrees(np.minimum(*both))


def mirror(rotmats) -> np.ndarray:
    """Returns the poses (N, 24, 3, 3) of the mirror images, left and right exchanged."""
    return np.asarray(rotmats)[:, _FLIP] * np.outer(_MIRROR, _MIRROR)


def read_poses(
    data_dir: str | os.PathLike, names: Iterable[str], *, max_frames: int = MAX_FRAMES
) -> list[np.ndarray]:
    """Reads sets of motion capture of `hpe.records.mocap`.

    Of more frames than `max_frames` evenly spaced ones are taken. Every set gets an equal share, and what small
    sets do not need goes to the others.

    Returns:
        For every set (M, 72) axis-angle poses in the order of their recordings.

    Raises:
        UserError: naming the set that is absent or the file that is damaged.
    """
    found = find_frames(data_dir, names)
    if not sum(frames.count for frames in found):
        raise SettingError("mocap_datasets", "names no frames to compare poses with.")
    limits = _shares([frames.count for frames in found], max_frames)
    return [read_frames(frames, limit=limit)[0] for frames, limit in zip(found, limits, strict=True)]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Motion capture that poses are compared with, or why there is none.

    Attributes:
        reference: the motion capture, None if there is none.
        reason: why there is none, in words.
    """

    reference: FeasibilityReference | None = None
    reason: str = "no motion capture was given to compare with"


def compare_with(data_dir: str | os.PathLike, names: Iterable[str], *, required: bool) -> Comparison:
    """Reads sets of motion capture with `read_poses` to compare poses with them.

    Args:
        data_dir: folder of the sets.
        names: names of the sets.
        required: raise what is wrong with the sets; otherwise it becomes the reason why there are none, since a run
            without a critic needs no mocap.

    Raises:
        UserError: as `read_poses`.
    """
    try:
        return Comparison(FeasibilityReference(read_poses(data_dir, names)))
    except UserError as error:
        if required:
            raise
        return Comparison(reason=str(error))


def limb_asymmetry(joints3d, skeleton: str) -> np.ndarray:
    """Compares the lengths of left and right thighs, shins, upper arms and forearms.

    Args:
        joints3d: (N, J, 3) any unit of length.
        skeleton: name of a joint set.

    Returns:
        (N,) mean over the four pairs of |left - right| / (their mean), percent; NaN where a pair has no length.
    """
    left, right = (_lengths(joints3d, skeleton, side, _LIMBS) for side in ("left", "right"))
    total = left + right
    ratio = np.divide(np.abs(left - right), 0.5 * total, out=np.full_like(total, np.nan), where=total > 0)
    return 100.0 * ratio.mean(axis=-1)


def implausible_bones(joints3d, skeleton: str) -> np.ndarray:
    """Counts limbs whose two bones stand in a proportion that nobody's do.

    Args:
        joints3d: (N, J, 3) any unit of length.
        skeleton: name of a joint set.

    Returns:
        (N,) share of the two legs and two arms whose upper bone by their lower one is more than `PROPORTION_MARGIN`
        off the mean of people, percent.
    """
    outside = []
    for upper, lower, mean in _PROPORTIONS.values():
        for side in ("left", "right"):
            one, other = _lengths(joints3d, skeleton, side, (upper, lower)).T
            off = np.abs(one - mean * other)
            outside.append(off > PROPORTION_MARGIN * mean * other)
    return 100.0 * np.mean(outside, axis=0)


def _lengths(joints3d, skeleton: str, side: str, segments) -> np.ndarray:
    """Returns the lengths (N, segments) of segments of one side of bodies (N, J, 3)."""
    joints3d, joints = np.asarray(joints3d, np.float64), skeletons.get(skeleton)
    ends = np.array([[joints.index(f"{side}_{name}") for name in segment] for segment in segments])
    return np.linalg.norm(joints3d[:, ends[:, 0]] - joints3d[:, ends[:, 1]], axis=-1)


def _rotmats(poses):
    poses = np.asarray(poses, np.float64).reshape(-1, len(_SMPL), 3)
    return ops.convert_to_numpy(axis_angle_to_rotmat(poses))


def _limits(angles):
    """Returns (23, 3) lowest and highest angles of poses (N, 23, 3) and their mirror images."""
    body_flip = _FLIP[1:] - 1
    both = np.concatenate([angles, angles[:, body_flip] * _MIRROR])
    limits = np.full((2, *both.shape[1:]), np.nan)
    known = np.isfinite(both).any(axis=0)
    limits[:, known] = np.nanpercentile(both[:, known], PERCENTILES, axis=0)
    return limits


def _shares(counts: Sequence[int], total: int) -> list[int]:
    """Divides `total` among sets, equally as far as they have so many."""
    shares = [0] * len(counts)
    for place, index in enumerate(sorted(range(len(counts)), key=counts.__getitem__)):
        shares[index] = min(counts[index], max(1, total // (len(counts) - place)))
        total -= shares[index]
    return shares

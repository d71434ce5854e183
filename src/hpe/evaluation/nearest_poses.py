"""The nearest of many poses: exact search by the mean geodesic angle between joints.

The distance of two poses is the mean over their joints of the angle of the rotation from one to the other. The
angle between unit quaternions p, q is 2 arccos |p.q|, and the arc cosine is what a search would spend its time
on. With x = 1 - |p.q| it is at least 2 sqrt(2 x) (a chord is shorter than its arc) and exceeds that by 2.6 % at
90 degrees. So the search takes the bound for all poses, from matrix products, and the angle itself only for
those few whose bound is not above the angle to the pose with the least bound.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from hpe.geometry.rotations import rotmat_to_quaternion

# Poses per matrix product: intermediate results stay in the second-level cache.
_BLOCK, _CHUNK = 64, 1024

# |p.q| in float32 is wrong by up to 3e-7, a bound of 2 sqrt(2 x) by up to 1.6e-3 rad for every joint.
_SLACK = 2e-3


class NearestPose:
    """Finds for poses the distance to the nearest of a set; ties and order do not matter.

    Args:
        rotmats: (M, J, 3, 3) rotation matrices of the set, M at least 1.
    """

    def __init__(self, rotmats):
        self._set = quaternions(rotmats)
        if not len(self._set):
            raise ValueError("rotmats must hold at least one pose. Received none.")
        self._columns = np.ascontiguousarray(self._set.transpose(1, 2, 0), np.float32)

    def __len__(self) -> int:
        return len(self._set)

    def distances(self, rotmats) -> np.ndarray:
        """Returns for poses (N, J, 3, 3) the mean angle over joints to the nearest pose, (N,) float64 radians."""
        poses = quaternions(rotmats)
        if poses.shape[1:] != self._set.shape[1:]:
            joints = self._set.shape[1]
            raise ValueError(f"rotmats must be (N, {joints}, 3, 3). Received: shape={np.shape(rotmats)}")
        blocks = [self._block(poses[start : start + _BLOCK]) for start in range(0, len(poses), _BLOCK)]
        return np.concatenate([np.zeros(0), *blocks])

    def _block(self, poses):
        bounds = self._bounds(poses)
        nearest = np.empty(len(poses))
        for row, (pose, bound) in enumerate(zip(poses, bounds, strict=True)):
            first = mean_angle(pose, self._set[bound.argmin()])
            candidates = self._set[bound <= first + _SLACK]
            nearest[row] = min(first, mean_angle(pose, candidates).min(initial=np.inf))
        return nearest

    def _bounds(self, poses):
        """Returns lower bounds (n, M) of the distances, in float32."""
        joints = np.ascontiguousarray(poses.transpose(1, 0, 2), np.float32)
        bounds = np.zeros((len(poses), len(self)), np.float32)
        for start in range(0, len(self), _CHUNK):
            total = bounds[:, start : start + _CHUNK]
            for joint, columns in zip(joints, self._columns, strict=True):
                x = joint @ columns[:, start : start + _CHUNK]
                np.abs(x, out=x)
                np.subtract(1.0, x, out=x)
                np.maximum(x, 0.0, out=x)
                np.sqrt(x, out=x)
                total += x
        bounds *= 2.0 * np.sqrt(2.0) / len(joints)
        return bounds


def mean_angle(first, second):
    """Returns the mean over joints of the angle between unit quaternions (..., J, 4), radians in [0, pi].

    As 4 arcsin(|p - q| / 2) with the nearer of q and -q, which keeps its digits at small angles.
    """
    apart = np.minimum(np.linalg.norm(first - second, axis=-1), np.linalg.norm(first + second, axis=-1))
    return 4.0 * np.arcsin(np.minimum(0.5 * apart, 1.0)).mean(axis=-1)


def quaternions(rotmats) -> np.ndarray:
    """Returns unit quaternions (..., 4), float64, of rotation matrices (..., 3, 3)."""
    return ops.convert_to_numpy(rotmat_to_quaternion(np.asarray(rotmats, np.float64)))

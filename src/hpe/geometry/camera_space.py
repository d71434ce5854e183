"""From pixels and depths from the root to the camera's space: the root's depth is found by the lengths of bones.

After the published inference code of HEMlets (Zhou et al., 2019, metric_3d.py), which tries depths of the
root for a camera of 1150 px and takes that with which the bones come out nearest to their average length.
Here the camera is whichever is known, and the last of ever finer steps far below a millimetre; the published
code's are 0.1 x 1150 mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpe.geometry.cameras import PinholeCamera, undistort

# Metres before the camera between which the root is looked for.
_NEAREST, _FARTHEST = 0.3, 60.0
# Depths tried at once, and how often: each time between the neighbours of the best.
_TRIED, _ROUNDS = 48, 4
# Metres that every joint stays before the camera.
_BEFORE = 0.05


def back_project(pixels, depths, camera: PinholeCamera, root_depth) -> np.ndarray:
    """Returns the points that a camera sees at given pixels and depths.

    Args:
        pixels: (..., J, 2) of the whole picture.
        depths: (..., J) metres from the root along the camera's axis.
        camera: its lens is undone where it is known.
        root_depth: (...) metres of the root from the camera.

    Returns:
        (..., J, 3) float64 metres, camera axes.
    """
    absolute = np.asarray(depths, np.float64) + np.asarray(root_depth, np.float64)[..., None]
    return np.concatenate([_slopes(pixels, camera) * absolute[..., None], absolute[..., None]], axis=-1)


def root_depth(
    pixels,
    depths,
    camera: PinholeCamera,
    *,
    bones: Sequence[tuple[int, int]],
    lengths: Sequence[float],
    found=None,
) -> float:
    """Finds how far away the root is: where bones are as long as they should be.

    Args:
        pixels: (J, 2) of the whole picture.
        depths: (J,) metres from the root.
        camera: of the picture.
        bones: pairs of joints.
        lengths: metres of each.
        found: (J,) bool; bones with an end that was not found do not count. None for all.

    Returns:
        The metres between `_NEAREST` and `_FARTHEST` at which the mean absolute difference of the bones' lengths is
        smallest.

    Raises:
        ValueError: no bone has two ends that were found.
    """
    depths, slopes = np.asarray(depths, np.float64), _slopes(pixels, camera)
    ends, lengths = np.asarray(bones), np.asarray(lengths, np.float64)
    if found is not None:
        known = np.asarray(found, bool)[ends].all(axis=1)
        ends, lengths = ends[known], lengths[known]
    if not len(ends):
        raise ValueError("The depth of the root needs a bone with two ends. Received: none was found")
    low, high = max(_NEAREST, _BEFORE - depths.min()), _FARTHEST

    for _ in range(_ROUNDS):
        tried = np.geomspace(low, high, _TRIED)
        absolute = (depths + tried[:, None])[..., None]
        points = np.concatenate([slopes * absolute, absolute], axis=-1)
        found_lengths = np.linalg.norm(points[:, ends[:, 0]] - points[:, ends[:, 1]], axis=-1)
        best = np.abs(found_lengths - lengths).mean(axis=1).argmin()
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, _TRIED - 1)]
    return float(tried[best])


def restore_camera_space(pixels, depths, camera: PinholeCamera, *, bones, lengths, found=None) -> np.ndarray:
    """Returns joints (J, 3) in metres before the camera; see `root_depth` for the arguments."""
    distance = root_depth(pixels, depths, camera, bones=bones, lengths=lengths, found=found)
    return back_project(pixels, depths, camera, distance)


def _slopes(pixels, camera: PinholeCamera) -> np.ndarray:
    offset = np.asarray(pixels, np.float64) - camera.center
    if camera.k is None and camera.p is None:
        return offset / camera.focal
    k, p = (np.zeros(n) if value is None else value for value, n in ((camera.k, 3), (camera.p, 2)))
    return undistort(offset, camera.focal, k, p)

"""Part-centric heat-map triplets: where the two joints of a part are, and which of them is nearer.

After Zhou et al., "HEMlets Pose: Learning Part-Centric Heatmap Triplets for Accurate 3D Human Pose
Estimation" (2019). A part has a parent and a child, and three maps. The parent's Gaussian lies in the middle
one; the child's lies there too if both are about equally far from the camera, else in the first if it is the
farther one, or the last if it is the nearer one. A picture whose 3D pose is unknown can be labelled so by
people, part by part. Parts and states are those of `hpe.skeletons.parts`, joints those of `h36m18`.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from hpe.losses.means import Mean
from hpe.networks.heatmaps import draw_heatmaps
from hpe.skeletons.parts import FARTHER, LEVEL, NEARER, PARTS, UNKNOWN

_PARENTS, _CHILDREN = np.array(PARTS).T


def part_states(depths, weight, *, tolerance: float):
    """Tells of each part which of its joints is nearer to the camera.

    Args:
        depths: (B, 18) metres along the camera's axis, from any origin; ignored where the weight is 0.
        weight: (B, 18).
        tolerance: metres up to which two joints count as equally far.

    Returns:
        (B, 14) int32: NEARER if the child is by more than the tolerance, FARTHER, LEVEL, or UNKNOWN where a joint
        is.
    """
    known = ops.convert_to_tensor(weight) > 0
    depths = ops.where(known, ops.cast(depths, "float32"), 0.0)
    nearer_by = ops.take(depths, _PARENTS, axis=1) - ops.take(depths, _CHILDREN, axis=1)
    states = ops.where(nearer_by > tolerance, NEARER, ops.where(nearer_by < -tolerance, FARTHER, LEVEL))
    both = ops.logical_and(ops.take(known, _PARENTS, axis=1), ops.take(known, _CHILDREN, axis=1))
    return ops.cast(ops.where(both, states, UNKNOWN), "int32")


def draw_triplets(joints2d, weight, states, size: int, *, sigma: float):
    """Draws what the maps of all parts should show.

    Args:
        joints2d: (B, 18, 2) normalised crop coordinates, ignored where the weight is not above 0.
        weight: (B, 18).
        states: (B, 14) of the parts, see `part_states`.
        size: cells S a side.
        sigma: standard deviation of the Gaussians in cells, see `hpe.networks.heatmaps.draw_heatmaps`.

    Returns:
        maps (B, S, S, 14, 3) float32, in the order farther, level, nearer; known (B, 14) float32: 1 for parts
        both of whose joints are drawn and whose state is known, else 0, and their maps are 0.
    """
    drawn, seen = draw_heatmaps(joints2d, weight, size, sigma=sigma)
    seen = ops.cast(seen > 0, "float32")
    states = ops.convert_to_tensor(states)
    known = ops.take(seen, _PARENTS, axis=1) * ops.take(seen, _CHILDREN, axis=1)
    known = known * ops.cast(states != UNKNOWN, "float32")
    chosen = np.array([FARTHER, LEVEL, NEARER], np.int32)
    child_in = ops.cast(ops.equal(states[..., None], chosen), "float32") * known[..., None]
    parent_in = np.array([0.0, 1.0, 0.0], np.float32) * known[..., None]
    children = ops.take(drawn, _CHILDREN, axis=3)[..., None] * child_in[:, None, None]
    parents = ops.take(drawn, _PARENTS, axis=3)[..., None] * parent_in[:, None, None]
    return children + parents, known


def triplet_sse(predicted, target, known) -> Mean:
    """Sum of squared differences over the cells of the maps of known parts, averaged over the people.

    Args:
        predicted, target: (B, S, S, 14, 3).
        known: (B, 14); parts with 0 cost nothing.

    Returns:
        Mean; its count is the number of people with a known part.
    """
    squared = ops.sum(ops.square(ops.cast(predicted, "float32") - target), axis=(1, 2, 4))
    return _over_people(squared, known)


def heatmap_sse(predicted, target, known) -> Mean:
    """The same of the heat maps (B, S, S, J) of joints, of which `known` (B, J) says who is there."""
    squared = ops.sum(ops.square(ops.cast(predicted, "float32") - target), axis=(1, 2))
    return _over_people(squared, known)


def _over_people(squared, known) -> Mean:
    known = ops.cast(ops.convert_to_tensor(known) > 0, "float32")
    return Mean(ops.sum(squared * known), ops.sum(ops.max(known, axis=1)))

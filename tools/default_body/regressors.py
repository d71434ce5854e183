"""Fits points inside the body as sparse, mirror-symmetric averages of surface vertices."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

# Pulls the weights apart: a point should not hang on three vertices only. Metres per unit of weight.
_SPREAD = 2e-3
_SUM_TO_ONE = 10.0
_CORRECTION = 3e-3


def fit_point(surfaces, targets, candidates, mirror=None, *, signed=False):
    """Finds weights that sum to 1 and carry the surface to a point in every example.

    Args:
        surfaces: (N, V, 3) surfaces of different bodies, metres.
        targets: (N, 3) where the point is on each.
        candidates: (C,) vertices that may carry weight.
        mirror: (V,) mirror image of each vertex for a point in the symmetry plane: the weights then are
            symmetric too. None for a point on one side.
        signed: after the best non-negative weights are found, allow small corrections of either sign: a joint
            can move relative to the skin in ways that no average of skin vertices follows.

    Returns:
        (V,) weights.
    """
    num_vertices = surfaces.shape[1]
    if mirror is None:
        groups = np.zeros((num_vertices, len(candidates)))
        groups[candidates, np.arange(len(candidates))] = 1.0
    else:
        pairs = np.unique(np.minimum(candidates, mirror[candidates]))
        groups = np.zeros((num_vertices, len(pairs)))
        groups[pairs, np.arange(len(pairs))] += 0.5
        groups[mirror[pairs], np.arange(len(pairs))] += 0.5
    used = np.flatnonzero(groups.any(axis=1))
    # Relative to the target, so that the sum of weights does not matter to the equations.
    relative = surfaces[:, used] - targets[:, None]
    equations = np.einsum("nvx,vg->nxg", relative, groups[used]).reshape(-1, groups.shape[1])
    equations /= np.sqrt(len(surfaces))
    rows = [equations, _SPREAD * np.eye(groups.shape[1]), np.full((1, groups.shape[1]), _SUM_TO_ONE)]
    right = np.zeros(len(equations) + groups.shape[1] + 1)
    right[-1] = _SUM_TO_ONE
    weights, _ = nnls(np.concatenate(rows), right)
    weights[weights < 1e-4 * weights.max()] = 0.0
    weights /= weights.sum()
    if signed:
        residual = -equations @ weights
        regular = np.concatenate(
            [equations, _CORRECTION * np.eye(len(weights)), np.full((1, len(weights)), 10.0)]
        )
        correction, *_ = np.linalg.lstsq(regular, np.append(residual, np.zeros(len(weights) + 1)), rcond=None)
        weights = weights + correction - correction.mean()
        weights /= weights.sum()
    return groups @ weights


def ring(vertices, point, axis, allowed, count):
    """Returns the `count` allowed vertices nearest to a point, distance along the limb counting double."""
    offset = vertices - point
    along = offset @ axis / np.linalg.norm(axis)
    distance = np.sqrt((offset**2).sum(axis=1) + 3.0 * along**2)
    distance[~allowed] = np.inf
    return np.sort(np.argsort(distance, kind="stable")[:count])


def mirrored_row(weights, mirror):
    """Returns the weights of the point on the other side."""
    return weights[mirror]

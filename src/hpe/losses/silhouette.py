"""Mesh reprojection: the exact bidirectional distance between projected vertices and a silhouette."""

from __future__ import annotations

from typing import Any

from keras import ops

from hpe.backends.nearest import nearest_between_points_and_masks
from hpe.losses.means import Mean

# Square pixels: keeps the gradient finite where a vertex lies on a pixel centre, and is far below any
# distance that matters (its root is a millionth of a pixel).
_EPSILON = 1e-12


def mesh_reprojection(points, mask, has_mask, *, measure=None) -> tuple[Mean, Any]:
    """Mean over images of the distance from mask to mesh plus the distance from mesh to mask.

    Per image: mean over mask pixels of the distance to the nearest vertex, plus mean over vertices of the
    distance to the nearest mask pixel. Images that have no mask, or an empty one, count for nothing. The
    gradient flows through the vertices of the nearest pairs; which pairs they are has none.

    Args:
        points: (B, V, 2) projected vertices, pixel coordinates x, y with pixel centres at integers.
        mask: (B, H, W), non-zero pixels are the person.
        has_mask: (B,), > 0 where the sample has a mask.
        measure: what computes the distances of the pairs; `distances_of_pairs`, or that function compiled.

    Returns:
        loss: Mean in pixels, over the images with a mask that is not empty.
        per_image: (B,) the distance of each image, 0 where it does not count.
    """
    mask = ops.cast(mask, "bool")
    counts = ops.logical_and(ops.any(mask, axis=(1, 2)), ops.convert_to_tensor(has_mask) > 0)
    # An image that does not count needs no search, and a NaN in it must not reach the others.
    mask = ops.logical_and(mask, counts[:, None, None])
    points = ops.where(counts[:, None, None], points, ops.zeros_like(points))
    mask_to_mesh, mesh_to_mask = directed_distances(points, mask, measure=measure)
    per_image = mask_to_mesh + mesh_to_mask
    return Mean(ops.sum(per_image), ops.sum(ops.cast(counts, per_image.dtype))), per_image


def directed_distances(points, mask, *, measure=None):
    """Returns both directions of the distance between points and mask.

    Args:
        points: (B, V, 2) pixel coordinates x, y.
        mask: (B, H, W), non-zero pixels belong to it.
        measure: as of `mesh_reprojection`.

    Returns:
        mask_to_points: (B,) mean over mask pixels of the distance to the nearest point, pixels.
        points_to_mask: (B,) mean over points of the distance to the nearest mask pixel, pixels.
        Both are 0 where the mask is empty.
    """
    points, mask = ops.convert_to_tensor(points), ops.cast(mask, "bool")
    pairs = nearest_between_points_and_masks(points, ops.cast(mask, "uint8"))
    return (measure or distances_of_pairs)(points, mask, *pairs)


def distances_of_pairs(points, mask, point_of_pixel, pixel_of_point):
    """Returns both directions of the distance for pairs of neighbours that are known; differentiable, no search.

    Args:
        points: (B, V, 2) pixel coordinates x, y.
        mask: (B, H, W) bool.
        point_of_pixel, pixel_of_point: (B, H * W) and (B, V) int32 of `hpe.backends.nearest`.

    Returns:
        As `directed_distances`.
    """
    batch, height, width = ops.shape(mask)
    inside = ops.reshape(mask, (batch, height * width))
    not_empty = ops.any(inside, axis=1)

    grid = ops.arange(height * width, dtype="int32")
    from_pixel = _gather(points, point_of_pixel) - _coordinates(grid, width, points.dtype)
    to_pixel = points - _coordinates(pixel_of_point, width, points.dtype)

    pixel_weights = ops.cast(inside, points.dtype)
    pixel_count = ops.maximum(ops.sum(pixel_weights, axis=1), 1.0)
    mask_to_points = ops.sum(pixel_weights * _length(from_pixel, inside), axis=1) / pixel_count
    points_to_mask = ops.mean(_length(to_pixel, not_empty[:, None]), axis=1)
    return mask_to_points, points_to_mask * ops.cast(not_empty, points.dtype)


def _length(vectors, counted):
    """Length of vectors (..., 2) with a finite gradient everywhere; those not counted yield no gradient."""
    vectors = ops.where(counted[..., None], vectors, ops.zeros_like(vectors))
    return ops.sqrt(ops.sum(ops.square(vectors), axis=-1) + _EPSILON)


def _coordinates(pixels, width, dtype):
    """Coordinates (..., 2) x, y of flat pixel indices."""
    return ops.cast(ops.stack([pixels % width, pixels // width], axis=-1), dtype)


def _gather(points, indices):
    """Takes points (B, V, 2) by indices (B, P) of their own image: (B, P, 2)."""
    batch, number = ops.shape(points)[:2]
    rows = indices + number * ops.arange(batch, dtype="int32")[:, None]
    return ops.take(ops.reshape(points, (batch * number, 2)), rows, axis=0)

"""Nearest neighbours between points and mask pixels, searched on the host: one wrapper per Keras backend.

The search yields integer indices and has no gradient; a loss gathers what they name and differentiates that.
Nothing here ever holds a pixel-by-point matrix.
"""

from __future__ import annotations

import concurrent.futures
import os

import numpy as np
from keras import ops
from scipy.spatial import cKDTree

from hpe.backends import choose


def nearest_between_points_and_masks(points, masks):
    """Finds, image by image, the nearest point of every mask pixel and the nearest mask pixel of every point.

    Exact and deterministic; works in eager code and inside tf.function and jax.jit.

    Args:
        points: (B, V, 2) float pixel coordinates x, y, where the centre of the pixel in row r and column c
            lies at (c, r). They may lie anywhere; points that are not finite are nobody's neighbour.
        masks: (B, H, W), non-zero pixels belong to the mask.

    Returns:
        point_of_pixel: (B, H * W) int32 indices into V, row by row; 0 for pixels outside the mask.
        pixel_of_point: (B, V) int32 indices row * W + column; 0 where the mask is empty.

    Raises:
        NotImplementedError: the Keras backend is neither TensorFlow, JAX nor PyTorch.
    """
    implementation = choose("the nearest-neighbour search", _IMPLEMENTATIONS)
    points, masks = ops.convert_to_tensor(points), ops.convert_to_tensor(masks)
    return implementation(ops.stop_gradient(points), masks)


def search(points, masks):
    """Does what `nearest_between_points_and_masks` does, on NumPy arrays."""
    points, masks = np.asarray(points, dtype=np.float64), np.asarray(masks) != 0
    batch, height, width = masks.shape
    point_of_pixel = np.zeros((batch, height * width), dtype=np.int32)
    pixel_of_point = np.zeros(points.shape[:2], dtype=np.int32)

    def search_image(i):
        finite = np.flatnonzero(np.isfinite(points[i]).all(axis=-1))
        pixels = np.flatnonzero(masks[i])
        if len(finite) and len(pixels):
            near = points[i, finite]
            point_of_pixel[i, pixels] = finite[_nearest_points(near, _coordinates(pixels, width))]
            pixel_of_point[i, finite] = _nearest_pixels(near, masks[i])

    # The trees work without the interpreter lock, so images are searched side by side.
    with concurrent.futures.ThreadPoolExecutor(min(max(batch, 1), os.cpu_count() or 1)) as threads:
        list(threads.map(search_image, range(batch)))
    return point_of_pixel, pixel_of_point


def _nearest_points(points, queries):
    """Returns for each query (Q, 2) the index of its nearest point."""
    # The unbalanced tree is built in half the time and answers as quickly.
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    return tree.query(queries)[1]


def _nearest_pixels(points, mask):
    """Returns for each point the flat index of its nearest mask pixel.

    The nearest of all pixel centres is the rounded point. Where that one is in the mask nothing is left to
    search. Elsewhere the nearest mask pixel has, in the direction of the point, a neighbour that is closer
    still and therefore outside the mask: it lies on the mask's border, and the border is all the tree needs.
    """
    height, width = mask.shape
    columns, rows = np.clip(np.rint(points), 0, (width - 1, height - 1)).astype(np.int64).T
    # A point outside the image is clipped to a pixel that need not be its nearest of the mask.
    inside = (np.rint(points) == np.stack([columns, rows], axis=-1)).all(axis=-1)
    nearest = rows * width + columns
    rest = np.flatnonzero(~(inside & mask[rows, columns]))
    if len(rest):
        border = np.flatnonzero(_border(mask))
        nearest[rest] = border[_nearest_points(_coordinates(border, width), points[rest])]
    return nearest


def _border(mask):
    """Returns the mask pixels that have a side neighbour outside the mask or outside the image."""
    padded = np.pad(mask, 1)
    interior = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~interior


def _coordinates(pixels, width):
    return np.stack([pixels % width, pixels // width], axis=-1).astype(np.float64)


def _with_tensorflow(points, masks):
    import tensorflow as tf

    point_of_pixel, pixel_of_point = tf.numpy_function(search, [points, masks], (tf.int32, tf.int32))
    height, width = masks.shape[1:]
    pixels = None if height is None or width is None else height * width
    point_of_pixel.set_shape((masks.shape[0], pixels))
    pixel_of_point.set_shape(points.shape[:2])
    return point_of_pixel, pixel_of_point


def _with_jax(points, masks):
    import jax

    batch, height, width = masks.shape
    shapes = (
        jax.ShapeDtypeStruct((batch, height * width), np.int32),
        jax.ShapeDtypeStruct(points.shape[:2], np.int32),
    )
    return jax.pure_callback(search, shapes, points, masks)


def _with_torch(points, masks):
    import torch

    found = search(points.detach().cpu().numpy(), masks.detach().cpu().numpy())
    return tuple(torch.from_numpy(indices).to(points.device) for indices in found)


_IMPLEMENTATIONS = {"tensorflow": _with_tensorflow, "jax": _with_jax, "torch": _with_torch}

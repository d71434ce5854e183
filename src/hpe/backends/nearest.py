"""Nearest neighbours between points and mask pixels, searched on the host: one wrapper per Keras backend.

The search yields integer indices and has no gradient; a loss gathers what they name and differentiates that.
Nothing here ever holds a pixel-by-point matrix. Compiled loops over a grid of cells do it; where sites crowd
in so few cells that these would be slow, a k-d tree finishes the image.
"""

from __future__ import annotations

import concurrent.futures

import numpy as np
from keras import ops
from scipy.spatial import cKDTree

from hpe.backends import nearest_kernels
from hpe.backends.choice import choose
from hpe.backends.threads import usable_cores

# Points and pixels that keep a thread busy for several times as long as it takes to start it.
_PER_THREAD = 60_000


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
    """Does what `nearest_between_points_and_masks` does, on NumPy arrays.

    Distances are compared in float64, whatever the points are. Memory is linear in points and pixels.
    """
    points, masks = np.asarray(points), np.asarray(masks)
    if points.dtype != np.float32:
        points = points.astype(np.float64)
    masks = masks.view(np.uint8) if masks.dtype.itemsize == 1 else (masks != 0).view(np.uint8)
    points, masks = read_only(points), read_only(masks)
    batch, height, width = masks.shape
    point_of_pixel = np.zeros((batch, height * width), dtype=np.int32)
    pixel_of_point = np.zeros(points.shape[:2], dtype=np.int32)

    def search_image(i):
        pixels, rest, border = nearest_kernels.search_image(
            points[i], masks[i], point_of_pixel[i], pixel_of_point[i]
        )
        if len(pixels):
            # Of points in one spot, which no tree can part, each query would visit all.
            distinct, identity = np.unique(points[i], axis=0, return_index=True)
            finite = np.isfinite(distinct).all(axis=-1)
            found = _nearest_by_tree(distinct[finite], _coordinates(pixels, width))
            point_of_pixel[i, pixels] = identity[finite][found]
        if len(rest):
            found = _nearest_by_tree(_coordinates(border, width), points[i, rest])
            pixel_of_point[i, rest] = border[found]

    # The kernels and the trees work without the interpreter lock, so images are searched side by side.
    useful = (points[..., 0].size + masks.size) // _PER_THREAD
    number = min(batch, usable_cores(), useful)
    if number > 1:
        with concurrent.futures.ThreadPoolExecutor(number) as threads:
            list(threads.map(search_image, range(batch)))
    else:
        for i in range(batch):
            search_image(i)
    return point_of_pixel, pixel_of_point


def read_only(array):
    """Returns a view of consecutive memory that is always read-only, so that kernels are compiled for one kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _nearest_by_tree(sites, queries):
    """Returns for each query (Q, 2) the index of its nearest site (N, 2)."""
    # The unbalanced tree is built in half the time and answers as quickly.
    return cKDTree(sites, balanced_tree=False, compact_nodes=False).query(queries)[1]


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

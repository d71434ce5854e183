"""Heat maps, one per joint: drawn around labelled joints, read back into joints, and mirrored.

Cell (x, y) of a heat map of W x H cells lies on pixel (x size / W, y size / H) of its crop, so that the normalised
coordinate of cell x is 2 x / W - 1, as it is of a pixel among `size` of them (see `hpe.geometry.cameras`). It is
the convention of HRNet's targets and of its decoding, and where the strided convolutions of its stem are centred.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from hpe.geometry.cameras import normalized_to_pixels, pixels_to_normalized

# A Gaussian is drawn as far as this many standard deviations on either side.
_REACH = 3.0

_QUARTER = 0.25


def draw_heatmaps(joints2d, weight, size: int, *, sigma: float):
    """Draws what heat maps should show: a Gaussian of height 1 around the cell that is nearest to each joint.

    HRNet's code truncates towards zero, which draws joints left of or above the map one cell too far inside.

    Args:
        joints2d: (B, J, 2) normalised crop coordinates, ignored where the weight is not above 0.
        weight: (B, J) visibility or confidence.
        size: cells S per side.
        sigma: standard deviation in cells. The Gaussian is cut off beyond a window of 3 sigma on every side.

    Returns:
        heatmaps (B, S, S, J) float32, zero for joints of weight 0; weights (B, J) float32: the given ones, but 0
        where it is not above 0, and where the window lies outside of the map.
    """
    joints2d, weight = ops.cast(joints2d, "float32"), ops.cast(weight, "float32")
    visible = weight > 0
    # The choice comes first: what stands in unlabelled joints may be anything.
    cells = ops.where(visible[..., None], normalized_to_pixels(joints2d, float(size)), 0.0)
    centres = ops.floor(cells + 0.5)
    reach = _REACH * sigma
    inside = ops.logical_and(centres >= -reach, centres <= size - 1 + reach)
    drawn = ops.logical_and(visible, ops.all(inside, axis=-1))
    distances = ops.arange(size, dtype="float32")[:, None, None] - centres[:, None]
    profiles = ops.exp(-ops.square(distances) / (2.0 * sigma**2))
    profiles = ops.where(ops.abs(distances) <= reach, profiles, 0.0)
    heatmaps = profiles[:, None, :, :, 0] * profiles[:, :, None, :, 1]
    heatmaps = heatmaps * ops.cast(drawn, "float32")[:, None, None]
    return heatmaps, ops.where(drawn, weight, 0.0)


def find_peaks(heatmaps):
    """Finds the highest cell of every map.

    Args:
        heatmaps: (B, H, W, J).

    Returns:
        cells (B, J, 2) float32, x and y, (0, 0) where nothing is above 0; heights (B, J) of the peaks.
    """
    width = heatmaps.shape[2]
    index, height = highest(_flat(heatmaps))
    x, y = index % width, index // width
    cells = ops.cast(ops.stack([x, y], axis=-1), "float32")
    return ops.where(height[..., None] > 0, cells, 0.0), height


def decode_heatmaps(heatmaps):
    """Reads joints from heat maps: the highest cell, moved by a quarter of a cell towards its higher neighbour.

    Cells beside the border are not moved, as in HRNet.

    Args:
        heatmaps: (B, S, S, J).

    Returns:
        joints2d (B, J, 2) float32, normalised crop coordinates, and confidence (B, J) float32, the height of the
        peak, at most 1. Where nothing is above 0 the joint is the corner (-1, -1), and its confidence 0.
    """
    heatmaps = ops.cast(heatmaps, "float32")
    height, width = heatmaps.shape[1:3]
    flat = _flat(heatmaps)
    index, peak = highest(flat)

    def value(offset):
        chosen = ops.clip(index + offset, 0, height * width - 1)
        return ops.take_along_axis(flat, chosen[:, None], axis=1)[:, 0]

    x, y = index % width, index // width
    slopes = ops.stack([value(1) - value(-1), value(width) - value(-width)], axis=-1)
    movable = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    cells = ops.cast(ops.stack([x, y], axis=-1), "float32")
    cells = cells + _QUARTER * ops.sign(slopes) * ops.cast(movable, "float32")[..., None]
    joints2d = ops.stack(
        [pixels_to_normalized(cells[..., 0], width), pixels_to_normalized(cells[..., 1], height)], axis=-1
    )
    found = peak > 0
    return ops.where(found[..., None], joints2d, -1.0), ops.clip(peak, 0.0, 1.0)


def mirror_heatmaps(heatmaps, flip: Sequence[int]):
    """Turns the heat maps of mirrored crops into maps of the crops themselves.

    Mirroring a crop of S pixels takes pixel p to S - 1 - p, and cell c, at stride s, to S/s - 1/s - c; reversing
    the cells takes c to S/s - 1 - c. What the two differ in, 1 - 1/s, is nearly a cell: all moves right by one,
    and the first column stays as it is.

    Args:
        heatmaps: (B, H, W, J), of mirrored crops.
        flip: permutation that exchanges left and right joints, see `hpe.skeletons.Skeleton.flip`.
    """
    mirrored = ops.flip(ops.take(heatmaps, list(flip), axis=-1), axis=2)
    return ops.concatenate([mirrored[:, :, :1], mirrored[:, :, :-1]], axis=2)


def _flat(heatmaps):
    height, width, joints = heatmaps.shape[1:]
    return ops.reshape(heatmaps, (-1, height * width, joints))


def highest(values):
    """Finds the highest of values (B, N, C) along N, of equal ones the first: indices int32 and values (B, C).

    Keras' argmax of floats reads their bits to tell 0 from -0, by an operation that neither ONNX nor LiteRT has;
    of integers it does not.
    """
    top = ops.max(values, axis=1)
    is_top = ops.cast(values >= top[:, None], "int32")
    return ops.cast(ops.argmax(is_top, axis=1), "int32"), top

"""Maps of depth, read where the joints are: against the truth where there is one, against proportions where not.

After Zhou et al., "Towards 3D Human Pose Estimation in the Wild: a Weakly-supervised Approach" (2017). Lengths are
in sides of the crop, in x and y and, by the scale of weak perspective, in depth.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from keras import ops

from hpe import skeletons
from hpe.geometry.cameras import normalized_to_pixels
from hpe.losses.means import Mean

# Zhou et al., src/lib/models/losses.py: ratios of the mean lengths of bones, by which limbs are compared.
THIGH_BY_SHIN = 1.0085885098415446
UPPER_ARM_BY_FOREARM = 1.1375361376887123

# Joints that truth and picture must share, so that the scale of the one in the other can be told.
_FEWEST_FITTED = 3
# Square metres: people whose joints lie in one line of sight have no scale.
_LEAST_SPREAD = 1e-4


@dataclasses.dataclass(frozen=True)
class BoneGroup:
    """Bones whose lengths, each times its ratio, are alike in everybody.

    Attributes:
        name: in words.
        bones: names of two joints each.
        ratios: by which their lengths are multiplied.
    """

    name: str
    bones: tuple[tuple[str, str], ...]
    ratios: tuple[float, ...]


def _limbs(name: str, joints: tuple[str, str, str], ratio: float) -> BoneGroup:
    """Two limbs of two bones each; the ratio is that of the first bone, which is the shorter one."""
    end, middle, start = joints
    bones = tuple(
        (f"{side}_{one}", f"{side}_{other}")
        for side in ("right", "left")
        for one, other in ((end, middle), (middle, start))
    )
    return BoneGroup(name, bones, (ratio, 1.0) * 2)


# The four groups of the paper. Each end has names to choose from: not all joint sets have a pelvis or a neck.
GROUPS = (
    _limbs("legs", ("ankle", "knee", "hip"), THIGH_BY_SHIN),
    _limbs("arms", ("wrist", "elbow", "shoulder"), UPPER_ARM_BY_FOREARM),
    BoneGroup("hips", (("right_hip", "pelvis"), ("left_hip", "pelvis")), (1.0, 1.0)),
    BoneGroup("shoulders", (("right_shoulder", "neck"), ("left_shoulder", "neck")), (1.0, 1.0)),
)


def read_maps(maps, joints2d, weight):
    """Reads maps in the cell of each joint.

    Args:
        maps: (B, S, S, J).
        joints2d: (B, J, 2) normalised crop coordinates, ignored where the weight is not above 0.
        weight: (B, J).

    Returns:
        values (B, J) and whether they were read, (B, J) bool: the joint is labelled and lies in the map. Elsewhere
        the value is 0 and has no gradient.
    """
    size = maps.shape[1]
    seen = ops.convert_to_tensor(weight) > 0
    # The choice comes first: what stands in unlabelled joints may be anything.
    joints2d = ops.where(seen[..., None], ops.cast(joints2d, "float32"), 0.0)
    cells = ops.cast(ops.floor(normalized_to_pixels(joints2d, float(size)) + 0.5), "int32")
    inside = ops.logical_and(seen, ops.all((cells >= 0) & (cells < size), axis=-1))
    index = ops.where(inside, cells[..., 1] * size + cells[..., 0], 0)
    flat = ops.reshape(maps, (-1, size * size, maps.shape[-1]))
    values = ops.take_along_axis(flat, index[:, None], axis=1)[:, 0]
    return ops.where(inside, values, 0.0), inside


def depth_targets(joints2d, weight2d, joints3d, weight3d, *, root: tuple[int, ...]):
    """Makes depths in sides of the crop from 3D joints, by the scale at which the crop shows them.

    The scale is that of the weak-perspective camera that takes the 3D joints nearest to the 2D joints, by least
    squares: the camera that took the picture need not be known.

    Args:
        joints2d: (B, J, 2) normalised crop coordinates.
        weight2d: (B, J).
        joints3d: (B, J, 3) metres, camera axes, turned and mirrored with the crop.
        weight3d: (B, J).
        root: indices of the joints whose middle has depth 0.

    Returns:
        depths (B, J) and whether they are known, (B, J) bool: nothing is of people without a root, or without
        enough joints that both have.
    """
    known = ops.convert_to_tensor(weight3d) > 0
    points = ops.where(known[..., None], ops.cast(joints3d, "float32"), 0.0)
    shared = ops.logical_and(known, ops.convert_to_tensor(weight2d) > 0)
    counts = ops.cast(shared, "float32")[..., None]
    count = ops.sum(counts, axis=1, keepdims=True)

    def centred(values):
        values = ops.where(shared[..., None], values, 0.0)
        return counts * (values - ops.sum(values, axis=1, keepdims=True) / ops.maximum(count, 1.0))

    space, picture = centred(points[..., :2]), centred(ops.cast(joints2d, "float32"))
    spread = ops.sum(ops.square(space), axis=(1, 2))
    scale = ops.sum(space * picture, axis=(1, 2)) / ops.maximum(spread, _LEAST_SPREAD)
    at_root = ops.take(known, list(root), axis=1)
    usable = (
        (count[:, 0, 0] >= _FEWEST_FITTED)
        & (spread >= _LEAST_SPREAD)
        & (scale > 0)
        & ops.all(at_root, axis=1)
    )
    depth = points[..., 2] - ops.mean(ops.take(points[..., 2], list(root), axis=1), axis=1, keepdims=True)
    known = ops.logical_and(known, usable[:, None])
    # Normalised coordinates count half sides.
    return ops.where(known, 0.5 * scale[:, None] * depth, 0.0), known


def depth_smooth_l1(predicted, target, known) -> Mean:
    """Smooth L1 with a turn at 1: sum of d^2 / 2 below it and |d| - 1/2 above, over the known joints of the batch.

    Args:
        predicted: (B, J).
        target: (B, J), ignored where it is not known.
        known: (B, J) bool.
    """
    size = ops.abs(ops.where(known, predicted - target, 0.0))
    costs = ops.where(size < 1.0, 0.5 * ops.square(size), size - 0.5)
    return Mean(ops.sum(costs), ops.sum(ops.cast(known, "float32")))


def bone_geometry(joints2d, depth, visible, *, skeleton: str) -> Mean:
    """How unlike the lengths of bones are that should be alike: for people of whom no depth is known.

    Of every group of `GROUPS` the lengths l_e, times their ratios, of the bones with two visible ends are compared
    with their mean E: sum_e (l_e - E)^2 / (2 n). Groups add up, and the mean is over all people of the batch, as in
    the published code. The picture is taken as it is: the gradient reaches depths alone. A bone whose ends coincide
    has a length of 0 that counts and no gradient; the published code leaves it out of the sum, but not out of E,
    which there is no loss to.

    Args:
        joints2d: (B, J, 2) true 2D joints in sides of the crop.
        depth: (B, J) predicted, in sides of the crop.
        visible: (B, J) bool; nobody of whom a depth is known has any.
        skeleton: name of the joint set.

    Returns:
        Mean over B.
    """
    indices, ratios, members = _bones(skeleton)
    first, second = indices[:, 0], indices[:, 1]

    def along(values):
        return ops.take(values, first, axis=1) - ops.take(values, second, axis=1)

    seen = ops.logical_and(ops.take(visible, first, axis=1), ops.take(visible, second, axis=1))
    flat = ops.sum(ops.square(ops.stop_gradient(along(ops.cast(joints2d, "float32")))), axis=-1)
    squared = ops.where(seen, flat + ops.square(along(depth)), 0.0)
    # The root has no slope at 0; both arms of the choice stay finite.
    long = squared > 0
    lengths = ratios * ops.where(long, ops.sqrt(ops.where(long, squared, 1.0)), 0.0)
    # (B, groups, bones)
    counts = ops.cast(seen, "float32")[:, None] * members
    number = ops.maximum(ops.sum(counts, axis=-1, keepdims=True), 1.0)
    mean = ops.sum(counts * lengths[:, None], axis=-1, keepdims=True) / number
    costs = ops.sum(counts * ops.square(lengths[:, None] - mean) / (2.0 * number), axis=(1, 2))
    return Mean(ops.sum(costs), ops.cast(ops.shape(costs)[0], "float32"))


def has_bones(skeleton: str) -> bool:
    """Whether a joint set has bones of `GROUPS`."""
    return bool(_bones(skeleton)[0].size)


@functools.cache
def _bones(skeleton: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns joints (E, 2) of all bones of a joint set, their ratios (E,) and whose they are, (groups, E)."""
    joints = skeletons.get(skeleton)
    rows = [
        (number, [joints.index(end) for end in bone], ratio)
        for number, group in enumerate(GROUPS)
        for bone, ratio in zip(group.bones, group.ratios, strict=True)
        if all(end in joints.joints for end in bone)
    ]
    members = np.array([[number == own for own, _, _ in rows] for number in range(len(GROUPS))], np.float32)
    ratios = np.array([ratio for _, _, ratio in rows], np.float32)
    return np.array([ends for _, ends, _ in rows], np.int32).reshape(-1, 2), ratios, members

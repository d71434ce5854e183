"""Errors of predicted joints, vertices and keypoints, as the published protocols define them.

Pure NumPy on batches. Distances have one value per sample, so that an average over a dataset is the average over
its samples whatever the batches were. What cannot be measured is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpe.geometry.alignment import procrustes_align
from hpe.skeletons import Skeleton

_TORSO = ("left_shoulder", "right_hip")

# What tables of PCK and PCKh list: the mean of both sides of every kind of joint. The head is the head top, as in
# HRNet's table of MPII, or the nose in sets without it.
JOINT_GROUPS = {
    "Head": ("head_top",),
    "Shoulder": ("left_shoulder", "right_shoulder"),
    "Elbow": ("left_elbow", "right_elbow"),
    "Wrist": ("left_wrist", "right_wrist"),
    "Hip": ("left_hip", "right_hip"),
    "Knee": ("left_knee", "right_knee"),
    "Ankle": ("left_ankle", "right_ankle"),
}
_HEAD_WITHOUT_TOP = ("nose",)
# MPII's protocol leaves them out of the mean.
_NOT_IN_MEAN = ("pelvis", "thorax")

# The originals report the keypoint loss with the weight that it has in training.
KEYPOINT_LOSS_SCALE = 60.0

# A similarity transform fits fewer points without error.
_FEWEST_ALIGNED = 3


def mpjpe(predicted, target, known=None, *, root: Sequence[int], joints: Sequence[int] | None = None):
    """Mean per joint position error, both poses moved so that the middle of their root joints is the origin.

    Args:
        predicted: (N, J, 3) metres.
        target: (N, J, 3) metres.
        known: (N, J), above 0 where the target joint is known; None for all.
        root: indices of the root joints, such as the pelvis or both hips.
        joints: indices of the joints that count; None for all.

    Returns:
        (N,) float64 metres; NaN where a root joint, or every joint, is unknown.
    """
    predicted, target, known = _poses(predicted, target, known)
    root, joints = np.asarray(root), _chosen(joints, predicted)
    distance = np.linalg.norm(_rooted(predicted, root) - _rooted(target, root), axis=-1)
    return np.where(known[:, root].all(axis=1), _mean(distance[:, joints], known[:, joints]), np.nan)


def n_mpjpe(predicted, target, known=None, *, root: Sequence[int], joints: Sequence[int] | None = None):
    """`mpjpe` after the best scale of every predicted pose (Rhodin et al., 2018); arguments as there."""
    predicted, target, known = _poses(predicted, target, known)
    root, joints = np.asarray(root), _chosen(joints, predicted)
    predicted, target = (_rooted(poses, root)[:, joints] for poses in (predicted, target))
    rooted, known = known[:, root].all(axis=1), known[:, joints]
    square = (known[..., None] * predicted**2).sum(axis=(1, 2))
    scale = (known[..., None] * predicted * target).sum(axis=(1, 2)) / np.where(square > 0, square, 1.0)
    distance = np.linalg.norm(predicted * scale[:, None, None] - target, axis=-1)
    return np.where(rooted, _mean(distance, known), np.nan)


def pa_mpjpe(predicted, target, known=None, *, joints: Sequence[int] | None = None, root: Sequence[int] = ()):
    """Mean per joint position error after the best similarity transform (reconstruction error).

    Args:
        predicted: (N, J, 3) metres.
        target: (N, J, 3) metres.
        known: (N, J), above 0 where the target joint is known; None for all.
        joints: indices of the joints that count, for the transform, too; None for all.
        root: changes nothing; here so that all errors of joints are called alike.

    Returns:
        (N,) float64 metres; NaN where fewer than three joints are known.
    """
    predicted, target, known = _poses(predicted, target, known)
    joints = _chosen(joints, predicted)
    predicted, target, known = predicted[:, joints], target[:, joints], known[:, joints]
    errors = np.full(len(predicted), np.nan)
    for pattern in np.unique(known, axis=0):
        if pattern.sum() < _FEWEST_ALIGNED:
            continue
        rows = np.flatnonzero((known == pattern).all(axis=1))
        goal = target[np.ix_(rows, pattern)]
        aligned = procrustes_align(predicted[np.ix_(rows, pattern)], goal)
        errors[rows] = np.linalg.norm(aligned - goal, axis=-1).mean(axis=-1)
    return errors


def pve(predicted, target):
    """Mean per vertex error without any alignment, as SPIN, VIBE and PARE compute it.

    Both meshes must come from the same body model without translation.

    Args:
        predicted: (N, V, 3) metres.
        target: (N, V, 3) metres.

    Returns:
        (N,) float64 metres.
    """
    predicted, target = _same_shape(predicted, target)
    return np.linalg.norm(predicted - target, axis=-1).mean(axis=-1)


def pck_hits(predicted, target, known, *, skeleton: Skeleton, fraction: float = 0.2):
    """Which joints lie within a fraction of the torso of their true place: LSP's PCK before averaging.

    The torso is the true distance from left shoulder to right hip.

    Args:
        predicted: (N, J, 2) any unit.
        target: (N, J, 2) same unit.
        known: (N, J), above 0 where the target joint is labelled.
        skeleton: of the J joints.
        fraction: of the torso.

    Returns:
        (N, J) float64: 1 correct and 0 wrong; NaN where the joint, or a joint that spans the torso, is not
        labelled, or the torso has no length.

    Raises:
        ValueError: if the shapes do not fit, or the skeleton has no torso.
    """
    predicted, target, known = _joints_of(predicted, target, known, skeleton)
    ends = [skeleton.index(joint) for joint in _TORSO]
    torso = np.linalg.norm(target[:, ends[0]] - target[:, ends[1]], axis=-1)
    torso = np.where(known[:, ends].all(axis=1), torso, 0)
    return _hits(predicted, target, known, torso, fraction)


def pckh_hits(predicted, target, known, head_size, *, skeleton: Skeleton, fraction: float = 0.5):
    """Which joints lie within a fraction of the head of their true place: MPII's PCKh before averaging.

    Args:
        predicted: (N, J, 2) any unit.
        target: (N, J, 2) same unit.
        known: (N, J), above 0 where the target joint is labelled.
        head_size: (N,) same unit, 0.6 of the diagonal of the head's box; 0 where it is not known.
        skeleton: of the J joints.
        fraction: of the head; 0.5 and 0.1 are usual. What HRNet's table calls Mean@0.1 is at 0.11: its curve has a
            point every 0.01, and the twelfth is taken.

    Returns:
        (N, J) float64: 1 correct and 0 wrong; NaN where the joint is not labelled or the head not known.

    Raises:
        ValueError: if the shapes do not fit.
    """
    predicted, target, known = _joints_of(predicted, target, known, skeleton)
    head_size = np.asarray(head_size, np.float64)
    if head_size.shape != predicted.shape[:1]:
        raise ValueError(f"head_size must have shape {predicted.shape[:1]}. Received: {head_size.shape}")
    return _hits(predicted, target, known, head_size, fraction)


def pck_groups(hits, judged, *, skeleton: Skeleton) -> dict[str, float]:
    """Fractions of correct joints by kind of joint, and of all joints but pelvis and thorax: a table's columns.

    Args:
        hits: (J,) how often each joint was correct.
        judged: (J,) how often it was judged.
        skeleton: of the J joints.

    Returns:
        dict of floats in [0, 1]: `Head`, `Shoulder`, `Elbow`, `Wrist`, `Hip`, `Knee`, `Ankle`, each the mean of the
        fractions of its joints, and `Mean`, the fraction over all judged joints of all samples; NaN where no joint
        could be judged.
    """
    hits, judged = np.asarray(hits, np.float64), np.asarray(judged, np.float64)
    if hits.shape != (len(skeleton),) or judged.shape != hits.shape:
        raise ValueError(
            f"hits and judged must be ({len(skeleton)},) for {skeleton.name}. "
            f"Received: {hits.shape} and {judged.shape}"
        )
    fractions = np.where(judged > 0, hits / np.maximum(judged, 1), np.nan)
    values = {}
    for name, joints in JOINT_GROUPS.items():
        present = [joint for joint in joints if joint in skeleton.joints]
        if name == "Head" and not present:
            present = [joint for joint in _HEAD_WITHOUT_TOP if joint in skeleton.joints]
        of_joints = fractions[[skeleton.index(joint) for joint in present]]
        of_joints = of_joints[np.isfinite(of_joints)]
        values[name] = float(of_joints.mean()) if len(of_joints) else float("nan")
    counts = [joint not in _NOT_IN_MEAN for joint in skeleton.joints]
    total = judged[counts].sum()
    return {**values, "Mean": float(hits[counts].sum() / total) if total else float("nan")}


def keypoint_errors(predicted, target, known):
    """Sums of absolute keypoint errors and numbers of visible coordinates, sample by sample.

    The keypoint loss is the mean over all visible coordinates together, not first per sample (TensorFlow 1's
    SUM_BY_NONZERO_WEIGHTS), so over a dataset both are added up before one is divided by the other.

    Args:
        predicted: (N, J, 2) normalised crop coordinates.
        target: (N, J, 2) normalised crop coordinates.
        known: (N, J), above 0 where the target joint is visible.

    Returns:
        (N,) float64 sum over visible joints of |dx| + |dy|, and (N,) float64 number of their coordinates.
    """
    predicted, target = _same_shape(predicted, target)
    visible = np.asarray(known) > 0
    distance = np.abs(predicted - target).sum(axis=-1)
    return np.where(visible, distance, 0.0).sum(axis=-1), 2.0 * visible.sum(axis=-1)


def _hits(predicted, target, known, unit, fraction):
    hits = np.linalg.norm(predicted - target, axis=-1) <= fraction * unit[:, None]
    return np.where(known & (unit > 0)[:, None], hits.astype(np.float64), np.nan)


def _joints_of(predicted, target, known, skeleton):
    """Returns float64 joints of a skeleton, and which of them are known."""
    predicted, target = _same_shape(predicted, target)
    known = np.asarray(known) > 0
    if predicted.ndim != 3 or known.shape != predicted.shape[:2] or known.shape[1] != len(skeleton):
        raise ValueError(
            f"joints of {skeleton.name} must be (N, {len(skeleton)}, 2) and `known` (N, {len(skeleton)}). "
            f"Received: {predicted.shape} and {known.shape}"
        )
    return predicted, target, known


def _poses(predicted, target, known):
    """Returns float64 poses, and which of their joints are known, (N, J) bool."""
    predicted, target = _same_shape(predicted, target)
    if predicted.ndim != 3:
        raise ValueError(f"joints must be (N, J, 3). Received: {predicted.shape}")
    known = np.ones(predicted.shape[:2], bool) if known is None else np.asarray(known) > 0
    if known.shape != predicted.shape[:2]:
        raise ValueError(f"known must have shape {predicted.shape[:2]}. Received: {known.shape}")
    return predicted, target, known


def _chosen(joints, poses):
    return np.arange(poses.shape[1]) if joints is None else np.asarray(joints)


def _rooted(poses, root):
    return poses - poses[:, root].mean(axis=1, keepdims=True)


def _mean(distance, known):
    count = known.sum(axis=1)
    return np.where(known, distance, 0.0).sum(axis=1) / np.where(count > 0, count, np.nan)


def _same_shape(predicted, target):
    predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if predicted.shape != target.shape:
        raise ValueError(
            "predicted and target must have the same shape. "
            f"Received: predicted={predicted.shape}, target={target.shape}"
        )
    return predicted, target

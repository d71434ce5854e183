"""Errors of predicted joints, vertices and keypoints, as the published protocols define them.

Pure NumPy on batches. Distances have one value per sample, so that an average over a dataset is the average over
its samples whatever the batches were. What cannot be measured is NaN.
"""

from __future__ import annotations

import numpy as np

from hpe import skeletons
from hpe.geometry.alignment import procrustes_align

BODY_JOINTS = len(skeletons.LSP14)
_HIPS = [skeletons.LSP14.index("right_hip"), skeletons.LSP14.index("left_hip")]
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


def mpjpe(predicted, target, weights=None):
    """Mean per joint position error with the midpoint of the hips as root: HMR's protocol on 14 joints.

    Args:
        predicted: (N, J, 3) metres; the first 14 joints are `lsp14`, as in `cocoplus19`, and only they count.
        target: (N, J, 3) metres.
        weights: (N, J), above 0 where the target joint is known; None for all.

    Returns:
        (N,) float64 metres; NaN where a hip is unknown.
    """
    predicted, target, known = _body_joints(predicted, target, weights)
    distance = np.linalg.norm(_root_aligned(predicted) - _root_aligned(target), axis=-1)
    rooted = known[:, _HIPS].all(axis=1)
    mean = np.where(known, distance, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(rooted, mean, np.nan)


def pa_mpjpe(predicted, target, weights=None):
    """Mean per joint position error after the best similarity transform (reconstruction error), on 14 joints.

    Args:
        predicted: (N, J, 3) metres; the first 14 joints are `lsp14`, as in `cocoplus19`, and only they count.
        target: (N, J, 3) metres.
        weights: (N, J), above 0 where the target joint is known; None for all.

    Returns:
        (N,) float64 metres; NaN where fewer than three joints are known.
    """
    predicted, target, known = _body_joints(predicted, target, weights)
    errors = np.full(len(predicted), np.nan)
    for sample, rows in enumerate(known):
        if rows.sum() >= _FEWEST_ALIGNED:
            goal = target[sample, rows]
            aligned = procrustes_align(predicted[sample, rows], goal)
            errors[sample] = np.linalg.norm(aligned - goal, axis=-1).mean()
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


def pck_hits(predicted, target, visibility, *, fraction=0.2, skeleton=None):
    """Which joints lie within a fraction of the torso of their true place: LSP's PCK before averaging.

    The torso is the true distance from left shoulder to right hip.

    Args:
        predicted: (N, J, 2) any unit.
        target: (N, J, 2) same unit.
        visibility: (N, J), above 0 where the target joint is labelled.
        fraction: of the torso.
        skeleton: `hpe.skeletons.Skeleton` of the J joints; None if the first 14 are `lsp14` and only they count.

    Returns:
        (N, J) float64, or (N, 14) without a skeleton: 1 correct and 0 wrong; NaN where the joint, or a joint that
        spans the torso, is not labelled, or the torso has no length.

    Raises:
        ValueError: if the shapes do not fit, or the skeleton has no torso.
    """
    predicted, target, known, skeleton = _joints_of(predicted, target, visibility, skeleton)
    ends = [skeleton.index(joint) for joint in _TORSO]
    torso = np.linalg.norm(target[:, ends[0]] - target[:, ends[1]], axis=-1)
    torso = np.where(known[:, ends].all(axis=1), torso, 0)
    return _hits(predicted, target, known, torso, fraction)


def pckh_hits(predicted, target, visibility, head_size, *, fraction=0.5, skeleton=None):
    """Which joints lie within a fraction of the head of their true place: MPII's PCKh before averaging.

    Args:
        predicted: (N, J, 2) any unit.
        target: (N, J, 2) same unit.
        visibility: (N, J), above 0 where the target joint is labelled.
        head_size: (N,) same unit, 0.6 of the diagonal of the head's box; 0 where it is not known.
        fraction: of the head; 0.5 and 0.1 are usual.
        skeleton: as for `pck_hits`.

    Returns:
        (N, J) float64, or (N, 14) without a skeleton: 1 correct and 0 wrong; NaN where the joint is not labelled or
        the head not known.

    Raises:
        ValueError: if the shapes do not fit.
    """
    predicted, target, known, _ = _joints_of(predicted, target, visibility, skeleton)
    head_size = np.asarray(head_size, np.float64)
    if head_size.shape != predicted.shape[:1]:
        raise ValueError(f"head_size must have shape {predicted.shape[:1]}. Received: {head_size.shape}")
    return _hits(predicted, target, known, head_size, fraction)


def pck_groups(hits, skeleton=skeletons.LSP14):
    """Fractions of correct joints by kind of joint, and of all joints but pelvis and thorax: a table's columns.

    Args:
        hits: (N, J) of `pck_hits` or `pckh_hits`.
        skeleton: of the J joints.

    Returns:
        dict of floats in [0, 1]: `Head`, `Shoulder`, `Elbow`, `Wrist`, `Hip`, `Knee`, `Ankle`, each the mean of the
        fractions of its joints, and `Mean`, the fraction over all judged joints of all samples; NaN where no joint
        could be judged.
    """
    hits = np.asarray(hits, np.float64)
    if hits.ndim != 2 or hits.shape[1] != len(skeleton):
        raise ValueError(f"hits must be (N, {len(skeleton)}) for {skeleton.name}. Received: {hits.shape}")
    values = {}
    for name, joints in JOINT_GROUPS.items():
        present = [joint for joint in joints if joint in skeleton.joints]
        if name == "Head" and not present:
            present = [joint for joint in _HEAD_WITHOUT_TOP if joint in skeleton.joints]
        fractions = [pck(hits[:, skeleton.index(joint)]) for joint in present]
        judged = [fraction for fraction in fractions if np.isfinite(fraction)]
        values[name] = float(np.mean(judged)) if judged else float("nan")
    counted = [index for index, joint in enumerate(skeleton.joints) if joint not in _NOT_IN_MEAN]
    return {**values, "Mean": pck(hits[:, counted])}


def pck(hits):
    """Fraction of correct joints over all judged joints of all samples.

    Args:
        hits: (N, J) of `pck_hits` or `pckh_hits`.

    Returns:
        float in [0, 1]; NaN if no joint could be judged.
    """
    hits = np.asarray(hits, np.float64)
    judged = np.isfinite(hits)
    return float(hits[judged].mean()) if judged.any() else float("nan")


def keypoint_errors(predicted, target, visibility):
    """Sums of absolute keypoint errors and numbers of visible coordinates, sample by sample.

    The keypoint loss is the mean over all visible coordinates together, not first per sample (TensorFlow 1's
    SUM_BY_NONZERO_WEIGHTS), so over a dataset both are added up before one is divided by the other.

    Args:
        predicted: (N, J, 2) normalised crop coordinates.
        target: (N, J, 2) normalised crop coordinates.
        visibility: (N, J), above 0 where visible.

    Returns:
        (N,) float64 sum over visible joints of |dx| + |dy|, and (N,) float64 number of their coordinates.
    """
    predicted, target = _same_shape(predicted, target)
    visible = np.asarray(visibility) > 0
    distance = np.abs(predicted - target).sum(axis=-1)
    return np.where(visible, distance, 0.0).sum(axis=-1), 2.0 * visible.sum(axis=-1)


def _hits(predicted, target, known, unit, fraction):
    hits = np.linalg.norm(predicted - target, axis=-1) <= fraction * unit[:, None]
    return np.where(known & (unit > 0)[:, None], hits.astype(np.float64), np.nan)


def _joints_of(predicted, target, visibility, skeleton):
    """Returns float64 joints, which of them are known, and their skeleton: `lsp14` of the first 14 if None."""
    if skeleton is None:
        return *_body_joints(predicted, target, visibility), skeletons.LSP14
    predicted, target = _same_shape(predicted, target)
    known = np.asarray(visibility) > 0
    if predicted.ndim != 3 or known.shape != predicted.shape[:2] or known.shape[1] != len(skeleton):
        raise ValueError(
            f"joints of {skeleton.name} must be (N, {len(skeleton)}, 2) and their visibility (N, {len(skeleton)}). "
            f"Received: {predicted.shape} and {known.shape}"
        )
    return predicted, target, known, skeleton


def _body_joints(predicted, target, weights):
    """Returns float64 joints of `lsp14` and which of them are known, (N, 14) bool."""
    predicted, target = _same_shape(predicted, target)
    if predicted.ndim != 3 or predicted.shape[1] < BODY_JOINTS:
        raise ValueError(
            f"joints must be (N, J, C) with at least {BODY_JOINTS} joints. Received: {predicted.shape}"
        )
    known = np.ones(predicted.shape[:2], bool) if weights is None else np.asarray(weights) > 0
    if known.shape != predicted.shape[:2]:
        raise ValueError(f"weights must have shape {predicted.shape[:2]}. Received: {known.shape}")
    return predicted[:, :BODY_JOINTS], target[:, :BODY_JOINTS], known[:, :BODY_JOINTS]


def _root_aligned(joints):
    return joints - joints[:, _HIPS].mean(axis=1, keepdims=True)


def _same_shape(predicted, target):
    predicted, target = np.asarray(predicted, np.float64), np.asarray(target, np.float64)
    if predicted.shape != target.shape:
        raise ValueError(
            "predicted and target must have the same shape. "
            f"Received: predicted={predicted.shape}, target={target.shape}"
        )
    return predicted, target

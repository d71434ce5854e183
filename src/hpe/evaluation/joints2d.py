"""Metrics of 2D joints: keypoint loss, PCK and PCKh."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hpe.evaluation import metrics
from hpe.evaluation.judged import Judged, conversion
from hpe.evaluation.measure import (
    Better,
    Family,
    MeanMeasure,
    Measure,
    Name,
    counted,
    joint_protocol,
    unmeasured,
)

_FIELDS = ("joints2d", "joints2d_weight")


class _Joints2d:
    """Brings truth and prediction to the joints of a protocol."""

    def __init__(self, name: Name):
        super().__init__()
        self.protocol = joint_protocol(name.protocol)
        self.skeleton = self.protocol.skeleton
        self.fraction = name.fraction

    def compared(self, judged: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Returns predicted and true joints (n, J, 2) in [-1, 1], and which are judged (n, J) bool.

        None where the batch has no 2D joints, or the prediction lacks joints that the protocol and the truth have.
        """
        if not judged.has(*_FIELDS):
            return None
        of_truth = conversion(judged.skeleton2d, self.skeleton, stand_ins=self.protocol.stand_ins)
        of_prediction = conversion(
            judged.prediction.skeleton, self.skeleton, stand_ins=self.protocol.stand_ins
        )
        lacking = [joint for joint in of_prediction.missing if joint not in of_truth.missing]
        if lacking:
            self.reason = f"{judged.prediction.skeleton} lacks {', '.join(lacking)}"
            return None
        known = of_truth.confidences(judged.batch["joints2d_weight"]) > 0
        return (
            of_prediction.coordinates(judged.prediction.joints2d),
            of_truth.coordinates(judged.batch["joints2d"]),
            known,
        )


class KeypointLoss(_Joints2d, MeanMeasure):
    """The hybrid HMR's keypoint loss, with its weight in training: one mean over the coordinates of all samples."""

    def statistics(self, judged: Judged) -> np.ndarray:
        """Sums of absolute differences and numbers of coordinates."""
        compared = self.compared(judged)
        if compared is None:
            return unmeasured(len(judged))
        predicted, target, known = compared
        sums, counts = metrics.keypoint_errors(predicted, target, known)
        return counted(metrics.KEYPOINT_LOSS_SCALE * sums, counts)


class CorrectKeypoints(_Joints2d, Measure):
    """PCK or PCKh: the fraction of joints within a fraction of a length of their true place."""

    def __init__(self, name: Name, hits):
        super().__init__(name)
        self._hits = hits

    def statistics(self, judged: Judged) -> np.ndarray:
        """Hits and judged joints of each joint: (n, 2J)."""
        compared = self.compared(judged)
        hits = None if compared is None else self._hits(self, judged, *compared)
        if hits is None:
            return unmeasured(len(judged), 2 * len(self.skeleton))
        known = np.isfinite(hits)
        rows = np.concatenate([np.where(known, hits, 0.0), known], axis=1)
        return np.where(known.any(axis=1, keepdims=True), rows, np.nan)

    def value(self, total: np.ndarray) -> float:
        """The fraction over all joints but pelvis and thorax."""
        return metrics.pck_groups(*np.split(total, 2), skeleton=self.skeleton)["Mean"]

    def by_joint(self, total: np.ndarray) -> Mapping[str, float]:
        """The columns of published tables: Head, Shoulder, Elbow, Wrist, Hip, Knee, Ankle."""
        groups = metrics.pck_groups(*np.split(total, 2), skeleton=self.skeleton)
        return {name: value for name, value in groups.items() if name != "Mean" and np.isfinite(value)}


def _by_torso(measure, judged, predicted, target, known):
    return metrics.pck_hits(predicted, target, known, fraction=measure.fraction, skeleton=measure.skeleton)


def _by_head(measure, judged, predicted, target, known):
    if not judged.has("head_size") or judged.size is None:
        return None
    # In pixels there, and coordinates span 2.
    heads = judged.batch["head_size"] * 2.0 / judged.size
    return metrics.pckh_hits(
        predicted, target, known, heads, fraction=measure.fraction, skeleton=measure.skeleton
    )


FAMILIES = (
    Family(
        "keypoint_loss",
        "60 x mean |x|",
        Better.LOWER,
        _FIELDS,
        ("cocoplus19", "skeleton"),
        "60 times the mean absolute difference of the labelled coordinates, crop coordinates in [-1, 1]",
        "hybrid HMR (its loss, reported with its weight)",
        KeypointLoss,
    ),
    Family(
        "pck{fraction}torso",
        "",
        Better.HIGHER,
        _FIELDS,
        ("lsp14", "skeleton"),
        "fraction of labelled joints within a fraction of the torso (left shoulder to right hip) of their place",
        "LSP's person-centric PCK, fraction 0.2",
        lambda name: CorrectKeypoints(name, _by_torso),
    ),
    Family(
        "pckh{fraction}",
        "",
        Better.HIGHER,
        (*_FIELDS, "head_size"),
        ("mpii16", "skeleton"),
        "fraction of labelled joints, pelvis and thorax left out, within a fraction of the head (0.6 of the "
        "diagonal of its box) of their place",
        "MPII's PCKh, fraction 0.5; the Mean@0.1 of HRNet's table is its pckh0.11",
        lambda name: CorrectKeypoints(name, _by_head),
    ),
)

"""Metrics of 3D joints: MPJPE, PA-MPJPE and N-MPJPE in millimetres."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from hpe.evaluation import metrics
from hpe.evaluation.judged import Judged, conversion
from hpe.evaluation.measure import (
    MILLIMETRES,
    Better,
    Family,
    MeanMeasure,
    Name,
    counted,
    joint_protocol,
    unmeasured,
)

_FIELDS = ("joints3d", "joints3d_weight")
_PROTOCOLS = ("lsp14", "h36m17", "3dpw14", "skeleton")


class JointError(MeanMeasure):
    """A mean over samples of their mean error over joints.

    Args:
        name: of the metric.
        error: of `hpe.evaluation.metrics`.
    """

    def __init__(self, name: Name, error: Callable):
        super().__init__()
        self.protocol = joint_protocol(name.protocol)
        self._error = error

    def statistics(self, judged: Judged) -> np.ndarray:
        """Errors of the samples and 1 for each; NaN where the truth lacks what the error is measured from."""
        prediction, skeleton = judged.prediction, self.protocol.skeleton
        if prediction.joints3d is None or not judged.has(*_FIELDS):
            return unmeasured(len(judged))
        stand_ins = self.protocol.stand_ins
        of_truth = conversion(judged.skeleton3d, skeleton, stand_ins=stand_ins)
        of_prediction = conversion(prediction.joints3d_skeleton, skeleton, stand_ins=stand_ins)
        joints = self.protocol.counted
        known = of_truth.confidences(judged.batch["joints3d_weight"]) > 0
        lacking = [skeleton.joints[joint] for joint in joints if not of_prediction.weights[joint]]
        if lacking:
            self.reason = f"{prediction.joints3d_skeleton} lacks {', '.join(lacking)}"
            return unmeasured(len(judged))
        errors = self._error(
            self.protocol.scaled(of_prediction.coordinates(prediction.joints3d)),
            of_truth.coordinates(judged.batch["joints3d"]),
            known,
            root=self.protocol.roots,
            joints=joints,
        )
        return counted(MILLIMETRES * errors)


FAMILIES = (
    Family(
        "mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        (*_PROTOCOLS, "bones4000"),
        "mean distance of the joints, both poses moved to their root",
        "lsp14: HMR, 14 joints from the middle of the hips, Human3.6M's standing in where truth has them; h36m17: "
        "Martinez et al. and HEMlets, 17 joints from the pelvis, which counts, too; 3dpw14: SPIN and PARE, 14 "
        "joints of Human3.6M from its pelvis; bones4000: pose-hg-3d, h36m17 after every predicted pose was scaled "
        "until its bones are 4 m long in all",
        lambda name: JointError(name, metrics.mpjpe),
    ),
    Family(
        "pa_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        _PROTOCOLS,
        "the same after the best similarity transform of every pose (reconstruction error)",
        "HMR; Human3.6M's protocol 2",
        lambda name: JointError(name, metrics.pa_mpjpe),
    ),
    Family(
        "n_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        _PROTOCOLS,
        "the same as mpjpe after the best scale of every predicted pose",
        "Rhodin et al., 2018",
        lambda name: JointError(name, metrics.n_mpjpe),
    ),
)

"""Metrics of joints that are regressed from bodies, the predicted and the true one: of 3DPW, and of the ETH course.

SPIN, VIBE and PARE take the joints of both from the vertices of their bodies, by one regressor. The course's two
programs measure something else each, which is here under names of their own, so that its numbers can be had.
"""

from __future__ import annotations

import abc
from collections.abc import Callable

import numpy as np

from hpe.evaluation import metrics
from hpe.evaluation.judged import Judged
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
from hpe.skeletons import SPIN24, SPIN49

_FIELDS = ("pose", "pose_weight", "shape", "shape_weight", "body_model")
_REGRESSED, _COURSE = "3dpw14", SPIN49.name
# Joint 0 of the course's 49, which its code calls the pelvis.
_COURSE_ROOT = (SPIN49.index("op_nose"),)


class _OfBodies(MeanMeasure, abc.ABC):
    """A mean over samples of an error between the joints of two bodies."""

    def statistics(self, judged: Judged) -> np.ndarray:
        """Errors and 1; NaN where the true body is not known, or the system has none."""
        if judged.prediction.vertices is None or not judged.has(*_FIELDS[:4]):
            return unmeasured(len(judged))
        batch, errors = judged.batch, np.full(len(judged), np.nan)
        rows = np.flatnonzero((batch["pose_weight"] > 0) & (batch["shape_weight"] > 0))
        if not len(rows) or not self.fits(judged):
            return unmeasured(len(judged))
        errors[rows] = self.errors(judged, rows)
        return counted(MILLIMETRES * errors)

    def fits(self, judged: Judged) -> bool:
        """Whether the system has what is compared; else `reason` says what it lacks."""
        return True

    @abc.abstractmethod
    def errors(self, judged: Judged, rows: np.ndarray) -> np.ndarray:
        """Returns the errors (n,) in metres of some rows, whose true body is known."""


class RegressedError(_OfBodies):
    """The error of joints that a regressor makes of the vertices of both bodies.

    Args:
        name: of the metric.
        error: of `hpe.evaluation.metrics`.
    """

    def __init__(self, name: Name, error: Callable):
        super().__init__()
        if name.protocol != _REGRESSED:
            raise ValueError(f"{name.text!r} is no metric; {name.family.name} has the protocol {_REGRESSED}.")
        self.protocol = joint_protocol(name.protocol)
        self._error = error

    def errors(self, judged: Judged, rows: np.ndarray) -> np.ndarray:
        """Compares the joints of Human3.6M of both bodies."""
        vertices = judged.system.true_vertices(*judged.true_bodies(rows))
        regressor = judged.system.body.data.keypoint_regressors[self.protocol.skeleton.name]
        return self._error(
            np.einsum("jv,nvx->njx", regressor, judged.prediction.vertices[rows]),
            np.einsum("jv,nvx->njx", regressor, vertices),
            root=self.protocol.roots,
            joints=self.protocol.counted,
        )


class CourseError(_OfBodies):
    """An error over the 49 joints of the course's bodies.

    Args:
        name: of the metric.
        error: takes predicted and true joints (n, 49, 3) and returns (n,).
    """

    def __init__(self, name: Name, error: Callable):
        super().__init__()
        if name.protocol != _COURSE:
            raise ValueError(f"{name.text!r} is no metric; {name.family.name} has the protocol {_COURSE}.")
        self._error = error

    def fits(self, judged: Judged) -> bool:
        """Only a system that predicts the 49 joints can be compared."""
        if judged.prediction.joints3d_skeleton != _COURSE or not hasattr(judged.system, "true_joints"):
            self.reason = f"needs a system that predicts {_COURSE}"
            return False
        return True

    def errors(self, judged: Judged, rows: np.ndarray) -> np.ndarray:
        """Compares the 49 joints of both bodies."""
        truth = judged.system.true_joints(*judged.true_bodies(rows))
        return self._error(judged.prediction.joints3d[rows], truth)


def mean_coordinate_error(predicted, target) -> np.ndarray:
    """Mean absolute difference of the coordinates of 24 of the 49 joints, of which nothing is a root, (n,) metres.

    The course's `evaluate.py` takes the root of squared differences one coordinate at a time, which is this and no
    distance, and calls it MPJPE.
    """
    first = len(SPIN49) - len(SPIN24)
    return np.abs(np.asarray(predicted, np.float64) - target)[:, first:].mean(axis=(1, 2))


def _course_mpjpe(predicted, target) -> np.ndarray:
    return metrics.mpjpe(predicted, target, root=_COURSE_ROOT)


FAMILIES = (
    Family(
        "body_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        (_REGRESSED,),
        "mpjpe of joints that one regressor makes of the vertices of the predicted and of the true body",
        "SPIN, VIBE and PARE on 3DPW, whose true bodies are those of men and women",
        lambda name: RegressedError(name, metrics.mpjpe),
    ),
    Family(
        "body_pa_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        (_REGRESSED,),
        "the same after the best similarity transform of every pose",
        "SPIN, VIBE and PARE on 3DPW",
        lambda name: RegressedError(name, metrics.pa_mpjpe),
    ),
    Family(
        "course_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        (_COURSE,),
        "mean distance of all 49 joints of both bodies from OpenPose's nose, which that code takes for the pelvis",
        "validation of the ETH course on human pose and shape",
        lambda name: CourseError(name, _course_mpjpe),
    ),
    Family(
        "course_pa_mpjpe",
        "mm",
        Better.LOWER,
        _FIELDS,
        (_COURSE,),
        "the same after the best similarity transform of every pose",
        "validation of the ETH course on human pose and shape",
        lambda name: CourseError(name, metrics.pa_mpjpe),
    ),
    Family(
        "course_coordinates",
        "mm",
        Better.LOWER,
        _FIELDS,
        (_COURSE,),
        "mean absolute difference of the coordinates of the last 24 joints of both bodies, without any root",
        "evaluate.py of the ETH course on human pose and shape, which calls it MPJPE",
        lambda name: CourseError(name, mean_coordinate_error),
    ),
)

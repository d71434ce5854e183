"""Metrics of bodies: vertices against the truth, and whether bodies could be people, which needs no truth."""

from __future__ import annotations

import abc

import numpy as np

from hpe.evaluation import feasibility, metrics
from hpe.evaluation.feasibility import Comparison
from hpe.evaluation.judged import Judged
from hpe.evaluation.measure import MILLIMETRES, Better, Family, MeanMeasure, Name, counted, unmeasured

BODY, MOCAP = "body", "mocap"
_FIELDS = ("pose", "pose_weight", "shape", "shape_weight", "body_model")

# Bodies that are compared with motion capture at once: the search is quicker in large blocks.
_BLOCK = 256


class VertexError(MeanMeasure):
    """The mean over samples of the mean distance of vertices."""

    def statistics(self, judged: Judged) -> np.ndarray:
        """Errors and 1; NaN where the body is not known, or of another body model."""
        vertices = judged.prediction.vertices
        if vertices is None or not judged.has(*_FIELDS[:4]):
            return unmeasured(len(judged))
        batch, errors = judged.batch, np.full(len(judged), np.nan)
        rows = np.flatnonzero((batch["pose_weight"] > 0) & (batch["shape_weight"] > 0))
        if len(rows):
            truth = judged.system.true_vertices(*judged.true_bodies(rows))
            errors[rows] = MILLIMETRES * metrics.pve(vertices[rows], truth)
        return counted(errors)


class _OfMocap(MeanMeasure):
    """Compares predicted poses with motion capture, a block at a time.

    Attributes:
        comparison: the motion capture, or why there is none.
    """

    def __init__(self, name: Name):
        super().__init__()
        self.comparison = Comparison()
        self._waiting: list[np.ndarray] = []

    def add(self, judged: Judged) -> None:
        """Keeps the poses until a block is full."""
        pose = judged.prediction.pose
        if pose is None or self.comparison.reference is None:
            self.reason = "" if pose is None else self.comparison.reason
            super().add(judged)
            return
        self._waiting.append(np.asarray(pose))
        if sum(map(len, self._waiting)) >= _BLOCK:
            self._flush()

    def rows(self) -> np.ndarray:
        """Compares what is left, too."""
        self._flush()
        return super().rows()

    def statistics(self, judged: Judged) -> np.ndarray:
        """There is nothing to compare, or nothing to compare with."""
        return unmeasured(len(judged))

    @abc.abstractmethod
    def compared(self, poses: np.ndarray) -> np.ndarray:
        """Returns the statistics of poses (n, 24, 3, 3)."""

    def _flush(self) -> None:
        if self._waiting:
            self._parts.append(self.compared(np.concatenate(self._waiting)))
            self._waiting = []


class AnglesOutside(_OfMocap):
    """The share of all joint angles that lie outside the limits of motion capture, percent."""

    def compared(self, poses: np.ndarray) -> np.ndarray:
        """Angles outside and angles judged."""
        outside, judged = self.comparison.reference.angles_outside(poses)
        return counted(100.0 * outside, judged)


class NearestPose(_OfMocap):
    """The mean over samples of the distance to the nearest pose of motion capture, degrees."""

    def compared(self, poses: np.ndarray) -> np.ndarray:
        """Distances and 1."""
        return counted(self.comparison.reference.nearest(poses))


class LimbMeasure(MeanMeasure):
    """The mean over samples of a function of their 3D joints and their joint set."""

    def __init__(self, function):
        super().__init__()
        self._function = function

    def statistics(self, judged: Judged) -> np.ndarray:
        """The function's values and 1."""
        prediction = judged.prediction
        if prediction.joints3d is None:
            return unmeasured(len(judged))
        return counted(self._function(prediction.joints3d, prediction.joints3d_skeleton))


class ShapeMeasure(MeanMeasure):
    """The mean over samples of a function of their shape coefficients."""

    def __init__(self, name: Name, function):
        super().__init__()
        self._function = function

    def statistics(self, judged: Judged) -> np.ndarray:
        """The function's values and 1."""
        shape = judged.prediction.shape
        return unmeasured(len(judged)) if shape is None else counted(self._function(np.abs(shape)))


def _beyond(size):
    return 100.0 * (size > feasibility.SHAPE_LIMIT).mean(axis=-1)


def _mean_size(size):
    return np.asarray(size, np.float64).mean(axis=-1)


FAMILIES = (
    Family(
        "pve",
        "mm",
        Better.LOWER,
        _FIELDS,
        (BODY,),
        "mean distance of the vertices of the same body model, without any alignment",
        "SPIN, VIBE, PARE",
        lambda name: VertexError(),
    ),
    Family(
        "angles_outside_limits",
        "%",
        Better.LOWER,
        (),
        (MOCAP,),
        "share of the joint angles outside the limits that motion capture keeps",
        "this project, see `hpe.evaluation.feasibility`",
        AnglesOutside,
    ),
    Family(
        "nearest_mocap_pose",
        "degrees",
        Better.LOWER,
        (),
        (MOCAP,),
        "mean angle over the joints to the nearest pose of motion capture",
        "this project, see `hpe.evaluation.feasibility`",
        NearestPose,
    ),
    Family(
        "limb_asymmetry",
        "%",
        Better.LOWER,
        (),
        (BODY,),
        "difference of the lengths of left and right thighs, shins, upper arms and forearms, by their mean",
        "this project",
        lambda name: LimbMeasure(feasibility.limb_asymmetry),
    ),
    Family(
        "implausible_bones",
        "%",
        Better.LOWER,
        (),
        (BODY,),
        "share of the legs and arms whose two bones are more than a quarter off the mean proportion of people",
        "this project",
        lambda name: LimbMeasure(feasibility.implausible_bones),
    ),
    Family(
        "shape_beyond_3",
        "%",
        Better.LOWER,
        (),
        (BODY,),
        "share of the shape coefficients beyond 3 standard deviations of people",
        "this project",
        lambda name: ShapeMeasure(name, _beyond),
    ),
    Family(
        "mean_abs_shape",
        "",
        Better.NEITHER,
        (),
        (BODY,),
        "mean size of the shape coefficients; that of people is 0.8",
        "this project",
        lambda name: ShapeMeasure(name, _mean_size),
    ),
)

"""What a metric is: a name that holds its protocol, and statistics of samples that add up.

A metric is called `family@protocol`, such as `mpjpe@lsp14`: what is measured, and on which joints or pixels. Every
metric here is a function of sums over samples (an error and its count, hits and joints judged, pixels right and
wrong), so that one pass over a dataset gives it for the whole, for every action and for every sample alike.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Callable, Mapping

import numpy as np

from hpe import skeletons
from hpe.evaluation.judged import Judged

MILLIMETRES = 1000.0


class Better(enum.Enum):
    """In which direction a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"  # such as a spread that people have, too


@dataclasses.dataclass(frozen=True)
class Family:
    """One kind of metric, whatever its protocol.

    Attributes:
        name: before the `@`; `{fraction}` in it stands for a number.
        unit: such as `mm`, or empty.
        better: in which direction it improves.
        needs: keys of the fields of a batch that it compares with.
        protocols: the usual ones, for the table of docs/evaluation.md; `skeleton` stands for any joint set.
        meaning: in one sentence.
        source: who defined it so.
        make: takes the `Name` and returns a Measure.
    """

    name: str
    unit: str
    better: Better
    needs: tuple[str, ...]
    protocols: tuple[str, ...]
    meaning: str
    source: str
    make: Callable[[Name], Measure]


@dataclasses.dataclass(frozen=True)
class Name:
    """A metric's name, taken apart.

    Attributes:
        text: all of it, such as `pck0.2torso@lsp14`.
        family: what is measured.
        protocol: behind the `@`.
        fraction: the number in the name, or None.
    """

    text: str
    family: Family
    protocol: str
    fraction: float | None = None


@dataclasses.dataclass(frozen=True)
class JointProtocol:
    """On which joints errors are measured, and from where.

    Attributes:
        skeleton: the joint set that truth and prediction are brought to.
        root: names of the joints whose middle is the origin of 3D joints.
        joints: names of the joints that count; empty for all.
        stand_ins: whether the published protocol takes other points of the body for these joints, as HMR takes
            Human3.6M's for LSP's.
        bones: pairs of joints; predictions are scaled until the lengths between them add up to `total_length`.
            Empty for predictions as they are.
        total_length: metres.
    """

    skeleton: skeletons.Skeleton
    root: tuple[str, ...]
    joints: tuple[str, ...] = ()
    stand_ins: bool = False
    bones: tuple[tuple[str, str], ...] = ()
    total_length: float = 0.0

    def scaled(self, joints3d: np.ndarray) -> np.ndarray:
        """Returns predicted joints (N, J, 3) in the size that the protocol gives them."""
        if not self.bones:
            return joints3d
        first, second = np.array([[self.skeleton.index(end) for end in bone] for bone in self.bones]).T
        total = np.linalg.norm(joints3d[:, first] - joints3d[:, second], axis=-1).sum(axis=1)
        return joints3d * (self.total_length / np.where(total > 0, total, np.nan))[:, None, None]

    @property
    def counted(self) -> np.ndarray:
        """Indices of the joints that count."""
        names = self.joints or self.skeleton.joints
        return np.array([self.skeleton.index(joint) for joint in names])

    @property
    def roots(self) -> np.ndarray:
        """Indices of the joints whose middle is the origin."""
        return np.array([self.skeleton.index(joint) for joint in self.root])


_HIPS = ("right_hip", "left_hip")
_PELVIS = ("pelvis", "mid_hip")

# Protocols that are more than all joints of a set from its pelvis.
_PROTOCOLS = {
    "lsp14": JointProtocol(skeletons.LSP14, _HIPS, stand_ins=True),
    "3dpw14": JointProtocol(
        skeletons.H36M17,
        ("pelvis",),
        tuple(joint for joint in skeletons.H36M17.joints if joint not in ("pelvis", "spine", "nose")),
    ),
    # Zhou et al., src/lib/utils/eval.py: MPII's joints as Human3.6M's, and everybody's bones are 4 m in all. Those
    # of its people are 4.5 m, so that a perfect pose has an error, too.
    "bones4000": JointProtocol(
        skeletons.H36M17,
        ("pelvis",),
        stand_ins=True,
        bones=(
            *(("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("right_hip", "pelvis")),
            *(("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("left_hip", "pelvis")),
            *(("pelvis", "spine"), ("spine", "thorax"), ("thorax", "head_top")),
            *(
                ("right_wrist", "right_elbow"),
                ("right_elbow", "right_shoulder"),
                ("right_shoulder", "thorax"),
            ),
            *(("left_wrist", "left_elbow"), ("left_elbow", "left_shoulder"), ("left_shoulder", "thorax")),
        ),
        total_length=4.0,
    ),
}


def joint_protocol(name: str) -> JointProtocol:
    """Returns a protocol of joints: one with a name of its own, or all joints of the set of that name.

    Raises:
        ValueError: there is neither.
    """
    if name in _PROTOCOLS:
        return _PROTOCOLS[name]
    skeleton = skeletons.get(name)
    pelvis = tuple(joint for joint in _PELVIS if joint in skeleton.joints)
    return JointProtocol(skeleton, pelvis[:1] or _HIPS)


class Measure(abc.ABC):
    """Gathers the statistics of one metric, batch by batch.

    Attributes:
        reason: why it cannot be measured here, in words; set by what finds out.
    """

    def __init__(self):
        self.reason = ""
        self._parts: list[np.ndarray] = []

    def add(self, judged: Judged) -> None:
        """Measures the samples of a batch."""
        self._parts.append(self.statistics(judged))

    def rows(self) -> np.ndarray:
        """Returns the statistics (N, k) of all samples so far; NaN in the first column: could not be measured."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, 1))

    @abc.abstractmethod
    def statistics(self, judged: Judged) -> np.ndarray:
        """Returns the statistics (n, k) of the samples of a batch."""

    @abc.abstractmethod
    def value(self, total: np.ndarray) -> float:
        """Returns the metric of samples from the sum (k,) of their statistics, NaN where nothing was measured."""

    def by_joint(self, total: np.ndarray) -> Mapping[str, float]:
        """Returns the metric of every kind of joint from the sum (k,) of statistics; empty where it has none."""
        return {}

    def of_samples(self, rows: np.ndarray) -> np.ndarray | None:
        """Returns the metric of every sample (N,) from their statistics, None where that says nothing."""
        return None


class MeanMeasure(Measure):
    """A mean of one number per sample, or of sums by counts that the samples bring along."""

    def value(self, total: np.ndarray) -> float:
        """Returns sum / count."""
        return float(total[0] / total[1]) if total[1] else float("nan")

    def of_samples(self, rows: np.ndarray) -> np.ndarray:
        """Returns sum / count of every sample."""
        return rows[:, 0] / np.where(rows[:, 1] > 0, rows[:, 1], np.nan)


def counted(values: np.ndarray, counts: np.ndarray | None = None) -> np.ndarray:
    """Returns statistics (n, 2) of sums (n,) and counts, 1 for each by default; NaN where there is no value."""
    values = np.asarray(values, np.float64)
    counts = np.ones(len(values)) if counts is None else np.asarray(counts, np.float64)
    known = np.isfinite(values) & (counts > 0)
    return np.where(known[:, None], np.stack([values, counts], axis=1), np.nan)


def unmeasured(count: int, columns: int = 2) -> np.ndarray:
    """Returns the statistics of samples that cannot be measured."""
    return np.full((count, columns), np.nan)

"""Joint sets by name: joint names, parents, left/right flips, and conversion between sets from the names.

A `Skeleton` is the only place where the order of joints is written down. Everything else - flip
permutations, conversion tables, drawing - follows from the names, so that no index table has to be kept
in step by hand.
"""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A named, ordered joint set.

    Attributes:
        name: short lower-case identifier, also written into records and predictions.
        joints: joint names in order; left and right joints are `left_*` and `right_*`.
        parents: for every joint the index of its parent, -1 for a root. A drawing tree.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self):
        if len(self.joints) != len(self.parents):
            raise ValueError(f"{self.name}: {len(self.joints)} joint names but {len(self.parents)} parents.")
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"{self.name}: joint names repeat. Received: joints={self.joints}")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Returns the position of `joint`; raises ValueError with the known names if there is none."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise ValueError(
                f"{self.name} has no joint {joint!r}; it has {', '.join(self.joints)}."
            ) from None

    @property
    def flip(self) -> tuple[int, ...]:
        """Permutation that exchanges left and right: `mirrored[j] = original[flip[j]]`."""
        return tuple(self.index(mirror_name(joint)) for joint in self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) index pairs of every joint that has a parent."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)


def mirror_name(joint: str) -> str:
    """Returns the name of the joint on the other side of the body; unsided names stay."""
    if joint.startswith("left_"):
        return "right_" + joint[len("left_") :]
    if joint.startswith("right_"):
        return "left_" + joint[len("right_") :]
    return joint


def _skeleton(name: str, bones: str) -> Skeleton:
    """Builds a Skeleton from lines of `joint` or `joint parent`."""
    rows = [line.split() for line in bones.strip().splitlines()]
    joints = tuple(row[0] for row in rows)
    parents = tuple(joints.index(row[1]) if len(row) > 1 else -1 for row in rows)
    return Skeleton(name, joints, parents)


# Hips hang on the shoulder of their side and the neck on the head top, as in the kinematic chain space of
# the hybrid HMR: 13 bones for 14 joints.
LSP14 = _skeleton(
    "lsp14",
    """
    right_ankle right_knee
    right_knee right_hip
    right_hip right_shoulder
    left_hip left_shoulder
    left_knee left_hip
    left_ankle left_knee
    right_wrist right_elbow
    right_elbow right_shoulder
    right_shoulder neck
    left_shoulder neck
    left_elbow left_shoulder
    left_wrist left_elbow
    neck head_top
    head_top
    """,
)

# The 19 keypoints of HMR: LSP14 and five points of the face.
COCOPLUS19 = _skeleton(
    "cocoplus19",
    """
    right_ankle right_knee
    right_knee right_hip
    right_hip right_shoulder
    left_hip left_shoulder
    left_knee left_hip
    left_ankle left_knee
    right_wrist right_elbow
    right_elbow right_shoulder
    right_shoulder neck
    left_shoulder neck
    left_elbow left_shoulder
    left_wrist left_elbow
    neck nose
    head_top
    nose head_top
    left_eye nose
    right_eye nose
    left_ear left_eye
    right_ear right_eye
    """,
)

MPII16 = _skeleton(
    "mpii16",
    """
    right_ankle right_knee
    right_knee right_hip
    right_hip pelvis
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    pelvis
    thorax pelvis
    neck thorax
    head_top neck
    right_wrist right_elbow
    right_elbow right_shoulder
    right_shoulder thorax
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    """,
)

SMPL24 = _skeleton(
    "smpl24",
    """
    pelvis
    left_hip pelvis
    right_hip pelvis
    spine1 pelvis
    left_knee left_hip
    right_knee right_hip
    spine2 spine1
    left_ankle left_knee
    right_ankle right_knee
    spine3 spine2
    left_foot left_ankle
    right_foot right_ankle
    neck spine3
    left_collar spine3
    right_collar spine3
    head neck
    left_shoulder left_collar
    right_shoulder right_collar
    left_elbow left_shoulder
    right_elbow right_shoulder
    left_wrist left_elbow
    right_wrist right_elbow
    left_hand left_wrist
    right_hand right_wrist
    """,
)

# Human3.6M, "right leg first": Martinez et al., HEMlets, the ECCV-18 challenge.
H36M17 = _skeleton(
    "h36m17",
    """
    pelvis
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    spine pelvis
    thorax spine
    nose thorax
    head_top nose
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder thorax
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
)

# What Martinez et al. lift: Human3.6M without the nose, which detectors of other joint sets lack.
H36M16 = _skeleton(
    "h36m16",
    """
    pelvis
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    spine pelvis
    thorax spine
    head_top thorax
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder thorax
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
)

COCO17 = _skeleton(
    "coco17",
    """
    nose
    left_eye nose
    right_eye nose
    left_ear left_eye
    right_ear right_eye
    left_shoulder nose
    right_shoulder nose
    left_elbow left_shoulder
    right_elbow right_shoulder
    left_wrist left_elbow
    right_wrist right_elbow
    left_hip left_shoulder
    right_hip right_shoulder
    left_knee left_hip
    right_knee right_hip
    left_ankle left_knee
    right_ankle right_knee
    """,
)

SKELETONS = {s.name: s for s in (LSP14, COCOPLUS19, MPII16, SMPL24, H36M17, H36M16, COCO17)}


def get(name: str) -> Skeleton:
    """Returns the skeleton called `name`; raises ValueError with the known names if there is none."""
    if name not in SKELETONS:
        raise ValueError(f"Unknown skeleton {name!r}; known are {', '.join(sorted(SKELETONS))}.")
    return SKELETONS[name]


# A joint that a set lacks but that lies midway between two others, which it has or which are midpoints themselves.
_MIDPOINTS = {
    "pelvis": ("left_hip", "right_hip"),
    "thorax": ("left_shoulder", "right_shoulder"),
    "spine": ("pelvis", "thorax"),
}

# A joint that another of the set stands for: Human3.6M's thorax is where the neck begins, and HMR's 14 joints take
# it for the neck.
_STAND_INS = {"neck": "thorax"}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How joints of one skeleton become those of another.

    Attributes:
        sources: (J_target, 4) int32 source indices; the target joint is the mean of these joints. All four are
            equal where the source has the joint itself, and 0 where the joint is missing.
        weights: (J_target,) float32, 1 where the target joint can be computed, else 0.
    """

    sources: np.ndarray
    weights: np.ndarray

    def coordinates(self, joints):
        """Converts coordinates (..., J_source, C) to (..., J_target, C); missing joints become 0."""
        a, b, c, d = np.moveaxis(np.asarray(joints)[..., self.sources, :], -2, 0)
        # Means of pairs, so that the mean of four equal values is exactly that value.
        mean = 0.5 * (0.5 * (a + b) + 0.5 * (c + d))
        return mean * self.weights[:, None].astype(mean.dtype)

    def confidences(self, values):
        """Converts confidences or 0/1 visibilities (..., J_source): a midpoint is as sure as its weakest end."""
        least = np.asarray(values)[..., self.sources].min(axis=-1)
        return least * self.weights.astype(least.dtype)


def convert(source: Skeleton, target: Skeleton) -> Conversion:
    """Finds every joint of `target` in `source` by name, or as the midpoint of others, or by its stand-in."""
    found = [_sources(source, joint) for joint in target.joints]
    return Conversion(
        np.array([indices or [0] * 4 for indices in found], dtype=np.int32),
        np.array([indices is not None for indices in found], np.float32),
    )


def _sources(source: Skeleton, joint: str) -> list[int] | None:
    """Returns the four joints of `source` whose mean is `joint`, or None where there is no such joint."""
    if joint not in source.joints and _STAND_INS.get(joint) in source.joints:
        joint = _STAND_INS[joint]
    if joint in source.joints:
        return [source.index(joint)] * 4
    ends = [_sources(source, end) for end in _MIDPOINTS.get(joint, ())]
    if not ends or None in ends:
        return None
    # Of two midpoints all four ends, of two joints each twice.
    return [end[place] for place in (0, 1) for end in ends]

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

SKELETONS = {s.name: s for s in (LSP14, COCOPLUS19, MPII16, SMPL24, H36M17, COCO17)}


def get(name: str) -> Skeleton:
    """Returns the skeleton called `name`; raises ValueError with the known names if there is none."""
    if name not in SKELETONS:
        raise ValueError(f"Unknown skeleton {name!r}; known are {', '.join(sorted(SKELETONS))}.")
    return SKELETONS[name]


# A joint that a set lacks but that lies midway between two it has.
_MIDPOINTS = {
    "pelvis": ("left_hip", "right_hip"),
    "thorax": ("left_shoulder", "right_shoulder"),
}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How joints of one skeleton become those of another.

    Attributes:
        first, second: (J_target,) int32 source indices; the target joint is the mean of both. They are
            equal where the source has the joint itself, and 0 where the joint is missing.
        weights: (J_target,) float32, 1 where the target joint can be computed, else 0.
    """

    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray

    def coordinates(self, joints):
        """Converts coordinates (..., J_source, C) to (..., J_target, C); missing joints become 0."""
        joints = np.asarray(joints)
        mean = 0.5 * (joints[..., self.first, :] + joints[..., self.second, :])
        return mean * self.weights[:, None].astype(mean.dtype)

    def confidences(self, values):
        """Converts confidences or 0/1 visibilities (..., J_source): a midpoint is as sure as its weaker end."""
        values = np.asarray(values)
        least = np.minimum(values[..., self.first], values[..., self.second])
        return least * self.weights.astype(least.dtype)


def convert(source: Skeleton, target: Skeleton) -> Conversion:
    """Finds every joint of `target` in `source` by name, or as the midpoint of two of its joints."""
    pairs = []
    for joint in target.joints:
        ends = (joint, joint) if joint in source.joints else _MIDPOINTS.get(joint, (joint, joint))
        pairs.append([source.joints.index(end) if end in source.joints else -1 for end in ends])
    table = np.array(pairs, dtype=np.int32)
    found = (table >= 0).all(axis=1)
    table[~found] = 0
    return Conversion(table[:, 0], table[:, 1], found.astype(np.float32))

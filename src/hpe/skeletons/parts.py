"""The bones of `h36m18`: the 14 parts of HEMlets' triplets, and how long 15 bones are on average.

After Zhou et al., "HEMlets Pose" (2019). A part has a parent and a child; their relative depth is one of four
states.
"""

from __future__ import annotations

import dataclasses

from hpe.skeletons.sets import H36M18

# Which joint of a part is nearer to the camera. FARTHER and NEARER speak of the child.
UNKNOWN, FARTHER, LEVEL, NEARER = range(4)
# Those that are known, each with a map of its own.
NUM_STATES = 3

# (parent, child), in the order in which the students' code has them; the published one does not say.
PART_NAMES = (
    *(("pelvis", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle")),
    *(("pelvis", "left_hip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle")),
    *(("pelvis", "thorax"), ("thorax", "right_shoulder")),
    *(("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist")),
    *(("thorax", "left_shoulder"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")),
    ("thorax", "head_top"),
)
PARTS = tuple((H36M18.index(parent), H36M18.index(child)) for parent, child in PART_NAMES)


def _mirrored(part: tuple[int, int]) -> tuple[int, int]:
    return H36M18.flip[part[0]], H36M18.flip[part[1]]


# The permutation that exchanges left and right parts: mirrored[p] = own[PART_FLIP[p]].
PART_FLIP = tuple(PARTS.index(_mirrored(part)) for part in PARTS)


@dataclasses.dataclass(frozen=True)
class BoneLengths:
    """How long bones are on average.

    Attributes:
        bones: pairs of joints of `h36m18`.
        metres: length of each.
    """

    bones: tuple[tuple[int, int], ...]
    metres: tuple[float, ...]


def _lengths(millimetres: dict[tuple[str, str], float]) -> BoneLengths:
    bones = tuple((H36M18.index(child), H36M18.index(parent)) for child, parent in millimetres)
    return BoneLengths(bones, tuple(length / 1000 for length in millimetres.values()))


# Of the subjects of Human3.6M: the table of the published inference code (metric_3d.py), to a tenth of a
# millimetre.
H36M_BONES = _lengths(
    {
        ("right_hip", "pelvis"): 132.9,
        ("left_hip", "pelvis"): 132.9,
        ("spine", "pelvis"): 233.5,
        ("right_knee", "right_hip"): 442.9,
        ("right_ankle", "right_knee"): 454.2,
        ("left_knee", "left_hip"): 442.9,
        ("left_ankle", "left_knee"): 454.2,
        ("right_shoulder", "thorax"): 151.0,
        ("left_shoulder", "thorax"): 151.0,
        ("nose", "thorax"): 121.1,
        ("head_top", "nose"): 115.0,
        ("right_elbow", "right_shoulder"): 278.9,
        ("right_wrist", "right_elbow"): 251.7,
        ("left_elbow", "left_shoulder"): 278.9,
        ("left_wrist", "left_elbow"): 251.7,
    }
)

# Of the default body in the joints that synthetic people have, which stand in for Human3.6M's: means over 400
# random shapes and postures. Shapes differ: a thigh's standard deviation is 28 mm.
DEFAULT_BODY_BONES = _lengths(
    {
        ("right_hip", "pelvis"): 115.1,
        ("left_hip", "pelvis"): 115.1,
        ("spine", "pelvis"): 267.9,
        ("right_knee", "right_hip"): 399.3,
        ("right_ankle", "right_knee"): 422.9,
        ("left_knee", "left_hip"): 399.3,
        ("left_ankle", "left_knee"): 422.9,
        ("right_shoulder", "thorax"): 183.2,
        ("left_shoulder", "thorax"): 183.2,
        ("nose", "thorax"): 129.7,
        ("head_top", "nose"): 129.7,
        ("right_elbow", "right_shoulder"): 246.0,
        ("right_wrist", "right_elbow"): 242.1,
        ("left_elbow", "left_shoulder"): 246.0,
        ("left_wrist", "left_elbow"): 242.1,
    }
)

"""Joint sets by name, their left/right flips, and conversion between sets.

A `Skeleton` is the only place where the order of joints is written down. Everything else - flip permutations,
conversion tables, drawing - follows from the names of its joints and from the points of the body that they are, so
that no index table has to be kept in step by hand.
"""

from hpe.skeletons.conversion import Conversion, Match, convert, has_table
from hpe.skeletons.sets import (
    BLAZEPOSE33,
    COCO17,
    COCOPLUS19,
    H36M16,
    H36M17,
    H36M17_LEFT,
    H36M18,
    HALPE26,
    LSP14,
    MPI_INF_3DHP17,
    MPI_INF_3DHP28,
    MPII16,
    OCCLUSION_PERSON15,
    OPENPOSE18,
    OPENPOSE25,
    SKELETONS,
    SMPL24,
    SPIN24,
    SPIN49,
    get,
    register,
)
from hpe.skeletons.skeleton import Skeleton, mirror_name

__all__ = [
    "BLAZEPOSE33",
    "COCO17",
    "COCOPLUS19",
    "H36M16",
    "H36M17",
    "H36M17_LEFT",
    "H36M18",
    "HALPE26",
    "LSP14",
    "MPII16",
    "MPI_INF_3DHP17",
    "MPI_INF_3DHP28",
    "OCCLUSION_PERSON15",
    "OPENPOSE18",
    "OPENPOSE25",
    "SKELETONS",
    "SMPL24",
    "SPIN24",
    "SPIN49",
    "Conversion",
    "Match",
    "Skeleton",
    "convert",
    "get",
    "has_table",
    "mirror_name",
    "register",
]

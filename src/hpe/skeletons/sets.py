"""The joint sets of datasets, detectors and body models, by name.

This is the only place where the order of joints is written down. A line is `joint`, `joint parent`, and where the
joint is another point of the body than others call so, `joint=point`.
"""

from __future__ import annotations

from hpe.skeletons.skeleton import Skeleton


def _skeleton(
    name: str, bones: str, *, definition: str = "", aliases: tuple[tuple[str, str], ...] = ()
) -> Skeleton:
    """Builds a Skeleton from lines of `joint[=point] [parent]`; `definition` is that of points ending in `@`."""
    rows = [line.split() for line in bones.strip().splitlines()]
    joints, points = [], []
    for first, *_ in rows:
        joint, _, point = first.partition("=")
        joints.append(joint)
        point = f"{joint}{point}" if point.startswith("@") else point or joint
        points.append(point + definition if point.endswith("@") else point)
    parents = tuple(joints.index(row[1]) if len(row) > 1 else -1 for row in rows)
    return Skeleton(name, tuple(joints), parents, tuple(points), aliases)


# Hips hang on the shoulder of their side and the neck on the head top, as in the kinematic chain space of
# the hybrid HMR: 13 bones for 14 joints. The neck is the upper end of it, as in MPII.
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

# `thorax` lies between the shoulders, `neck` is the upper end of the neck.
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
    aliases=(("upper_neck", "neck"),),
)

# The joints that SMPL's skinning turns about, which are also those of 3DPW's `jointPositions`.
SMPL24 = _skeleton(
    "smpl24",
    """
    pelvis=@
    left_hip=@ pelvis
    right_hip=@ pelvis
    spine1=@ pelvis
    left_knee left_hip
    right_knee right_hip
    spine2=@ spine1
    left_ankle left_knee
    right_ankle right_knee
    spine3=@ spine2
    left_foot=@ left_ankle
    right_foot=@ right_ankle
    neck=@ spine3
    left_collar=@ spine3
    right_collar=@ spine3
    head=@ neck
    left_shoulder left_collar
    right_shoulder right_collar
    left_elbow left_shoulder
    right_elbow right_shoulder
    left_wrist left_elbow
    right_wrist right_elbow
    left_hand=@ left_wrist
    right_hand=@ right_wrist
    """,
    definition="smpl",
)

# Human3.6M, "right leg first": Martinez et al., HEMlets, the ECCV-18 challenge. `thorax` is where the neck begins,
# `nose` what the release calls Neck/Nose, `head_top` its Head.
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
    spine=@ pelvis
    thorax=@ spine
    nose=@ thorax
    head_top=@ nose
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder thorax
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
    definition="h36m",
)

# The same, "left leg first": the order of the regressor that SPIN, VIBE and PARE ship.
H36M17_LEFT = _skeleton(
    "h36m17_left",
    """
    pelvis
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    spine=@ pelvis
    thorax=@ spine
    nose=@ thorax
    head_top=@ nose
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder thorax
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
    definition="h36m",
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
    spine=@ pelvis
    thorax=@ spine
    head_top=@ thorax
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder thorax
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
    definition="h36m",
)

# HEMlets: the 17 and the point between the shoulders.
H36M18 = _skeleton(
    "h36m18",
    """
    pelvis
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    spine=@ pelvis
    thorax=@ spine
    nose=@ thorax
    head_top=@ nose
    left_shoulder mid_shoulders
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder mid_shoulders
    right_elbow right_shoulder
    right_wrist right_elbow
    mid_shoulders thorax
    """,
    definition="h36m",
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

# AlphaPose's 26 of Halpe: COCO's 17, the top of the head, neck, hips' middle and the feet.
HALPE26 = _skeleton(
    "halpe26",
    """
    nose neck
    left_eye nose
    right_eye nose
    left_ear left_eye
    right_ear right_eye
    left_shoulder neck
    right_shoulder neck
    left_elbow left_shoulder
    right_elbow right_shoulder
    left_wrist left_elbow
    right_wrist right_elbow
    left_hip mid_hip
    right_hip mid_hip
    left_knee left_hip
    right_knee right_hip
    left_ankle left_knee
    right_ankle right_knee
    head_top=@ nose
    neck=@ mid_hip
    mid_hip=mid_hips
    left_big_toe left_ankle
    right_big_toe right_ankle
    left_small_toe left_big_toe
    right_small_toe right_big_toe
    left_heel left_ankle
    right_heel right_ankle
    """,
    definition="halpe",
)

# What OpenPose finds is kept apart from what people marked, as SPIN does; its neck is the middle of the shoulders.
OPENPOSE25 = _skeleton(
    "openpose25",
    """
    nose=@ neck
    neck=mid_shoulders@ mid_hip
    right_shoulder=@ neck
    right_elbow=@ right_shoulder
    right_wrist=@ right_elbow
    left_shoulder=@ neck
    left_elbow=@ left_shoulder
    left_wrist=@ left_elbow
    mid_hip=mid_hips@
    right_hip=@ mid_hip
    right_knee=@ right_hip
    right_ankle=@ right_knee
    left_hip=@ mid_hip
    left_knee=@ left_hip
    left_ankle=@ left_knee
    right_eye=@ nose
    left_eye=@ nose
    right_ear=@ right_eye
    left_ear=@ left_eye
    left_big_toe=@ left_ankle
    left_small_toe=@ left_big_toe
    left_heel=@ left_ankle
    right_big_toe=@ right_ankle
    right_small_toe=@ right_big_toe
    right_heel=@ right_ankle
    """,
    definition="openpose",
)

# The older output without feet and middle of the hips: 3DPW's `poses2d`.
OPENPOSE18 = _skeleton(
    "openpose18",
    """
    nose=@ neck
    neck=mid_shoulders@
    right_shoulder=@ neck
    right_elbow=@ right_shoulder
    right_wrist=@ right_elbow
    left_shoulder=@ neck
    left_elbow=@ left_shoulder
    left_wrist=@ left_elbow
    right_hip=@ neck
    right_knee=@ right_hip
    right_ankle=@ right_knee
    left_hip=@ neck
    left_knee=@ left_hip
    left_ankle=@ left_knee
    right_eye=@ nose
    left_eye=@ nose
    right_ear=@ right_eye
    left_ear=@ left_eye
    """,
    definition="openpose",
)

# The joints that SPIN and PARE keep of datasets' truth: LSP's, MPII's, Human3.6M's and COCO's side by side.
SPIN24 = _skeleton(
    "spin24",
    """
    right_ankle right_knee
    right_knee right_hip
    right_hip pelvis
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    right_wrist right_elbow
    right_elbow right_shoulder
    right_shoulder thorax
    left_shoulder thorax
    left_elbow left_shoulder
    left_wrist left_elbow
    neck thorax
    head_top neck
    pelvis
    thorax spine
    spine=spine@h36m pelvis
    jaw=nose@h36m neck
    head=head_top@h36m jaw
    nose jaw
    left_eye nose
    right_eye nose
    left_ear left_eye
    right_ear right_eye
    """,
)


def _side_by_side(name: str, first: Skeleton, second: Skeleton, *, prefix: str) -> Skeleton:
    """Joins two sets; names of the first get a prefix."""
    return Skeleton(
        name,
        tuple(prefix + joint for joint in first.joints) + second.joints,
        first.parents + tuple(parent + len(first) if parent >= 0 else -1 for parent in second.parents),
        first.points + second.points,
    )


# SPIN's and PARE's 49: OpenPose's 25, and the 24 of datasets' truth.
SPIN49 = _side_by_side("spin49", OPENPOSE25, SPIN24, prefix="op_")

# MPI-INF-3DHP's 28 of the training sequences.
MPI_INF_3DHP28 = _skeleton(
    "mpi_inf_3dhp28",
    """
    spine3=@ spine2
    spine4=@ spine3
    spine2=@ spine
    spine=@ pelvis
    pelvis
    neck=@ spine4
    head=@ neck
    head_top=@ head
    left_clavicle=@ spine4
    left_shoulder left_clavicle
    left_elbow left_shoulder
    left_wrist left_elbow
    left_hand=@ left_wrist
    right_clavicle=@ spine4
    right_shoulder right_clavicle
    right_elbow right_shoulder
    right_wrist right_elbow
    right_hand=@ right_wrist
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    left_foot=@ left_ankle
    left_toe=@ left_foot
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    right_foot=@ right_ankle
    right_toe=@ right_foot
    """,
    definition="mpi_inf_3dhp",
)

# And the 17 of its test sequences.
MPI_INF_3DHP17 = _skeleton(
    "mpi_inf_3dhp17",
    """
    head_top=@ head
    neck=@ spine
    right_shoulder neck
    right_elbow right_shoulder
    right_wrist right_elbow
    left_shoulder neck
    left_elbow left_shoulder
    left_wrist left_elbow
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    pelvis
    spine=@ pelvis
    head=@ neck
    """,
    definition="mpi_inf_3dhp",
)

# Occlusion-Person's: a rig of rendered people.
OCCLUSION_PERSON15 = _skeleton(
    "occlusion_person15",
    """
    pelvis
    right_hip pelvis
    right_knee right_hip
    right_ankle right_knee
    left_hip pelvis
    left_knee left_hip
    left_ankle left_knee
    belly=@ pelvis
    neck=@ belly
    left_shoulder neck
    left_elbow left_shoulder
    left_wrist left_elbow
    right_shoulder neck
    right_elbow right_shoulder
    right_wrist right_elbow
    """,
    definition="occlusion_person",
)

# MediaPipe's BlazePose.
BLAZEPOSE33 = _skeleton(
    "blazepose33",
    """
    nose
    left_eye_inner nose
    left_eye left_eye_inner
    left_eye_outer left_eye
    right_eye_inner nose
    right_eye right_eye_inner
    right_eye_outer right_eye
    left_ear left_eye_outer
    right_ear right_eye_outer
    left_mouth
    right_mouth
    left_shoulder
    right_shoulder
    left_elbow left_shoulder
    right_elbow right_shoulder
    left_wrist left_elbow
    right_wrist right_elbow
    left_pinky left_wrist
    right_pinky right_wrist
    left_index left_wrist
    right_index right_wrist
    left_thumb left_wrist
    right_thumb right_wrist
    left_hip left_shoulder
    right_hip right_shoulder
    left_knee left_hip
    right_knee right_hip
    left_ankle left_knee
    right_ankle right_knee
    left_heel left_ankle
    right_heel right_ankle
    left_foot_index left_heel
    right_foot_index right_heel
    """,
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        *(LSP14, COCOPLUS19, MPII16, SMPL24, H36M17, H36M16, COCO17),
        *(H36M17_LEFT, H36M18, HALPE26, OPENPOSE25, OPENPOSE18, SPIN24, SPIN49),
        *(MPI_INF_3DHP28, MPI_INF_3DHP17, OCCLUSION_PERSON15, BLAZEPOSE33),
    )
}


def get(name: str) -> Skeleton:
    """Returns the skeleton called `name`; raises ValueError with the known names if there is none."""
    if name not in SKELETONS:
        raise ValueError(f"Unknown skeleton {name!r}; known are {', '.join(sorted(SKELETONS))}.")
    return SKELETONS[name]


def register(skeleton: Skeleton) -> None:
    """Adds the joint set of another package; raises ValueError if another one has its name."""
    if SKELETONS.setdefault(skeleton.name, skeleton) != skeleton:
        raise ValueError(f"There is a skeleton called {skeleton.name!r} already.")

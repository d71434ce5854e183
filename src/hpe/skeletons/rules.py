"""Which points of the body may stand for which others, how far off they are, and what published tables make of it.

Biases are medians over 34,975 frames of Human3.6M (S1, S5, S9, every fifth recording): joints of the release
projected into the picture against MPII's joints as Stacked Hourglass finds them, in metres at the person's
distance. The same measure gives 0.03 m for shoulders, elbows, wrists and knees, 0.05 m for hips and ankles, which
every published table takes for the same joints; so the detector's own error is part of it.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Rule:
    """One way to get a point of the body from others.

    Attributes:
        target: the point.
        sources: the point that stands for it, or the two in whose middle it is taken to lie.
        exact: whether that is what the point is by definition.
        bias: metres that the two are apart; None where it was not measured.
        why: in words.
    """

    target: str
    sources: tuple[str, ...]
    exact: bool = False
    bias: float | None = None
    why: str = ""


_SHOULDERS = ("left_shoulder", "right_shoulder")
_HIPS = ("left_hip", "right_hip")

# The first rule for a point whose sources are there holds.
RULES = (
    Rule("mid_shoulders", _SHOULDERS, exact=True, why="by definition"),
    Rule("mid_hips", _HIPS, exact=True, why="by definition"),
    Rule("mid_hips", ("pelvis",), bias=0.04, why="MPII's is marked by people"),
    Rule("mid_hips", ("pelvis@smpl",), why="as SPIN takes it"),
    Rule("pelvis", ("mid_hips",), bias=0.04, why="exact for Human3.6M; MPII's is marked by people"),
    Rule("pelvis", _HIPS, bias=0.04, why="exact for Human3.6M; MPII's is marked by people"),
    Rule("pelvis", ("pelvis@smpl",), why="the joint of the skin, not of the eye"),
    Rule("pelvis@smpl", ("pelvis",), why="the joint of the skin, not of the eye"),
    Rule("pelvis@smpl", _HIPS, why="the joint of the skin, not of the eye"),
    *(
        Rule(target, (source,), why="SPIN keeps SMPL's hip and the marked one apart")
        for hip in _HIPS
        for target, source in ((hip, f"{hip}@smpl"), (f"{hip}@smpl", hip))
    ),
    # The trunk's upper end. MPII's thorax is the middle of the shoulders, Human3.6M's is where the neck begins.
    Rule("thorax", ("mid_shoulders",), bias=0.02, why="marked between the shoulders"),
    Rule("thorax", _SHOULDERS, bias=0.02, why="marked between the shoulders"),
    Rule("thorax", ("thorax@h36m",), bias=0.06, why="where the neck begins, above it"),
    Rule("thorax@h36m", ("neck",), bias=0.03, why="MPII's upper neck, a little above"),
    Rule("thorax@h36m", ("neck@mpi_inf_3dhp",), why="both serve LSP's neck in SPIN"),
    Rule("thorax@h36m", ("neck@smpl",), why="where the neck begins"),
    Rule("thorax@h36m", ("thorax",), bias=0.06, why="between the shoulders, below"),
    Rule("thorax@h36m", ("neck@halpe",), why="not the same mark"),
    Rule("thorax@h36m", ("neck@occlusion_person",), why="where the neck of the rig begins"),
    Rule("thorax@h36m", ("mid_shoulders",), bias=0.06, why="below"),
    Rule("thorax@h36m", _SHOULDERS, bias=0.06, why="below"),
    Rule("neck", ("thorax@h36m",), bias=0.03, why="a little below; HMR's, SPIN's and pose-hg-3d's tables"),
    Rule("neck", ("neck@mpi_inf_3dhp",), why="HMR's and SPIN's tables"),
    Rule("neck", ("neck@smpl",), why="where the neck begins"),
    Rule("neck", ("neck@halpe",), why="not the same mark"),
    Rule("neck", ("neck@occlusion_person",), why="where the neck of the rig begins"),
    # The head.
    Rule("head_top", ("head_top@h36m",), bias=0.11, why="lower; HMR's, SPIN's and pose-hg-3d's tables"),
    Rule("head_top", ("head_top@mpi_inf_3dhp",), why="HMR's and SPIN's tables"),
    Rule("head_top", ("head_top@halpe",), why="not the same mark"),
    Rule("head_top@h36m", ("head_top@mpi_inf_3dhp",), why="SPIN's table"),
    Rule("head_top@h36m", ("head_top",), bias=0.11, why="higher; pose-hg-3d's table"),
    Rule("head_top@h36m", ("head_top@halpe",), why="not the same mark"),
    Rule("nose@h36m", ("head@mpi_inf_3dhp",), why="SPIN's table"),
    Rule("nose@h36m", ("thorax@h36m", "head_top@h36m"), bias=0.08, why="pose-hg-3d's table"),
    # The trunk.
    Rule("spine@h36m", ("spine@mpi_inf_3dhp",), why="SPIN's table"),
    Rule("spine@h36m", ("spine2@smpl",), why="the nearest joint of the skin"),
    Rule("spine@h36m", ("belly@occlusion_person",), why="the middle of the rig's trunk"),
    Rule("spine@h36m", ("pelvis", "thorax@h36m"), bias=0.03, why="pose-hg-3d's table"),
    # Feet.
    *(
        Rule(f"{side}_{target}", (f"{side}_{source}",), why=why)
        for side in ("left", "right")
        for target, source, why in (
            ("foot_index", "big_toe", "the tip of the toes"),
            ("big_toe", "foot_index", "the tip of the toes"),
            ("big_toe", "toe@mpi_inf_3dhp", "the tip of the toes"),
        )
    ),
)

# What OpenPose finds may stand for what people marked in COCO, which it has learnt, but not the other way round.
DETECTED = "@openpose"
DETECTED_WHY = "found by OpenPose, not marked"


# Published tables that differ from what the rules give, by their name, source and target set: `target source`, two
# sources for a midpoint, none for a joint that is left out. Joints that are not named are found by the rules.
TABLES: dict[str, dict[tuple[str, str], str]] = {
    # Zhou et al., pose-hg-3d, src/lib/datasets/h36m.py: MPII's thorax learns Human3.6M's spine, 0.19 m below.
    "pose_hg_3d": {
        ("h36m17", "mpii16"): "thorax spine",
        ("h36m18", "mpii16"): "thorax spine",
        ("h36m17_left", "mpii16"): "thorax spine",
    },
    # Kolotouros et al., SPIN, datasets/preprocess: what a dataset does not mark stays empty.
    "spin": {
        ("h36m17", "spin24"): "head_top; thorax",
        ("h36m17_left", "spin24"): "head_top; thorax",
        ("mpi_inf_3dhp28", "spin24"): "head_top; thorax",
        ("mpi_inf_3dhp17", "spin24"): "head_top; thorax",
        ("lsp14", "spin24"): "pelvis; thorax; spine; jaw; head",
        ("mpii16", "spin24"): "spine; jaw; head",
        ("coco17", "spin24"): "pelvis; thorax; spine; jaw; head",
    },
}

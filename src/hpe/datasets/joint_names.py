"""Joints by the names that annotation tools, detectors and people give them.

`left_shoulder`, `LShoulder`, `shoulder-left`, `Left Shoulder` and `l.sho` are one joint. A name that is not
understood is nobody's: position and count say nothing of what a joint is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hpe import skeletons

# Joint sets that annotations are brought into, the first that has all joints of a file is taken.
_TARGETS = (
    skeletons.COCO17,
    skeletons.LSP14,
    skeletons.MPII16,
    skeletons.OPENPOSE18,
    skeletons.COCOPLUS19,
    skeletons.H36M17,
    skeletons.OPENPOSE25,
    skeletons.HALPE26,
    skeletons.BLAZEPOSE33,
    skeletons.SPIN24,
    skeletons.SMPL24,
)

_SIDES = {"left": "left", "l": "left", "lt": "left", "right": "right", "r": "right", "rt": "right"}
_FILLERS = {"joint", "keypoint", "kp", "kpt", "landmark", "point"}
# Words that stand for others; all are without side, blanks and hyphens.
_WORDS = {
    "sho": "shoulder",
    "shldr": "shoulder",
    "shoulders": "shoulder",
    "elb": "elbow",
    "elbows": "elbow",
    "wri": "wrist",
    "wrists": "wrist",
    "hips": "hip",
    "kne": "knee",
    "knees": "knee",
    "ank": "ankle",
    "ankles": "ankle",
    "eyes": "eye",
    "ears": "ear",
    "headtop": "head_top",
    "tophead": "head_top",
    "topofhead": "head_top",
    "upperneck": "neck",
    "headbottom": "neck",
    "root": "pelvis",
    "hipcenter": "pelvis",
    "hipcentre": "pelvis",
    "centerhip": "pelvis",
    "midhip": "mid_hip",
    "chest": "thorax",
    "bigtoe": "big_toe",
    "smalltoe": "small_toe",
    "littletoe": "small_toe",
    "footindex": "foot_index",
    "eyeinner": "eye_inner",
    "eyeouter": "eye_outer",
    "mouthleft": "left_mouth",
    "mouthright": "right_mouth",
}


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_KNOWN = {
    _squeezed(joint): joint
    for skeleton in skeletons.SKELETONS.values()
    for joint in skeleton.joints
    if not joint.startswith("op_")
}


def canonical(name: str) -> str | None:
    """Returns the joint that a name means, as joint sets call it; None where it is not understood.

    Numbers before the name, as in `5: left_shoulder`, and words such as `joint` are passed over.
    """
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    while words and words[0].isdigit():
        words = words[1:]
    words = [word for word in words if word not in _FILLERS]
    sides = {_SIDES[word] for word in words if word in _SIDES}
    if len(sides) > 1 or not words:
        return None
    rest = "".join(word for word in words if word not in _SIDES)
    for side, part in _splits(next(iter(sides), ""), rest):
        part = _WORDS.get(part, part)
        found = _KNOWN.get(_squeezed(f"{side}{part}"))
        if found is not None:
            return found
    return None


def _splits(side: str, rest: str):
    """Yields side and rest as they are, then with the side as the first or the last letters of the rest."""
    yield side, rest
    if side:
        return
    for prefix, meant in sorted(_SIDES.items(), key=lambda item: -len(item[0])):
        if rest.startswith(prefix):
            yield meant, rest.removeprefix(prefix)
    for suffix, meant in sorted(_SIDES.items(), key=lambda item: -len(item[0])):
        if rest.endswith(suffix):
            yield meant, rest.removesuffix(suffix)


def target_skeleton(joints: Sequence[str]) -> tuple[skeletons.Skeleton, list[str]]:
    """Returns the joint set that holds most of some joints, and those that it has no place for.

    Args:
        joints: as `canonical` returns them.
    """
    wanted = set(joints)
    best = max(_TARGETS, key=lambda skeleton: len(wanted & set(skeleton.joints)))
    return best, sorted(wanted - set(best.joints))

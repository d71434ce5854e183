"""Crops around half a person, of whom only the upper or lower body is seen, as in HRNet's training on COCO."""

from __future__ import annotations

import numpy as np

from hpe import skeletons

# Of a person with no more visible joints than this, the whole is taken (HRNet).
_FEWEST_JOINTS = 8
# Joints of a half that is preferred, and joints that a half must have at all (HRNet).
_PREFERRED_JOINTS = 3
_NEEDED_JOINTS = 2
# Side of the crop over the longer side of the box of the half's joints (HRNet).
_ROOM = 1.5

_LOWER_BODY = ("pelvis", "hip", "knee", "ankle", "foot")


def halved_box(
    center: np.ndarray,
    side: np.ndarray,
    joints2d: np.ndarray,
    visibility: np.ndarray,
    *,
    half: np.ndarray,
    upper: np.ndarray,
    skeleton: str,
    box_share: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Replaces the boxes of people by those of the visible joints of one half of their body.

    Args:
        center: (N, 2) middles of the boxes in pixels.
        side: (N,) sides of the boxes in pixels, see `hpe.pipeline.moving.place`.
        joints2d: (N, J, 2) pixels, anything where not visible.
        visibility: (N, J), above 0 where visible.
        half: (N,) bool, whose boxes are replaced if enough of their joints are visible.
        upper: (N,) bool, of whom the upper half is preferred.
        skeleton: name of the joint set.
        box_share: share of the crop's side that a box takes.

    Returns:
        Middles (N, 2) and sides (N,).
    """
    joints = skeletons.get(skeleton).joints
    is_lower = np.array([joint.split("_")[-1] in _LOWER_BODY for joint in joints])
    visible = visibility > 0
    upper_half, lower_half = visible & ~is_lower, visible & is_lower
    above, below = (_count(chosen) >= _PREFERRED_JOINTS for chosen in (upper_half, lower_half))
    take_upper = (upper & above) | ~below
    chosen = np.where(take_upper[:, None], upper_half, lower_half)
    possible = (_count(visible) > _FEWEST_JOINTS) & (_count(chosen) >= _NEEDED_JOINTS)
    half = half & possible

    seen = chosen[..., None]
    middle = np.where(seen, joints2d, 0.0).sum(axis=1) / np.maximum(_count(chosen), 1)[:, None]
    low = np.where(seen, joints2d, np.inf).min(axis=1)
    high = np.where(seen, joints2d, -np.inf).max(axis=1)
    longer = np.maximum((high - low).max(axis=-1), 1.0)
    halved = np.where(half[:, None], middle, center)
    return halved, np.where(half, _ROOM * box_share * longer, side)


def _count(chosen: np.ndarray) -> np.ndarray:
    return chosen.sum(axis=-1)

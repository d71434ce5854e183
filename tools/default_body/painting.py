"""Paints the default body dressed: a short-sleeved shirt, trousers, shoes, hair and a plain face."""

from __future__ import annotations

import numpy as np

from hpe.body.regions import Region

_COLORS = {
    Region.SKIN: (222, 176, 148),
    Region.HAIR: (74, 52, 40),
    Region.SHIRT: (62, 104, 158),
    Region.TROUSERS: (66, 68, 82),
    Region.SHOES: (44, 40, 42),
    Region.EYES: (236, 234, 230),
    Region.LIPS: (188, 118, 108),
}
_IRIS = (72, 54, 40)
_EYEBROWS = (96, 70, 54)
_BELT = (40, 34, 32)
_SOLES = (205, 200, 192)
_COLLAR = (50, 86, 134)


# Widths over which a colour changes, metres: about an edge of the mesh, or the border would follow its zigzag.
_CLOTH_EDGE, _HAIR_EDGE = 0.018, 0.022


def paint(vertices, joints, weights, *, is_eye, lips):
    """Divides the body into regions and colours it.

    Args:
        vertices: (V, 3) mean body in the T-pose, pelvis at the origin, metres.
        joints: dict from SMPL joint name to (3,).
        weights: dict from SMPL joint name to (V,) skinning weights.
        is_eye: (V,) bool, the eyeballs.
        lips: (V,) 0 ... 1, how much each vertex belongs to the lips.

    Returns:
        (regions (V,) uint8, colors (V, 3) uint8).
    """
    x, y, z = vertices.T
    across = np.abs(x)
    head = weights["head"] + weights["neck"] > 0.5
    arms = sum(weights[f"{side}_{part}"] for side in ("left", "right") for part in ("elbow", "wrist", "hand"))
    feet = sum(weights[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot"))
    ground, ankle, waist = y.min(), joints["left_ankle"][1], joints["spine1"][1] + 0.01
    eye_level = y[is_eye].mean()

    # Every garment is a signed distance in metres, positive inside, so that its edge can be drawn smoothly.
    # The collar is lower at the throat than at the nape.
    collar = joints["neck"][1] - 0.005 - 0.35 * (z - joints["neck"][2]) - y
    sleeve = 0.45 * joints["left_shoulder"][0] + 0.55 * joints["left_elbow"][0] - across
    shirt = np.where(arms < 0.7, np.minimum(collar, sleeve), -1.0)
    trousers = np.where(across < joints["left_shoulder"][0] + 0.15, waist - y, -1.0)
    shoes = np.where(feet > 0.3, ankle + 0.025 - y, -1.0)
    forehead = z[head & (across < 0.02) & (y > eye_level + 0.03)].max()
    behind = forehead - z
    hairline = np.maximum(eye_level + 0.075 - 0.85 * np.maximum(behind - 0.02, 0.0), eye_level - 0.085)
    is_ear = across > np.percentile(across[head], 98.5)
    hair = np.where(head & ~is_ear & ~is_eye, np.minimum(y - hairline, behind - 0.005), -1.0)

    colors = np.tile(np.array(_COLORS[Region.SKIN], float), (len(vertices), 1))
    regions = np.full(len(vertices), Region.SKIN, np.uint8)
    layers = (
        (Region.SHIRT, shirt, _COLORS[Region.SHIRT], _CLOTH_EDGE),
        (Region.SHIRT, np.minimum(shirt, 0.016 - collar), _COLLAR, _CLOTH_EDGE),
        (Region.TROUSERS, trousers, _BELT, _CLOTH_EDGE),
        (Region.TROUSERS, trousers - 0.035, _COLORS[Region.TROUSERS], _CLOTH_EDGE),
        (Region.SHOES, shoes, _COLORS[Region.SHOES], _CLOTH_EDGE),
        (Region.SHOES, np.where(feet > 0.3, ground + 0.007 - y, -1.0), _SOLES, 0.004),
        (Region.HAIR, hair, _COLORS[Region.HAIR], _HAIR_EDGE),
    )
    for region, inside, color, edge in layers:
        regions[inside > 0.0] = region
        colors = _blend(colors, color, 0.5 + inside / edge)

    lips = np.where(head & ~is_eye, lips, 0.0)
    regions[lips > 0.5] = Region.LIPS
    colors = _blend(colors, _COLORS[Region.LIPS], (lips - 0.3) / 0.4)
    for side in (-1.0, 1.0):
        eye = is_eye & (side * x > 0.0)
        centre = np.array([x[eye].mean(), y[eye].mean(), z[eye].max()])
        arch = eye_level + 0.02 - 3.0 * (x - centre[0] - side * 0.008) ** 2
        brow = np.minimum(0.004 - np.abs(y - arch), 0.019 - np.abs(x - centre[0] - side * 0.003))
        colors = _blend(
            colors, _EYEBROWS, np.where(head & ~is_eye & (behind < 0.06), 0.35 + brow / 0.012, 0.0)
        )
        colors[eye] = _COLORS[Region.EYES]
        iris = eye & (np.linalg.norm((vertices - centre)[:, :2], axis=1) < 0.005)
        colors[iris] = _IRIS
    regions[is_eye] = Region.EYES
    return regions, np.rint(colors).astype(np.uint8)


def _blend(colors, color, share):
    """Mixes `color` into (V, 3) `colors` by `share` (V,), clipped to 0 ... 1."""
    share = np.clip(share, 0.0, 1.0)[:, None]
    return (1.0 - share) * colors + share * np.array(color, float)

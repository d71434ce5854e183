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


def paint(vertices, joints, weights, *, is_eye, lips, eyebrows):
    """Divides the body into regions and colours it.

    Args:
        vertices: (V, 3) mean body in the T-pose, pelvis at the origin, metres.
        joints: dict from SMPL joint name to (3,).
        weights: dict from SMPL joint name to (V,) skinning weights.
        is_eye: (V,) bool, the eyeballs.
        lips, eyebrows: (V,) 0 ... 1, how much each vertex belongs to them.

    Returns:
        (regions (V,) uint8, colors (V, 3) uint8).
    """
    x, y, z = vertices.T
    across = np.abs(x)
    regions = np.full(len(vertices), Region.SKIN, np.uint8)
    ankle = joints["left_ankle"][1]
    waist = joints["spine1"][1] + 0.01
    arms = sum(weights[f"{side}_{part}"] for side in ("left", "right") for part in ("elbow", "wrist", "hand"))

    head = weights["head"] + weights["neck"] > 0.5
    # The collar is lower at the throat than at the nape.
    collar = joints["neck"][1] - 0.005 - 0.35 * (z - joints["neck"][2])
    sleeve = 0.45 * joints["left_shoulder"][0] + 0.55 * joints["left_elbow"][0]
    shirt = (y >= waist) & (y < collar) & (across < sleeve) & (arms < 0.5)
    regions[shirt] = Region.SHIRT
    regions[(y < waist) & (across < joints["left_shoulder"][0] + 0.15)] = Region.TROUSERS
    feet = sum(weights[f"{side}_{part}"] for side in ("left", "right") for part in ("ankle", "foot"))
    regions[(y < ankle + 0.02) | ((feet > 0.5) & (y < ankle + 0.03))] = Region.SHOES

    eye_level = y[is_eye].mean()
    forehead = z[head & (across < 0.02) & (y > eye_level + 0.03)].max()
    behind = forehead - z
    hairline = eye_level + 0.075 - 0.85 * np.maximum(behind - 0.02, 0.0)
    hairline = np.maximum(hairline, eye_level - 0.085)
    ear = across > np.percentile(across[head], 98.5)
    regions[head & (y > hairline) & (behind > 0.005) & ~ear] = Region.HAIR
    regions[(lips > 0.45) & head] = Region.LIPS
    regions[is_eye] = Region.EYES

    colors = np.array([_COLORS[Region(region)] for region in regions], dtype=float)
    colors[(regions == Region.TROUSERS) & (y > waist - 0.03)] = _BELT
    colors[(regions == Region.SHOES) & (y < y.min() + 0.018)] = _SOLES
    colors[(regions == Region.SHIRT) & (y > collar - 0.018) & (across < 0.12)] = _COLLAR
    brow = np.where(regions == Region.SKIN, np.clip(eyebrows, 0.0, 1.0), 0.0)[:, None]
    colors = (1.0 - brow) * colors + brow * np.array(_EYEBROWS, dtype=float)
    for side in (-1.0, 1.0):
        eye = is_eye & (side * x > 0.0)
        centre = np.array([x[eye].mean(), y[eye].mean(), z[eye].max()])
        iris = eye & (np.linalg.norm(vertices - centre, axis=1) < 0.0075)
        colors[iris] = _IRIS
    return regions, np.rint(colors).astype(np.uint8)

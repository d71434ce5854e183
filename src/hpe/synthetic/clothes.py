"""Dresses a body by colouring its vertices: shirts, trousers, shoes, hair and skin of random cut and colour.

Where a garment ends follows from the skeleton - how far along the arm, the leg or the trunk a vertex of the
rest pose lies - so that any body in the SMPL layout can be dressed. Where the body says which vertices are
hair, eyes, lips or shoes, that is used.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hpe.body.data import BodyModelData
from hpe.body.regions import Region
from hpe.skeletons import COCOPLUS19, SMPL24
from hpe.synthetic.textures import random_color, shifted

# From pale to dark; a person's skin lies between two neighbours.
_SKINS = np.float32(
    [
        [250, 220, 198],
        [238, 196, 168],
        [222, 172, 138],
        [190, 136, 100],
        [142, 96, 66],
        [98, 64, 46],
        [66, 44, 34],
    ]
)
_HAIRS = np.float32(
    [[24, 20, 18], [48, 34, 26], [88, 58, 36], [132, 92, 54], [196, 160, 100], [150, 74, 40], [170, 168, 166]]
)
_LEAST_CONTRAST = 80  # Between cloth and skin, as a distance of RGB.
_BARE = 0.0  # Share of a limb that a sleeve or a leg of this length covers.
_SLEEVES = (_BARE, 0.22, 0.45, 0.75, 0.97)
_LEGS = (0.06, 0.25, 0.5, 0.97, 0.97, 0.97)


@dataclasses.dataclass(frozen=True)
class Wardrobe:
    """Where every vertex (V,) of a body lies, as far as dressing is concerned.

    Attributes:
        points: (V, 3) metres, rest pose.
        arm, leg, head: bool, the part that a vertex belongs to; what is none of them is trunk.
        along_arm: 0 at the shoulder, 1 at the wrist, more on the hand.
        along_leg: 0 at the hip, 1 at the ankle, more on the foot.
        up_trunk: 0 at the pelvis, 1 at the neck.
        hair, shoes, eyes, lips: bool.
    """

    points: np.ndarray
    arm: np.ndarray
    leg: np.ndarray
    head: np.ndarray
    along_arm: np.ndarray
    along_leg: np.ndarray
    up_trunk: np.ndarray
    hair: np.ndarray
    shoes: np.ndarray
    eyes: np.ndarray
    lips: np.ndarray


def wardrobe(data: BodyModelData) -> Wardrobe:
    """Measures a body in its rest pose."""
    points = data.v_template
    joints = data.joint_regressor @ points
    joint = {name: joints[n] for n, name in enumerate(SMPL24.joints)}

    def share(*names):
        return sum(data.weights[:, n] for n, joint in enumerate(SMPL24.joints) if joint.endswith(names)) > 0.5

    def along(side, upper, lower):
        start, end = joint[f"{side}_{upper}"], joint[f"{side}_{lower}"]
        axis = end - start
        return (points - start) @ axis / (axis @ axis)

    left = points[:, 0] > joint["pelvis"][0]
    up_trunk = (points[:, 1] - joint["pelvis"][1]) / (joint["neck"][1] - joint["pelvis"][1])
    along_leg = np.where(left, along("left", "hip", "ankle"), along("right", "hip", "ankle"))
    head = share("head") | (share("head", "neck") & (up_trunk > 1.12))
    leg = share("_hip", "_knee", "_ankle", "_foot")
    if data.vertex_regions is None:
        hair = head & _above_the_face(data, points)
        shoes = leg & ((along_leg > 1.0) | share("_foot"))
        eyes = lips = np.zeros(len(points), bool)
    else:
        regions = data.vertex_regions
        hair, shoes, eyes, lips = (
            regions == r for r in (Region.HAIR, Region.SHOES, Region.EYES, Region.LIPS)
        )
    return Wardrobe(
        points,
        share("_shoulder", "_elbow", "_wrist", "_hand"),
        leg,
        head,
        np.where(left, along("left", "shoulder", "wrist"), along("right", "shoulder", "wrist")),
        along_leg,
        up_trunk,
        hair,
        shoes,
        eyes,
        lips,
    )


def _above_the_face(data, points):
    """Whether a vertex lies above a plane that rises from behind the ears to above the eyes."""
    face = data.keypoint_regressors[COCOPLUS19.name] @ points
    at = {name: face[n] for n, name in enumerate(COCOPLUS19.joints)}
    ears, eyes = (at["left_ear"] + at["right_ear"]) / 2, (at["left_eye"] + at["right_eye"]) / 2
    brow = eyes + 0.45 * (at["head_top"] - eyes) * (0, 1, 0)
    slope = (brow[1] - ears[1]) / max(brow[2] - ears[2], 0.02)
    return points[:, 1] > ears[1] + slope * (points[:, 2] - ears[2])


def dress(rng: np.random.Generator, body: Wardrobe) -> np.ndarray:
    """Returns the colours (V, 3) float32 in [0, 255] of a randomly dressed person."""
    skin = _between(rng, _SKINS)
    colors = np.repeat(skin[None], len(body.points), axis=0)
    trunk = ~(body.arm | body.leg | body.head)
    waist = rng.uniform(0.0, 0.22)

    def fabric(**ranges):
        return _fabric(rng, body.points, _unlike(skin, rng, **ranges), _unlike(skin, rng))

    trousers = fabric(saturation=(0, 0.7), value=(0.08, 0.85))
    length = rng.choice(_LEGS) + rng.uniform(-0.03, 0.03)
    covered = (body.leg & (body.along_leg < length)) | (trunk & (body.up_trunk < waist + 0.05))
    colors[covered] = trousers[covered]

    shirt = trousers if rng.uniform() < 0.08 else fabric(saturation=(0, 0.95))
    sleeve = rng.choice(_SLEEVES) + rng.uniform(-0.03, 0.03)
    neckline = rng.uniform(0.86, 1.08)
    sleeves = body.arm & (body.along_arm < sleeve)
    covered = sleeves | (trunk & (body.up_trunk > waist) & (body.up_trunk < neckline))
    if rng.uniform() < 0.12:  # A skirt, a coat.
        covered |= body.leg & (body.along_leg < rng.uniform(0.1, 0.6))
    colors[covered] = shirt[covered]
    if rng.uniform() < 0.2:  # Sleeves of another colour.
        colors[sleeves] = _unlike(skin, rng)
    if rng.uniform() < 0.15:  # A belt.
        colors[trunk & (np.abs(body.up_trunk - waist - 0.02) < 0.04)] = random_color(rng, value=(0.05, 0.4))

    if rng.uniform() < 0.9:
        colors[body.shoes] = random_color(rng, value=(0.05, 1))
        if rng.uniform() < 0.4:  # Socks, boots.
            top = rng.uniform(0.6, 0.95)
            socks = body.leg & (body.along_leg > top) & ~body.shoes & (length < top)
            colors[socks] = random_color(rng, saturation=(0, 0.5))
    else:
        colors[body.shoes] = skin
    if rng.uniform() < 0.06:  # Gloves.
        colors[body.arm & (body.along_arm > 0.95)] = random_color(rng)

    colors[body.hair] = random_color(rng) if rng.uniform() < 0.1 else _between(rng, _HAIRS)
    colors[body.lips] = skin * np.float32([0.85, 0.6, 0.6])
    colors[body.eyes] = (236, 236, 236)
    # Nothing is of quite one colour: cloth folds, skin has shades.
    return np.clip(colors * (1 + 0.05 * _waves(rng, body.points, 9))[:, None], 0, 255)


def _between(rng, palette):
    """Returns a colour between two neighbours of a palette (N, 3)."""
    place = rng.uniform(0, len(palette) - 1)
    low = min(int(place), len(palette) - 2)
    return palette[low] + np.float32(place - low) * (palette[low + 1] - palette[low])


def _unlike(skin, rng, **ranges):
    """Returns a random colour that nobody takes for bare skin."""
    for _ in range(8):
        color = random_color(rng, **ranges)
        if np.linalg.norm(color - skin) > _LEAST_CONTRAST:
            break
    return color


def _fabric(rng, points, color, other):
    """Returns the colours (V, 3) of a cloth of one or two colours: plain, striped, chequered or mottled."""
    if rng.uniform() < 0.5:
        other = shifted(color, rng, 0.2)
    kind = rng.choice(5, p=(0.5, 0.18, 0.1, 0.07, 0.15))
    across, up = points[:, 0], points[:, 1]
    pitch = rng.uniform(0.06, 0.16)
    if kind == 0:
        share = np.zeros(len(points))
    elif kind == 1:  # hoops
        share = (up / pitch) % 1 < rng.uniform(0.25, 0.6)
    elif kind == 2:  # stripes
        share = (across / pitch) % 1 < rng.uniform(0.25, 0.6)
    elif kind == 3:  # checks
        share = 0.5 * ((up / pitch) % 1 < 0.5) + 0.5 * ((across / pitch) % 1 < 0.5)
    else:
        share = 0.5 + 0.5 * _waves(rng, points, 30)
    share = np.clip(share, 0, 1).astype(np.float32)[:, None]
    return color * (1 - share) + other * share


def _waves(rng, points, frequency):
    """Returns (V,) smooth noise about unit normal: waves of random direction through the body."""
    waves = rng.normal(0, frequency, (6, 3)).astype(np.float32)
    phases = rng.uniform(0, 2 * np.pi, 6).astype(np.float32)
    return np.sin(points @ waves.T + phases).sum(axis=1) / np.float32(np.sqrt(3))

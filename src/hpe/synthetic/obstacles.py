"""What keeps a person from being seen whole: things in front, other people, and the frame of the picture."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hpe.synthetic.standing import Stand
from hpe.synthetic.textures import pattern
from hpe.visualization.rasterizer import weak_perspective_camera

# How far aside somebody else stands, in shares of the person's height, and how much smaller or larger they are.
_ASIDE = (0.18, 0.55)
_BEHIND, _BEFORE = (0.72, 0.98), (1.0, 1.25)
# What a cut leaves of the joints' extent.
_LEFT = (0.45, 0.9)


@dataclasses.dataclass(frozen=True)
class Company:
    """Where somebody else stands.

    Attributes:
        camera: (3,) weak-perspective, that shows them there.
        in_front: of the person, or behind.
    """

    camera: np.ndarray
    in_front: bool


@dataclasses.dataclass(frozen=True)
class Frame:
    """A picture and what is known of the person in it.

    Attributes:
        picture, mask: (H, W, 3) uint8 and (H, W) bool.
        labels: (H, W) uint8, the body's parts, whatever stands before it.
        joints2d, visible: (J, 2) pixels and (J,) bool.
        camera: (3,) weak-perspective of the whole picture.
    """

    picture: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    joints2d: np.ndarray
    visible: np.ndarray
    camera: np.ndarray


def inside(joints2d, size: tuple[int, int]) -> np.ndarray:
    """Whether joints (J, 2) lie in a picture (height, width): pixels reach half a pixel around their centres."""
    return ((joints2d >= -0.5) & (joints2d < np.array(size[::-1]) - 0.5)).all(axis=1)


def occlude(rng, picture, mask) -> tuple[np.ndarray, np.ndarray]:
    """Puts a box or a bar in front of a part of the person; returns the picture and what it hides (H, W) bool."""
    size = mask.shape[0]
    rows, columns = np.nonzero(mask)
    shape = np.zeros((size, size), np.uint8)
    if len(rows):
        pick = rng.integers(len(rows))
        sides = rng.uniform(0.06, 0.25, 2) * size
        box = cv2.boxPoints(((int(columns[pick]), int(rows[pick])), tuple(sides), rng.uniform(0, 180)))
        cv2.fillPoly(shape, [np.round(box).astype(np.int32)], 1)
    hidden = shape.astype(bool)
    picture = picture.copy()
    picture[hidden] = pattern(rng, size, size)[hidden]
    return picture, hidden


def beside(rng, person: Stand, other: Stand, camera, size: int) -> Company:
    """Puts somebody else on the same floor, aside of the person, before or behind."""
    in_front = bool(rng.uniform() < 0.35)
    scale = camera[0] * rng.uniform(*(_BEFORE if in_front else _BEHIND))
    points = weak_perspective_camera(camera, size).project(person.vertices)[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    aside = rng.choice([-1.0, 1.0]) * rng.uniform(*_ASIDE) * (high - low).max()
    middle = (low[0] + high[0]) / 2 + aside
    # Who stands nearer stands lower in the picture.
    foot = high[1] + (scale / camera[0] - 1) * (high - low).max() * 0.5
    lowest, highest = other.vertices[:, :2].min(axis=0), other.vertices[:, :2].max(axis=0)
    to_place = np.array([middle, foot]) * 2 / size - 1
    on_body = np.array([(lowest[0] + highest[0]) / 2, highest[1]])
    return Company(np.float32([scale, *(to_place / scale - on_body)]), in_front)


def cut(rng, frame: Frame, *, least: int) -> Frame:
    """Cuts a side of the picture off, through the person, so that `least` joints stay visible; else as it was."""
    height, width = frame.mask.shape
    shown = frame.joints2d[frame.visible]
    # Mostly the legs are lost, seldom the head.
    side = rng.choice(4, p=[0.55, 0.2, 0.2, 0.05])
    share = rng.uniform(*_LEFT)
    if len(shown) < least:
        return frame
    axis = 1 if side in (0, 3) else 0
    low, high = shown[:, axis].min(), shown[:, axis].max()
    left, top, right, bottom = 0, 0, width, height
    if side == 0:
        bottom = round(low + share * (high - low))
    elif side == 1:
        right = round(low + share * (high - low))
    elif side == 2:
        left = round(high - share * (high - low))
    else:
        top = round(high - share * (high - low))
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    joints2d = frame.joints2d - (left, top)
    size = bottom - top, right - left
    visible = frame.visible & inside(joints2d, size)
    if visible.sum() < least or min(size) < 32:
        return frame
    scale = frame.camera[0] * max(height, width) / max(size)
    moved = frame.camera[1:] + ((max(height, width) - 2 * np.array([left, top])) / max(size) - 1) / scale
    # s' (X + t') + 1 = (s (X + t) + 1 - 2 first / longer) longer / longer'
    return Frame(
        *(
            np.ascontiguousarray(drawn[top:bottom, left:right])
            for drawn in (frame.picture, frame.mask, frame.labels)
        ),
        joints2d,
        visible,
        np.float32([scale, *moved]),
    )

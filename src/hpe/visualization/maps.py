"""Maps of a crop over its frame: what a system says of every cell, one colour for each layer."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpe.errors import UserError

if TYPE_CHECKING:
    from hpe.people.person import Person

# How bright the frame stays below, and how much of a peak's colour is seen.
_DIMMED, _OPACITY = 0.55, 0.85
# Turns of the colour circle from one layer to the next: neighbours are told apart, and no two are alike.
_TURN = 0.6180339887


def draw_maps(image: np.ndarray, people: Sequence[Person], name: str) -> np.ndarray:
    """Lays the maps of people over their frame; every layer is as strong as its own peak.

    Args:
        image: (H, W, 3) uint8 RGB.
        people: of this frame.
        name: of the maps, see `hpe.people.person.Person.maps`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: there are people, but nobody has such maps.
    """
    shown = [person.maps[name] for person in people if name in person.maps]
    if people and not shown:
        raise UserError(f"This model has no maps of {name} to show; choose another view.")
    height, width = image.shape[:2]
    picture = _DIMMED * image.astype(np.float32)
    for maps in shown:
        painted = np.ascontiguousarray(_painted(np.asarray(maps.values, np.float32)))
        laid = cv2.warpAffine(painted, np.asarray(maps.to_frame, np.float64), (width, height))
        picture += laid[..., :3] - picture * laid[..., 3:]
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def layer_colors(count: int) -> np.ndarray:
    """Returns the colours (count, 3) uint8 RGB of layers."""
    colors = [colorsys.hsv_to_rgb(index * _TURN % 1.0, 0.85, 1.0) for index in range(count)]
    return np.rint(255 * np.array(colors)).astype(np.uint8)


def _painted(values: np.ndarray) -> np.ndarray:
    """Returns layers (h, w, C) as one picture (h, w, 4): colour times opacity, and opacity."""
    peaks = values.max(axis=(0, 1), keepdims=True)
    strength = np.maximum(values, 0) / np.where(peaks > 0, peaks, 1)
    total = strength.sum(axis=-1, keepdims=True)
    color = strength @ layer_colors(values.shape[-1]).astype(np.float32) / np.where(total > 0, total, 1)
    opacity = _OPACITY * strength.max(axis=-1, keepdims=True)
    return np.concatenate([opacity * color, opacity], axis=-1)

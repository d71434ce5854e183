"""A dataset in one file: drawn discs with joints on them, and how far away they are."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

import hpe.datasets
from hpe.datasets.sample import Sample
from hpe.datasets.source import Provenance, Source
from hpe.options import option

_SIZE = 48
_ANGLES = np.linspace(0, 2 * np.pi, 14, endpoint=False)


@dataclasses.dataclass(frozen=True)
class ToyFlags:
    """What is drawn."""

    toy: int = option(0, "How many discs to draw for training; a quarter as many for validation.")


def open_toy(config: ToyFlags, write) -> list[Source]:
    """Returns the two datasets, none if no discs are asked for."""
    if not config.toy:
        return []
    drawn = Provenance(source="drawn by this file", licence="CC0")
    parts = {"toy_train": range(config.toy), "toy_val": range(10_000, 10_000 + config.toy // 4)}
    return [Source(name, "lsp14", items, draw, provenance=drawn) for name, items in parts.items()]


def draw(number: int) -> Sample:
    """Draws a disc with 14 joints on its edge."""
    generator = np.random.default_rng(number)
    centre, radius = generator.uniform(16, 32, size=2), generator.uniform(8, 14)
    picture = np.full((_SIZE, _SIZE, 3), 30, np.uint8)
    place = tuple(round(value) for value in centre)
    cv2.circle(picture, place, round(radius), (80, 160, 240), -1)
    inside = cv2.circle(np.zeros((_SIZE, _SIZE), np.float32), place, round(radius), 1.0, -1)
    joints = centre + radius * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
    return Sample(
        name=f"disc{number}",
        image=cv2.imencode(".png", picture)[1].tobytes(),
        height=_SIZE,
        width=_SIZE,
        skeleton="lsp14",
        joints2d=joints.astype(np.float32),
        visibility=np.ones(14, np.float32),
        center=centre.astype(np.float32),
        scale=2 * radius,
        # A large disc is near: the field that the toy system brings.
        extra={"toy_distance": (inside * 20 / radius).astype(np.float32)},
    )


hpe.datasets.register(hpe.datasets.Entry("toy", "`toy=N`", ToyFlags, open_toy))

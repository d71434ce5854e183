"""Procedural textures: colours, noise and patterns from a random generator."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np


def random_color(rng: np.random.Generator, *, saturation=(0.0, 0.8), value=(0.15, 0.95)) -> np.ndarray:
    """Returns a random colour (3,) float32 in [0, 255] with saturation and value (HSV) in the ranges."""
    hsv = rng.uniform(), _skewed(rng, *saturation), rng.uniform(*value)
    return np.float32(colorsys.hsv_to_rgb(*hsv)) * 255


def _skewed(rng: np.random.Generator, low: float, high: float) -> float:
    """Returns a number between two, more often near the first: strong colours are rare."""
    return low + (high - low) * rng.uniform() ** 1.6


def shifted(color, rng: np.random.Generator, amount: float) -> np.ndarray:
    """Returns a colour near `color` (3,): every channel moves by a normal `amount` of 255."""
    return np.clip(np.asarray(color, np.float32) + np.float32(rng.normal(0, 255 * amount, 3)), 0, 255)


def noise(rng: np.random.Generator, height: int, width: int, *, coarsest: int, octaves: int) -> np.ndarray:
    """Returns (height, width) float32 of smooth noise, about unit normal.

    Args:
        rng: random generator.
        height, width: pixels.
        coarsest: cells along the longer side in the first octave; every further one has twice as many and
            half the weight.
        octaves: how many.
    """
    total = np.zeros((height, width), np.float32)
    weight, power = 1.0, 0.0
    longer = max(height, width)
    for octave in range(octaves):
        cells = coarsest * 2**octave
        rows, columns = max(2, round(cells * height / longer)), max(2, round(cells * width / longer))
        layer = rng.standard_normal((rows, columns), np.float32)
        total += weight * cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC)
        power += weight**2
        weight /= 2
    # Interpolation evens the noise out; the factor brings it back to about unit deviation.
    return total * np.float32(1.35 / np.sqrt(power))


def blend(first, second, share: np.ndarray) -> np.ndarray:
    """Mixes two colours or pictures by `share` (H, W) of the second in [0, 1]; returns (H, W, 3) float32."""
    first = np.asarray(first, np.float32)
    weight = np.clip(share, 0, 1, dtype=np.float32)[..., None]
    mixed = weight * (np.asarray(second, np.float32) - first)
    mixed += first
    return mixed


def ramp(height: int, width: int, angle: float) -> np.ndarray:
    """Returns (height, width) float32 rising from 0 to 1 along a direction, `angle` radians from x to y."""
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
    along = columns * np.float32(np.cos(angle)) + rows * np.float32(np.sin(angle))
    # A plane has its extremes in the corners.
    corners = along[[0, 0, -1, -1], [0, -1, 0, -1]]
    along -= corners.min()
    along /= max(float(np.ptp(corners)), 1e-6)
    return along


def _fraction(values: np.ndarray) -> np.ndarray:
    """Returns what is behind the point of numbers that are not negative; faster than a remainder."""
    return values - np.floor(values)


def pattern(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Returns a random surface (height, width, 3) float32 in [0, 255]: plain, mottled, striped, tiled, spotted."""
    first = random_color(rng)
    second = shifted(first, rng, 0.25) if rng.uniform() < 0.6 else random_color(rng)
    kind = rng.integers(5)
    if kind == 0:
        share = 0.5 * ramp(height, width, rng.uniform(0, 2 * np.pi))
    elif kind == 1:
        share = 0.5 + rng.uniform(0.08, 0.35) * noise(
            rng, height, width, coarsest=int(rng.integers(3, 24)), octaves=4
        )
    else:
        angle = rng.uniform(0, np.pi) if rng.uniform() < 0.4 else rng.choice([0, np.pi / 2])
        count = rng.uniform(4, 22)
        u = ramp(height, width, angle) * count
        v = ramp(height, width, angle + np.pi / 2) * count
        if kind == 2:  # stripes
            share = (_fraction(u) < rng.uniform(0.1, 0.6)).astype(np.float32)
        elif kind == 3:  # tiles with joints, bricks where every other row is shifted
            u = u + 0.5 * (np.floor(v) % 2) * (rng.uniform() < 0.5)
            joint = rng.uniform(0.04, 0.12)
            share = ((_fraction(u) < joint) | (_fraction(v) < joint)).astype(np.float32)
        else:  # spots
            radius = rng.uniform(0.2, 0.42)
            share = ((_fraction(u) - 0.5) ** 2 + (_fraction(v) - 0.5) ** 2 < radius**2).astype(np.float32)
    surface = blend(first, second, share)
    grain = noise(rng, height, width, coarsest=6, octaves=4)
    surface += grain[..., None] * np.float32(rng.uniform(1, 8))
    return np.clip(surface, 0, 255, out=surface)

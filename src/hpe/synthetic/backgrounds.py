"""What stands behind synthetic people: procedural scenes, or photographs of a folder."""

from __future__ import annotations

import functools
import os
import pathlib

import cv2
import numpy as np

from hpe.errors import SettingError, UserError
from hpe.formats.images import load_image
from hpe.synthetic.textures import blend, noise, pattern, ramp, random_color, shifted

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
_SMALLEST_CROP = 0.45  # Of a photograph's shorter side.


def procedural(rng: np.random.Generator, size: int, *, horizon: float) -> np.ndarray:
    """Paints a random scene.

    Args:
        rng: random generator, which alone decides on everything.
        size: side of the square in pixels.
        horizon: row in pixels of the far end of the floor, in scenes that have one.

    Returns:
        (size, size, 3) uint8 RGB.
    """
    painter = rng.choice(_PAINTERS, p=_SHARES)
    scene = painter(rng, size, int(np.clip(horizon, 0.2 * size, 0.9 * size)))
    return np.clip(scene, 0, 255).astype(np.uint8)


def _gradient(rng, size, _):
    """A studio backdrop: a soft change of colour with a glow."""
    first = random_color(rng)
    scene = blend(first, shifted(first, rng, 0.2), ramp(size, size, rng.uniform(0, 2 * np.pi)))
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    x, y = rng.uniform(0.2, 0.8, 2)
    glow = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / rng.uniform(0.05, 0.4))
    return scene + glow[..., None].astype(np.float32) * np.float32(rng.uniform(-40, 60))


def _clouds(rng, size, _):
    """Foliage, crowds, water: noise between three colours."""
    coarsest = int(rng.integers(3, 14))
    scene = blend(
        random_color(rng), random_color(rng), 0.5 + 0.4 * noise(rng, size, size, coarsest=coarsest, octaves=6)
    )
    return blend(scene, random_color(rng), 0.5 * noise(rng, size, size, coarsest=3 * coarsest, octaves=3))


def _surface(rng, size, _):
    """A patterned wall up close."""
    return pattern(rng, size, size)


def _blobs(rng, size, _):
    """A clutter of discs, boxes and bars, out of focus to some degree."""
    scene = pattern(rng, size, size).astype(np.uint8)
    for _ in range(int(rng.integers(8, 40))):
        color = random_color(rng, saturation=(0, 1)).tolist()
        x, y = rng.uniform(0, size, 2)
        a, b = rng.uniform(0.02, 0.2, 2) * size
        if rng.uniform() < 0.5:
            cv2.ellipse(scene, ((x, y), (2 * a, 2 * b), rng.uniform(0, 180)), color, cv2.FILLED, cv2.LINE_AA)
        else:
            box = cv2.boxPoints(((x, y), (2 * a, 2 * b), rng.uniform(0, 180)))
            cv2.fillPoly(scene, [np.round(box).astype(np.int32)], color, cv2.LINE_AA)
    return cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.3, 4))


def _floor(rng, size, horizon, *, surface=None):
    """A patterned floor in perspective, of (size - horizon) rows."""
    rows = size - horizon
    surface = pattern(rng, size, size) if surface is None else surface
    spread = rng.uniform(1.0, 2.5)
    left, right = size / 2 - spread * size, size / 2 + spread * size
    corners = np.float32([[0, 0], [size, 0], [size, size], [0, size]])
    onto = np.float32([[0, 0], [size, 0], [right, rows], [left, rows]])
    warp = cv2.getPerspectiveTransform(corners, onto)
    return cv2.warpPerspective(
        surface, warp, (size, rows), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )


def _room(rng, size, horizon):
    """A floor and a wall with things on and before it."""
    scene = np.empty((size, size, 3), np.float32)
    scene[:horizon] = pattern(rng, size, size)[:horizon]
    scene[horizon:] = _floor(rng, size, horizon)
    for _ in range(int(rng.integers(0, 4))):  # Windows, doors, pictures.
        width, height = rng.uniform(0.1, 0.35, 2) * size
        x, bottom = (
            rng.uniform(-0.1, 1) * size,
            horizon * (1 if rng.uniform() < 0.3 else rng.uniform(0.3, 0.9)),
        )
        frame = random_color(rng)
        _box(scene, x - 3, bottom - height - 3, width + 6, height + 6, frame)
        _box(scene, x, bottom - height, width, height, pattern(rng, 32, 32))
    for _ in range(int(rng.integers(0, 4))):  # Furniture.
        width, height = rng.uniform(0.1, 0.4) * size, rng.uniform(0.05, 0.3) * size
        x, bottom = rng.uniform(-0.15, 0.95) * size, horizon + rng.uniform(0, 0.1) * size
        color = random_color(rng)
        _box(scene, x, bottom - height, width, height, color)
        _box(scene, x, bottom - height, width, 0.15 * height, np.minimum(color * 1.25, 255))
    skirting = rng.uniform(0, 5)
    _box(scene, 0, horizon - skirting, size, skirting, random_color(rng))
    # Corners of a room are darker than its middle.
    return (
        scene * (0.8 + 0.25 * np.exp(-((ramp(size, size, 0) - rng.uniform(0.2, 0.8)) ** 2) / 0.15))[..., None]
    )


def _outdoors(rng, size, horizon):
    """A sky, a ground, and trees or houses between."""
    day = rng.uniform(0.45, 1)
    sky = blend(
        np.float32([90, 140, 215]) * day, np.float32([225, 232, 240]) * day, ramp(size, size, np.pi / 2) * 1.2
    )
    overcast = np.float32(rng.uniform(170, 240)) * day
    sky = blend(
        sky, overcast, rng.uniform(0, 0.9) * (0.5 + 0.6 * noise(rng, size, size, coarsest=4, octaves=5))
    )
    scene = np.clip(sky, 0, 255).astype(np.uint8)  # OpenCV smooths the edges of discs in bytes only.
    palette = ([86, 118, 58], [132, 116, 88], [198, 178, 136], [118, 118, 122], [230, 234, 240], [60, 96, 50])
    ground = shifted(palette[rng.integers(len(palette))], rng, 0.05) * day
    grain = noise(rng, size, size, coarsest=16, octaves=5)
    surface = blend(ground * 0.8, ground * 1.2, 0.5 + 0.4 * grain)
    if rng.uniform() < 0.3:
        surface = pattern(rng, size, size) * np.float32(day)
    scene[horizon:] = np.clip(_floor(rng, size, horizon, surface=surface), 0, 255)
    x = rng.uniform(-0.2, 0.1) * size
    built = rng.uniform() < 0.45
    while x < size:
        width = rng.uniform(0.08, 0.35) * size
        if built:
            height = rng.uniform(0.15, 0.8) * size
            _box(scene, x, horizon - height, width, height, _facade(rng) * np.float32(day))
        elif rng.uniform() < 0.75:
            _tree(scene, rng, x + width / 2, horizon, width, day)
        x += width * rng.uniform(0.6, 1.5)
    return scene


def _facade(rng):
    """A wall with rows of windows (H, W, 3)."""
    rows, columns = (int(n) for n in rng.integers(3, 9, 2))
    wall = np.empty((rows * 8, columns * 8, 3), np.float32)
    wall[:] = random_color(rng, saturation=(0, 0.45), value=(0.35, 0.9))
    pane = random_color(rng, saturation=(0, 0.4), value=(0.1, 0.7))
    windows = pane + rng.normal(0, 25, (rows, columns, 1)).astype(np.float32)
    for r in range(rows):
        for c in range(columns):
            wall[r * 8 + 2 : r * 8 + 7, c * 8 + 2 : c * 8 + 6] = windows[r, c]
    return wall


def _tree(scene, rng, x, base, width, day):
    """Draws a trunk and a crown of leafy discs."""
    height = width * rng.uniform(1.2, 2.6)
    trunk = np.float32([92, 70, 50]) * day
    _box(scene, x - 0.05 * width, base - height * 0.5, 0.1 * width, height * 0.5, trunk)
    green = shifted([58, 96, 44], rng, 0.06) * day
    for _ in range(int(rng.integers(12, 40))):
        dx, dy = rng.normal(0, 0.22, 2)
        centre = round(x + dx * width), round(base - height * (0.68 + 0.6 * dy))
        tint = np.clip(green * (1 - 0.9 * dy) + rng.normal(0, 8), 0, 255)
        cv2.circle(
            scene,
            centre,
            max(1, round(width * rng.uniform(0.06, 0.17))),
            tint.tolist(),
            cv2.FILLED,
            cv2.LINE_AA,
        )


def _box(scene, x, y, width, height, fill):
    """Fills an upright box with a colour (3,) or a stretched picture (H, W, 3), clipped to the scene."""
    size = scene.shape[0]
    left, top, right, bottom = round(x), round(y), round(x + width), round(y + height)
    if right <= left or bottom <= top:
        return
    if np.ndim(fill) == 3:
        fill = cv2.resize(fill, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        fill = fill[max(0, -top) : size - top, max(0, -left) : size - left]
    scene[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = np.clip(fill, 0, 255)


_PAINTERS = (_gradient, _clouds, _surface, _blobs, _room, _outdoors)
_SHARES = (0.1, 0.08, 0.08, 0.11, 0.33, 0.3)


@functools.lru_cache(maxsize=8)
def photographs(folder: str) -> tuple[pathlib.Path, ...]:
    """Lists the pictures below a folder, sorted by name, once per process.

    Raises:
        UserError: the folder is missing or holds no picture.
    """
    root = pathlib.Path(folder)
    if not root.is_dir():
        raise SettingError("backgrounds", "no such folder; give a folder of photographs.", folder)
    found = [
        pathlib.Path(parent) / name
        for parent, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(IMAGE_ENDINGS) and not name.startswith(".")
    ]
    if not found:
        endings = " ".join(IMAGE_ENDINGS)
        raise SettingError("backgrounds", f"holds no picture; expected files that end in {endings}.", folder)
    return tuple(sorted(found))


def photograph(rng: np.random.Generator, size: int, folder: str) -> np.ndarray:
    """Cuts a random square from a random photograph of a folder; files that do not decode are passed over.

    Args:
        rng: random generator.
        size: side of the square in pixels.
        folder: searched with its sub-folders.

    Returns:
        (size, size, 3) uint8 RGB.

    Raises:
        UserError: the folder is missing, or holds no picture that decodes.
    """
    paths = photographs(str(folder))
    start = int(rng.integers(len(paths)))
    for n in range(len(paths)):
        image = _decode(paths[(start + n) % len(paths)])
        if image is not None:
            break
    else:
        raise SettingError("backgrounds", f"none of its {len(paths)} pictures decodes.", folder)
    height, width = image.shape[:2]
    side = max(1, round(min(height, width) * rng.uniform(_SMALLEST_CROP, 1)))
    top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
    crop = image[top : top + side, left : left + side]
    if rng.uniform() < 0.5:
        crop = crop[:, ::-1]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=interpolation)


def _decode(path: pathlib.Path) -> np.ndarray | None:
    """Returns RGB uint8, or None where the file cannot be read or decoded."""
    try:
        return load_image(path)
    except UserError:
        return None

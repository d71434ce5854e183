"""Things in front of people, pasted over crops in training: painted ones, or objects cut out of photographs.

After Sarandi et al., "How Robust is 3D Human Pose Estimation to Occlusion?" (2018), as PARE uses it: one to
seven objects, each at a random place, of a fifth up to the whole of its size in a picture of 256 pixels. Labels
stay: what is hidden is to be told from the rest.
"""

from __future__ import annotations

import functools
import os
import pathlib

import cv2
import numpy as np

from hpe.errors import SettingError
from hpe.synthetic.textures import pattern

PAINTED = "painted"

_MOST = 7
_SMALLEST = 0.2
# Sides of a painted thing, in pixels of a picture of 256.
_PAINTED_SIDES = (30, 200)
_REFERENCE = 256
# Of objects cut out of photographs: fewer pixels are no object, borders are softened, and all are halved.
_FEWEST_PIXELS = 500
_BORDER, _SOFT = 8, 192
_MOST_OBJECTS = 1000
_PICTURES = (".png", ".jpg", ".jpeg")


def paste(picture: np.ndarray, seed: int, objects: str = PAINTED) -> None:
    """Puts things in front of a picture.

    Args:
        picture: (S, S, 3) uint8 RGB, changed in place.
        seed: of what is pasted and where; the same gives the same.
        objects: `painted`, or a folder for `load_objects`.
    """
    rng = np.random.default_rng(seed)
    size = picture.shape[0]
    cut_out = None if objects == PAINTED else load_objects(objects)
    for _ in range(rng.integers(1, _MOST + 1)):
        thing = _painted(rng) if cut_out is None else cut_out[rng.integers(len(cut_out))]
        factor = rng.uniform(_SMALLEST, 1.0) * size / _REFERENCE
        sides = [max(round(side * factor), 1) for side in thing.shape[1::-1]]
        thing = cv2.resize(thing, sides, interpolation=cv2.INTER_AREA)
        _lay(thing, picture, rng.uniform(0, size, 2))


@functools.lru_cache(maxsize=4)
def load_objects(folder: str | os.PathLike) -> list[np.ndarray]:
    """Reads objects to paste, (h, w, 4) uint8 RGB and opacity each.

    Args:
        folder: PNG files with an alpha channel, one object each; or folders `images` and `masks` of a segmented
            dataset, with files of the same stem, of whose masks every connected part is an object.

    Raises:
        SettingError: there is no such folder, or no object in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise SettingError("occluders", f"must be {PAINTED} or a folder of objects.", folder)
    found: list[np.ndarray] = []
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        images = {path.stem: path for path in sorted((folder / "images").iterdir()) if _is_picture(path)}
        for path in sorted((folder / "masks").iterdir()):
            if path.stem in images and _is_picture(path) and len(found) < _MOST_OBJECTS:
                found += _cut(images[path.stem], path)
    else:
        for path in sorted(folder.glob("*.png"))[:_MOST_OBJECTS]:
            pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if pixels is not None and pixels.ndim == 3 and pixels.shape[2] == 4 and pixels.dtype == np.uint8:
                found.append(np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA)))
    if not found:
        raise SettingError(
            "occluders",
            "holds no object: neither PNG files with an alpha channel, nor folders `images` and `masks`.",
            folder,
        )
    return found[:_MOST_OBJECTS]


def _is_picture(path: pathlib.Path) -> bool:
    return path.suffix.lower() in _PICTURES


def _cut(image_path: pathlib.Path, mask_path: pathlib.Path) -> list[np.ndarray]:
    """Returns the objects of one picture, halved, with softened borders."""
    image = cv2.imread(str(image_path), cv2.IMREAD_COLOR_RGB)
    mask = cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None or mask.shape != image.shape[:2]:
        return []
    # VOC marks what nobody could tell by 255, as many masks mark their object: it is one where it is all there is.
    values = [value for value in np.unique(mask) if 0 < value < 255] or [255]
    found = []
    for value in values:
        count, parts, stats, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8))
        for part in range(1, count):
            left, top, width, height, area = stats[part]
            if area < _FEWEST_PIXELS:
                continue
            rows, columns = slice(top, top + height), slice(left, left + width)
            inside = (parts[rows, columns] == part).astype(np.uint8)
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_BORDER, _BORDER))
            core = cv2.erode(inside, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
            opacity = np.where(core > 0, 255, _SOFT * inside).astype(np.uint8)
            thing = np.dstack([image[rows, columns], opacity])
            found.append(cv2.resize(thing, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return found


def _painted(rng: np.random.Generator) -> np.ndarray:
    """Returns a painted thing: a turned box, an ellipse or a bar, with a surface of its own."""
    width, height = rng.integers(*_PAINTED_SIDES, 2)
    if rng.uniform() < 0.3:
        width = max(int(0.2 * width), 8)
    opacity = np.zeros((height, width), np.uint8)
    middle = (width / 2, height / 2)
    if rng.uniform() < 0.5:
        box = cv2.boxPoints((middle, (0.8 * width, 0.8 * height), rng.uniform(-25, 25)))
        cv2.fillPoly(opacity, [np.round(box).astype(np.int32)], 255)
    else:
        cv2.ellipse(opacity, (middle, (0.95 * width, 0.95 * height), 0.0), 255, -1)
    return np.dstack([pattern(rng, height, width).astype(np.uint8), opacity])


def _lay(thing: np.ndarray, picture: np.ndarray, middle: np.ndarray) -> None:
    """Blends a thing (h, w, 4) over a picture, centred on a pixel (x, y)."""
    height, width = thing.shape[:2]
    left, top = (round(float(place) - side / 2) for place, side in zip(middle, (width, height), strict=True))
    rows = slice(max(top, 0), min(top + height, picture.shape[0]))
    columns = slice(max(left, 0), min(left + width, picture.shape[1]))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    shown = thing[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    share = shown[..., 3:].astype(np.float32) / 255
    below = picture[rows, columns]
    picture[rows, columns] = np.rint(below + share * (shown[..., :3] - below.astype(np.float32)))

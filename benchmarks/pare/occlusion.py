"""A grey square that slides over crops, and what a model makes of the rest: errors by size and place of the square.

After Kocabas et al. (2021), who show so where a network looks for a joint: the error map has, at every place of the
square, the error of the prediction that was made with the square there.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from hpe import skeletons
from hpe.evaluation import metrics

GREY = 128
JOINTS = "lsp14"
_MILLIMETRES = 1000.0


@dataclasses.dataclass(frozen=True)
class Crops:
    """People to look at.

    Attributes:
        images: (N, S, S, 3) uint8.
        joints3d: (N, 19, 3) metres, joints of cocoplus19.
        silhouettes: (N, S, S) bool.
    """

    images: np.ndarray
    joints3d: np.ndarray
    silhouettes: np.ndarray


def covered(images: np.ndarray, x: float, y: float, side: int) -> np.ndarray:
    """Returns images (N, S, S, 3) with a grey square of `side` pixels around the pixel (x, y)."""
    images = images.copy()
    left, top = (round(place - side / 2) for place in (x, y))
    rows, columns = (slice(max(start, 0), max(start + side, 0)) for start in (top, left))
    images[:, rows, columns] = GREY
    return images


def places(size: int, count: int) -> np.ndarray:
    """Returns the middles (count^2, 2), x and y, of squares that slide over a crop, row by row."""
    line = (np.arange(count) + 0.5) * size / count - 0.5
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def errors(predict, crops: Crops, *, side: int, count: int) -> np.ndarray:
    """Returns MPJPE and PA-MPJPE of lsp14, (N, count^2, 2) in millimetres, with the square at every place.

    Args:
        predict: takes images (N, S, S, 3) and returns joints (N, 19, 3) of cocoplus19.
        crops: the people.
        side: of the square in pixels; 0 covers nothing.
        count: places along a side of the crop.
    """
    found = np.zeros((len(crops.images), count**2, 2))
    for place, (x, y) in enumerate(places(crops.images.shape[1], count)):
        found[:, place] = joint_errors(predict(covered(crops.images, x, y, side)), crops.joints3d)
        if not side:
            found[:, 1:] = found[:, :1]
            break
    return found


def joint_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns MPJPE and PA-MPJPE (N, 2) in millimetres of joints (N, 19, 3), 14 of them from the hips."""
    joints = np.arange(len(skeletons.get(JOINTS)))
    hips = [skeletons.COCOPLUS19.index(f"{side}_hip") for side in ("right", "left")]
    return _MILLIMETRES * np.stack(
        [
            metrics.mpjpe(predicted, target, root=hips, joints=joints),
            metrics.pa_mpjpe(predicted, target, joints=joints),
        ],
        axis=-1,
    )


def hides(crops: Crops, *, side: int, count: int) -> np.ndarray:
    """Returns the share (N, count^2) of every person that the square hides at every place."""
    shares = np.zeros((len(crops.images), count**2))
    total = np.maximum(crops.silhouettes.sum(axis=(1, 2)), 1)
    for place, (x, y) in enumerate(places(crops.images.shape[1], count)):
        marked = covered(np.zeros((1, *crops.images.shape[1:]), np.uint8), x, y, side)[0, ..., 0] > 0
        shares[:, place] = (crops.silhouettes & marked).sum(axis=(1, 2)) / total
    return shares


def draw_map(
    image: np.ndarray, values: np.ndarray, *, low: float, high: float, size: int = 256
) -> np.ndarray:
    """Lays an error map (count, count) over its crop: blue is `low`, red `high`; (size, size, 3) uint8 RGB."""
    picture = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    levels = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    smooth = cv2.resize(np.float32(levels), (size, size), interpolation=cv2.INTER_LINEAR)
    colors = cv2.applyColorMap(np.uint8(255 * smooth), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.uint8(0.5 * picture + 0.5 * colors)

"""Joints for pictures that have none, by two networks that look at each person: where they agree they are right.

The first teacher is MoveNet Thunder, on the person's box and then on the box of the joints that it found there. The
second is MoveNet Lightning on that box, or Thunder on the mirrored picture, a little aside.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from collections.abc import Callable, Sequence

import numpy as np

from hpe.geometry.cameras import pixels_to_normalized
from hpe.geometry.crops import Crop, box_crop
from hpe.skeletons import COCO17

# The box of a person's joints, as a share of the crop's side: 1 / 1.35.
_JOINTS_SHARE = 1 / 1.35
# Joints of a lower score say nothing of where a person is; where one teacher is less sure, agreement means less.
_SEEN, _SURE = 0.1, 0.2
_FEWEST = 4
# The mirrored view lies aside by this share of the crop's side, so that it falls on other cells of the maps.
_ASIDE = 0.06
# The share of right joints by the distance between both teachers, in torsos: 0.95 up to 0.04, 0.60 at 0.225.
_INTERCEPT, _SLOPE, _LEAST, _MOST = 1.03, 1.9, 0.3, 0.95
# A torso that points at the camera is short; the tolerance is of this share of the person at least.
_LEAST_TORSO = 0.2


class Second(enum.Enum):
    """Who looks after Thunder."""

    LIGHTNING = "lightning"
    MIRRORED = "mirrored"


@dataclasses.dataclass(frozen=True)
class Taught:
    """What the teachers say of the N people of a picture.

    Attributes:
        joints2d: (N, 17, 2) pixels, of COCO's joints, by the first teacher.
        scores: (N, 17) the lower of both teachers' scores.
        distances: (N, 17) how far the second's joint lies from the first's, in torsos.
    """

    joints2d: np.ndarray
    scores: np.ndarray
    distances: np.ndarray

    def agreed(self, tolerance: float) -> np.ndarray:
        """Returns (N, 17) bool: the joints that both see, within a tolerance in torsos."""
        return (self.distances <= tolerance) & (self.scores >= _SURE)

    def confidences(self, tolerance: float) -> np.ndarray:
        """Returns (N, 17) in [0, 1]: how likely a joint is right, 0 for those that are not agreed upon.

        It falls with the distance as the share of right joints does on LSP, see docs/own_data.md.
        """
        likely = np.clip(_INTERCEPT - _SLOPE * self.distances, _LEAST, _MOST)
        return np.where(self.agreed(tolerance), likely, 0.0)


class Teachers:
    """Both teachers.

    Args:
        second: who looks after Thunder.
        thunder, lightning: from crops (N, S, S, 3) uint8 to joints (N, 17, 3) in pixels of the crop and scores,
            with their `size` S; by default MoveNet with the weights of the package.
    """

    def __init__(
        self,
        second: Second = Second.LIGHTNING,
        *,
        thunder: Callable | None = None,
        lightning: Callable | None = None,
    ):
        self._second = second
        self._thunder = thunder or _movenet("thunder")
        if second is Second.LIGHTNING:
            self._lightning = lightning or _movenet("lightning")

    def __call__(self, picture: np.ndarray, boxes: Sequence[Sequence[float]]) -> Taught:
        """Looks at the people of a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.
            boxes: (N, 4) x, y, width, height in pixels.
        """
        if not len(boxes):
            return Taught(np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros((0, 17)))
        crops = [box_crop(tuple(box), self._thunder.size) for box in boxes]
        rough = _look(self._thunder, picture, crops)
        near = [_box_of(joints, box) for joints, box in zip(rough, boxes, strict=True)]
        first = _look(self._thunder, picture, self._closer(near, self._thunder.size))
        if self._second is Second.LIGHTNING:
            second = _look(self._lightning, picture, self._closer(near, self._lightning.size))
        else:
            aside = [(x + _ASIDE * max(w, h), y - _ASIDE * max(w, h), w, h) for x, y, w, h in near]
            crops = [
                dataclasses.replace(crop, mirror=True) for crop in self._closer(aside, self._thunder.size)
            ]
            second = _look(self._thunder, picture, crops)[:, list(COCO17.flip)]
        distances = np.linalg.norm(first[..., :2] - second[..., :2], axis=-1) / _torsos(first)[:, None]
        return Taught(first[..., :2], np.minimum(first[..., 2], second[..., 2]), distances)

    @staticmethod
    def _closer(boxes, size: int) -> list[Crop]:
        return [box_crop(box, size, box_share=_JOINTS_SHARE) for box in boxes]


def _look(network: Callable, picture: np.ndarray, crops: Sequence[Crop]) -> np.ndarray:
    """Returns the joints (N, 17, 3) in pixels of the picture."""
    found = np.array(network(np.stack([crop.take(picture) for crop in crops])), np.float64)
    for joints, crop in zip(found, crops, strict=True):
        joints[:, :2] = crop.to_frame(pixels_to_normalized(joints[:, :2], crop.size))
    return found


def _box_of(joints: np.ndarray, box: Sequence[float]) -> tuple[float, ...]:
    """Returns the box (x, y, width, height) about joints (17, 3); the one given where too few were found."""
    seen = joints[joints[:, 2] >= _SEEN, :2]
    if len(seen) < _FEWEST:
        return tuple(float(number) for number in box)
    low, high = seen.min(axis=0), seen.max(axis=0)
    return (*low.tolist(), *np.maximum(high - low + 1, 2).tolist())


def _torsos(joints: np.ndarray) -> np.ndarray:
    """Returns (N,): from left shoulder to right hip, or a share of the person where that is more."""
    torso = joints[:, COCO17.index("left_shoulder"), :2] - joints[:, COCO17.index("right_hip"), :2]
    whole = np.ptp(joints[..., :2], axis=1).max(axis=-1)
    return np.maximum(np.linalg.norm(torso, axis=-1), np.maximum(_LEAST_TORSO * whole, 1.0))


@functools.cache
def _movenet(version: str) -> Callable:
    import tensorflow as tf

    from hpe.networks.movenet import MoveNet

    movenet = MoveNet(version)
    size = movenet.size.picture

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8)], autograph=False)
    def infer(crops):
        return movenet(tf.cast(crops, tf.float32) / 127.5 - 1.0)

    def call(crops):
        return infer(crops).numpy()

    call.size = size
    return call

"""Where the people of a picture are: boxes with scores, from the detector that comes with the package.

RTMDet-nano sees the picture scaled so that its longer side is 320 pixels, at the top left of a canvas whose sides
are multiples of 32. A cell of a map of stride s stands for the point (column s, row s).
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np

# Of the canvas; the network is tuned to it, larger ones lose large people.
_LONGER_SIDE = 320
_MULTIPLE = 32
_FILL = 114
_MEAN = np.float32((103.53, 116.28, 123.675))  # BGR
_DEVIATION = np.float32((57.375, 57.12, 58.395))

_WEIGHTS = "rtmdet_nano.safetensors"


@dataclasses.dataclass(frozen=True)
class Detections:
    """The people that were found in a picture, the surest first.

    Attributes:
        boxes: (N, 4) float32 x, y, width, height, pixels of the picture; pixel centres lie at integers.
        scores: (N,) float32 in [0, 1].
    """

    boxes: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


class PersonDetector(Protocol):
    """Anything that finds people."""

    def __call__(self, image: np.ndarray) -> Detections:
        """Finds the people in an image (H, W, 3), uint8 RGB."""
        ...


class RtmdetDetector:
    """RTMDet-nano with the weights of the package.

    Args:
        threshold: least score of a person. 0.35 is the best F1 over people of a quarter of the picture's height in
            COCO photographs; 0.2 finds more people in unusual poses, and more that are none.
        overlap: of two boxes whose intersection over union is larger, the surer one is kept.
        infer: from (1, H, W, 3) normalised BGR to the maps of `hpe.networks.rtmdet.build_rtmdet`; by default the
            network with the weights of the package, compiled.
    """

    def __init__(self, *, threshold: float = 0.35, overlap: float = 0.5, infer: Callable | None = None):
        for name, value in (("threshold", threshold), ("overlap", overlap)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1]. Received: {name}={value}")
        self._threshold, self._overlap = threshold, overlap
        self._infer = infer or packaged_network()

    def __call__(self, image: np.ndarray) -> Detections:
        """Finds the people in an image (H, W, 3), uint8 RGB."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(
                f"image must be (H, W, 3) uint8 RGB. Received: shape={image.shape}, dtype={image.dtype}"
            )
        canvas, scale = letterbox(image)
        corners, scores = decode(self._infer(normalize(canvas)[None]))
        return select(
            # The canvas's pixel areas, not centres, were scaled.
            (corners + 0.5) / scale - 0.5,
            scores,
            size=image.shape[:2],
            threshold=self._threshold,
            overlap=self._overlap,
        )


def letterbox(
    image: np.ndarray, *, longer_side: int = _LONGER_SIDE, square: bool = False
) -> tuple[np.ndarray, float]:
    """Scales an image to the top left of a grey canvas.

    Args:
        image: (H, W, 3) uint8.
        longer_side: of the canvas, a multiple of 32.
        square: whether the canvas is a square; else its shorter side is the smallest multiple of 32 that does.

    Returns:
        The canvas, uint8, and canvas pixels per image pixel.
    """
    height, width = image.shape[:2]
    scale = longer_side / max(height, width)
    scaled = [max(1, min(longer_side, round(side * scale))) for side in (height, width)]
    sides = [longer_side if square else -(-side // _MULTIPLE) * _MULTIPLE for side in scaled]
    canvas = np.full((*sides, 3), _FILL, np.uint8)
    # Bilinear sampling reads four pixels only; shrinking much needs the mean of all.
    interpolation = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    canvas[: scaled[0], : scaled[1]] = cv2.resize(image, scaled[::-1], interpolation=interpolation)
    return canvas, scale


def normalize(canvas: np.ndarray) -> np.ndarray:
    """Turns RGB (..., 3) uint8 into what RTMDet was trained on: BGR minus a mean, over a standard deviation."""
    return (canvas[..., ::-1] - _MEAN) / _DEVIATION


def decode(maps) -> tuple[np.ndarray, np.ndarray]:
    """Reads boxes from maps.

    Args:
        maps: per stride 8, 16, 32 a pair of class logits (1, h, w, 1) and distances (1, h, w, 4) in strides.

    Returns:
        Left, top, right, bottom (N, 4) float32 in pixels of the canvas, and scores (N,) float32 in [0, 1].
    """
    corners, scores = [], []
    for stride, (logits, distances) in zip((8, 16, 32), maps, strict=True):
        logits, distances = np.asarray(logits, np.float32)[0], np.asarray(distances, np.float32)[0]
        rows, columns = np.mgrid[: logits.shape[0], : logits.shape[1]].astype(np.float32)
        points = stride * np.stack([columns, rows, columns, rows], axis=-1)
        boxes = points + stride * distances * np.float32([-1, -1, 1, 1])
        corners.append(boxes.reshape(-1, 4))
        scores.append(1 / (1 + np.exp(-logits.reshape(-1))))
    return np.concatenate(corners), np.concatenate(scores)


def select(
    corners: np.ndarray,
    scores: np.ndarray,
    *,
    size: tuple[int, int],
    threshold: float,
    overlap: float,
) -> Detections:
    """Keeps the sure boxes, of overlapping ones the surest, and clips them to the picture.

    Args:
        corners: (N, 4) left, top, right, bottom in pixels.
        scores: (N,).
        size: height and width of the picture.
        threshold: least score.
        overlap: largest intersection over union of two that are kept.
    """
    sure = np.flatnonzero((scores >= threshold) & np.isfinite(corners).all(axis=1))
    order = sure[np.argsort(-scores[sure], kind="stable")]
    corners = np.clip(corners[order], -0.5, np.float32([size[1], size[0]] * 2) - 0.5)
    scores = scores[order]
    wide = ((corners[:, 2:] - corners[:, :2]) >= 1).all(axis=1)
    corners, scores = corners[wide], scores[wide]
    kept: list[int] = []
    for index in range(len(corners)):
        if all(intersection_over_union(corners[index], corners[other]) <= overlap for other in kept):
            kept.append(index)
    corners, scores = corners[kept], scores[kept]
    boxes = np.concatenate([corners[:, :2] + 0.5, corners[:, 2:] - corners[:, :2]], axis=1)
    return Detections(boxes.astype(np.float32).reshape(-1, 4), scores.astype(np.float32))


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> float:
    """Returns the overlap of two boxes (4,) left, top, right, bottom."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = np.prod(np.maximum(high - low, 0))
    total = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared
    return float(shared / total) if total > 0 else 0.0


@functools.cache
def packaged_network() -> Callable:
    """Returns the function of the network in the package: pictures (1, h, w, 3), normalised, to its maps."""
    # All are slow to import, and a detector of another kind needs none of them.
    from hpe.backends import graphs

    if graphs.available():
        from hpe.networks.ready import ready_graph

        return functools.partial(_run_graph, ready_graph("rtmdet_nano"))
    from safetensors.numpy import load

    from hpe.backends.choice import graph_compiled
    from hpe.networks.rtmdet import build_rtmdet

    model = build_rtmdet()
    arrays = load(importlib.resources.files("hpe.networks").joinpath("assets", _WEIGHTS).read_bytes())
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(arrays.pop(f"{layer.name}/{variable.name}").astype(np.float32))
    if arrays:
        raise ValueError(f"{_WEIGHTS} holds arrays of no layer: {', '.join(arrays)}")
    return graph_compiled(functools.partial(model, training=False))


def _run_graph(graph, image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    found = graph(image=image)
    return [(found[f"logits_{level}"], found[f"distances_{level}"]) for level in range(3)]

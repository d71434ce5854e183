"""Labels of the parts of a body, drawn from its pose and shape: of synthetic people, and of records with a body.

The whole body is drawn, whatever stands before it, as for PARE: where a hidden part is, the others tell.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from hpe import skeletons
from hpe.body.data import BodyModelData, load_body_model
from hpe.body.parts import part_of_vertices
from hpe.datasets.sample import Sample, Skipped
from hpe.datasets.source import Source
from hpe.skeletons import COCOPLUS19
from hpe.synthetic.dressed_body import NumpyBody
from hpe.visualization.rasterizer import Camera, render, weak_perspective_camera

# Without a camera of its own a body is laid onto its 2D joints; of so many at least, and no farther off than so
# much of the person's longer side.
_FEWEST_JOINTS = 6
_FARTHEST = 0.08


def draw_part_labels(vertices, faces, camera: Camera, size: tuple[int, int], parts) -> np.ndarray:
    """Returns the part of every pixel, (height, width) uint8, 0 where there is no body.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3).
        camera: of the picture.
        size: (height, width) in pixels.
        parts: (V,) of `hpe.body.parts.part_of_vertices`.
    """
    labels = render(vertices, faces, camera, size, vertex_labels=parts).labels
    return np.maximum(labels, 0).astype(np.uint8)


def encode_labels(labels: np.ndarray) -> bytes:
    """Returns labels (H, W) uint8 as PNG; equal labels give equal bytes."""
    return cv2.imencode(".png", labels, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()


def with_part_labels(source: Source, paths: Sequence[str]) -> Source:
    """Returns a source whose samples have labels of parts where they have one of the bodies.

    Args:
        source: any.
        paths: files of body models, or `default`.

    Raises:
        UserError: a body model cannot be read.
    """
    _bodies(tuple(paths))
    return dataclasses.replace(source, load=functools.partial(_labelled, source.load, tuple(paths)))


def _labelled(load, paths: tuple[str, ...], item) -> Sample | Skipped:
    sample = load(item)
    return sample if isinstance(sample, Skipped) else labelled(sample, _bodies(paths))


@functools.cache
def _bodies(paths: tuple[str, ...]) -> dict[str, BodyModelData]:
    return {data.name: data for data in map(load_body_model, paths)}


def labelled(sample: Sample, bodies: Mapping[str, BodyModelData]) -> Sample:
    """Returns a sample with labels of parts, if it has a body and none; else as it is, perhaps with a note.

    Args:
        sample: any.
        bodies: by the names that records call them; those of men and women go before the neutral one.
    """
    gendered = f"{sample.body_model}_{sample.gender}"
    data = bodies.get(gendered, bodies.get(sample.body_model or ""))
    if sample.part_labels is not None or sample.pose is None or sample.shape is None or data is None:
        return sample
    body, parts = _ready(data)
    vertices, _ = body.pose(sample.pose, sample.shape)
    longer = max(sample.height, sample.width)
    if sample.camera is not None:
        camera = weak_perspective_camera(sample.camera, longer)
    else:
        camera = _camera_onto_joints(sample, body.keypoints(COCOPLUS19.name, vertices))
        if camera is None:
            note = "body does not lie on its 2D joints: no part labels"
            return dataclasses.replace(sample, notes=(*sample.notes, note))
    labels = draw_part_labels(vertices, data.faces, camera, (sample.height, sample.width), parts)
    return dataclasses.replace(sample, part_labels=encode_labels(labels))


_kept: dict[int, tuple[BodyModelData, NumpyBody, np.ndarray]] = {}


def _ready(data: BodyModelData) -> tuple[NumpyBody, np.ndarray]:
    """Returns what posing and labelling need to know of a body, made once for each."""
    kept = _kept.get(id(data))
    if kept is None or kept[0] is not data:
        kept = _kept[id(data)] = data, NumpyBody(data), part_of_vertices(data)
    return kept[1:]


def _camera_onto_joints(sample: Sample, keypoints: np.ndarray) -> Camera | None:
    """Returns the weak-perspective camera that lays keypoints (19, 3) onto a sample's joints; None if it cannot."""
    conversion = skeletons.convert(skeletons.get(sample.skeleton), COCOPLUS19, missing=True)
    seen = conversion.confidences(np.asarray(sample.visibility)) > 0
    if seen.sum() < _FEWEST_JOINTS:
        return None
    pixels = conversion.coordinates(np.asarray(sample.joints2d, np.float64))[seen]
    points = np.asarray(keypoints[seen, :2], np.float64)
    flat, centred = points - points.mean(axis=0), pixels - pixels.mean(axis=0)
    scale = (flat * centred).sum() / max((flat**2).sum(), 1e-12)
    offset = pixels.mean(axis=0) - scale * points.mean(axis=0)
    off = np.linalg.norm(scale * points + offset - pixels, axis=1).mean()
    if scale <= 0 or off > _FARTHEST * np.ptp(pixels, axis=0).max():
        return None
    return Camera(scale, scale, *offset, perspective=False)

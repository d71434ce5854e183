"""The rasteriser against the usual way without a graphics card: OpenCV polygons, the farthest first."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from benchmarks.timing import Row, compare, interleaved, milliseconds
from hpe.body.data import load_body_model
from hpe.visualization.rasterizer import Camera, Light, render, render_mask, weak_perspective_camera

SIZE = 224
TRIANGLES = 27_000
_LIGHT = Light()


def rows(rounds: int) -> Iterator[Row | str]:
    """Yields the rows of the full picture and of the mask alone."""
    vertices, faces = mesh()
    camera = weak_perspective_camera((0.85, 0.0, 0.0), SIZE)
    variants = {
        "render": lambda: render(vertices, faces, camera, (SIZE, SIZE), light=_LIGHT),
        "mask": lambda: render_mask(vertices, faces, camera, (SIZE, SIZE)),
        "painter": lambda: painted(vertices, faces, camera),
    }
    ours, theirs = variants["render"]().mask, variants["painter"]().any(axis=2)
    overlap = np.count_nonzero(ours & theirs) / np.count_nonzero(ours | theirs)
    times = interleaved(variants, rounds=rounds)
    title = f"rasteriser, {TRIANGLES:,} triangles, {SIZE}x{SIZE}, one thread"
    for name, what in (("render", "colour, depth and mask"), ("mask", "mask alone")):
        yield compare(f"{title}: {what}", times[name], "cv2.fillConvexPoly", times["painter"], milliseconds)
    yield (
        f"rasteriser: OpenCV's pixels overlap with these by {overlap:.2f} (intersection over union; it also "
        "fills every pixel that an edge touches) and bring no depth."
    )


def mesh() -> tuple[np.ndarray, np.ndarray]:
    """Returns the default body, camera frame, with as many faces cut into four as make 27,000 triangles."""
    data = load_body_model()
    vertices, faces = data.v_template * np.float32([1, -1, -1]), data.faces
    cut, kept = np.split(faces, [(TRIANGLES - len(faces)) // 3])
    middles = [vertices[cut[:, [k, (k + 1) % 3]]].mean(axis=1) for k in range(3)]
    # The new vertex on the edge from corner k of cut face i.
    new = len(vertices) + len(cut) * np.arange(3) + np.arange(len(cut))[:, None]
    corners = [np.stack([cut[:, k], new[:, k], new[:, k - 1]], axis=1) for k in range(3)]
    faces = np.concatenate([kept, new, *corners]).astype(np.int32)
    if len(faces) != TRIANGLES:
        raise ValueError(f"the mesh should have {TRIANGLES} triangles. Received: {len(faces)}")
    return np.concatenate([vertices, *middles]).astype(np.float32), faces


def painted(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> np.ndarray:
    """Returns a picture (H, W, 3) uint8 of flat-shaded triangles, drawn from the farthest to the nearest."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    cosines = -(normals / np.maximum(lengths, 1e-12)) @ (_LIGHT.direction / np.linalg.norm(_LIGHT.direction))
    brightness = _LIGHT.ambient + _LIGHT.diffuse * np.maximum(cosines, 0)
    colors = np.clip(brightness[:, None] * (166, 189, 219), 1, 255)
    polygons = np.rint(camera.project(vertices)[:, :2]).astype(np.int32)[faces]
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    for face in np.argsort(-corners[:, :, 2].mean(axis=1)):
        cv2.fillConvexPoly(picture, polygons[face], colors[face].tolist())
    return picture

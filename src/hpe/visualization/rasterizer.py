"""A z-buffer rasteriser for triangle meshes: colour, depth, mask and vertex-label maps.

A pixel is covered when its centre, which lies at integer coordinates, is inside the projected triangle.
Every edge function is evaluated from the same end of the edge whichever triangle asks, and centres that lie
exactly on an edge go by the top-left rule, so that triangles sharing an edge neither leave cracks nor cover
a pixel twice. Shading is deferred: only the face that won a pixel is shaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from hpe.visualization import kernels

LIGHT_BLUE = (166, 189, 219)  # (.65, .74, .86), the body colour of HMR's renderer
NEAR_PLANE = 0.01  # metres; what lies closer to a perspective camera is cut off


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera at the origin of its frame (x right, y down, z forward).

    Attributes:
        fx, fy: pixels per unit slope if `perspective`, else pixels per metre.
        cx, cy: pixel to which the optical axis projects.
        perspective: whether x and y are divided by z.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    perspective: bool = True

    def project(self, points) -> np.ndarray:
        """Projects points (N, 3), camera frame, metres, to (N, 3) float64: pixel x, pixel y, depth.

        Points at or behind a perspective camera (depth <= 0) get pixel coordinates NaN.
        """
        points = np.asarray(points, np.float64)
        depth = points[..., 2]
        divisor = np.where(depth > 0, depth, np.nan) if self.perspective else np.ones_like(depth)
        x = self.fx * points[..., 0] / divisor + self.cx
        y = self.fy * points[..., 1] / divisor + self.cy
        return np.stack([x, y, depth], axis=-1)

    def shifted(self, x: float, y: float) -> Camera:
        """Returns the camera of the image whose pixel (x, y) has become the first."""
        return dataclasses.replace(self, cx=self.cx - x, cy=self.cy - y)

    def scaled(self, factor: float) -> Camera:
        """Returns the camera of the image enlarged `factor` times, pixel areas on the same content.

        As pixel centres lie at integers, x becomes factor x + (factor - 1) / 2.
        """
        shift = (factor - 1) / 2
        return dataclasses.replace(
            self,
            fx=self.fx * factor,
            fy=self.fy * factor,
            cx=self.cx * factor + shift,
            cy=self.cy * factor + shift,
        )


def weak_perspective_camera(camera, size: float) -> Camera:
    """Returns the rasteriser's camera for HMR's weak perspective.

    Args:
        camera: (3,) scale and translation (s, tx, ty) with p = s (X_xy + t) in [-1, 1].
        size: side in pixels of the image that [-1, 1] spans: pixel = (p + 1) size / 2.
    """
    s, tx, ty = (float(value) for value in np.asarray(camera).reshape(3))
    half = size / 2
    return Camera(s * half, s * half, (s * tx + 1) * half, (s * ty + 1) * half, perspective=False)


@dataclasses.dataclass(frozen=True)
class Light:
    """A distant light with its share of ambient light; brightness = ambient + diffuse max(0, -n . direction).

    Attributes:
        direction: (3,) the way the light travels, camera frame; any length but zero.
        ambient, diffuse: intensities; a brightness of 1 shows the surface's own colour.
    """

    direction: tuple[float, float, float] = (0.4, 0.6, 1.0)
    ambient: float = 0.35
    diffuse: float = 0.75


# A main light over the left shoulder of the viewer and a weak one from the other side, as in a studio.
STUDIO = (Light((0.5, 0.7, 1.0), 0.30, 0.62), Light((-1.0, 0.1, 0.6), 0.05, 0.25))


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What `render` returns.

    Attributes:
        color: (H, W, 3) uint8 RGB over the background.
        depth: (H, W) float32 metres along z, inf where empty.
        mask: (H, W) bool.
        labels: (H, W) int32 label of the vertex closest in barycentric terms, -1 where empty or unlabelled.
    """

    color: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    labels: np.ndarray


def render(
    vertices,
    faces,
    camera: Camera,
    size: tuple[int, int],
    *,
    vertex_colors=None,
    vertex_labels=None,
    background=None,
    light: Light | Sequence[Light] | None = None,
    smooth: bool = True,
    cull: bool = False,
) -> Rendering:
    """Renders a triangle mesh.

    Faces with a vertex that is not finite are left out, what lies before the near plane of a perspective
    camera is cut off, and what lies outside the image is clipped: no input crashes but an index out of range.

    Args:
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) vertex indices; outward normals follow the right-hand rule.
        camera: where vertices project to.
        size: (height, width) of the picture in pixels.
        vertex_colors: (V, 3) uint8 RGB; None gives all LIGHT_BLUE.
        vertex_labels: (V,) integers for the label map.
        background: (H, W, 3) uint8 RGB; None gives black.
        light: one light or several; None gives STUDIO.
        smooth: interpolate vertex normals; otherwise every face has its own.
        cull: leave out faces that turn their back to the camera.

    Raises:
        ValueError: shapes do not fit or a face names a vertex that is not there.
    """
    height, width = size
    vertices = _array(vertices, np.float64)
    faces = _array(faces, np.int32)
    _check(vertices, faces, (height, width), vertex_colors, vertex_labels, background)
    screen, depth, winner = _fill(vertices, faces, camera, size, cull)

    color = np.zeros((height, width, 3), np.uint8) if background is None else np.array(background, np.uint8)
    if vertex_labels is None:  # A view of one number: nothing writes to it, and it costs no memory.
        labels = np.broadcast_to(np.int32(-1), (height, width))
        marks, marked = np.empty(0, np.int32), np.empty((0, 0), np.int32)
    else:
        labels = marked = np.full((height, width), -1, np.int32)
        marks = _array(vertex_labels, np.int32)
    if vertex_colors is None:
        vertex_colors = np.empty((0, 3), np.uint8)
    lights = STUDIO if light is None else (light,) if isinstance(light, Light) else tuple(light)
    normals = kernels.vertex_normals(vertices, faces) if smooth else np.empty((0, 3))
    kernels.shade(
        vertices,
        screen,
        faces,
        float(camera.fx),
        float(camera.fy),
        float(camera.cx),
        float(camera.cy),
        camera.perspective,
        winner,
        _array(vertex_colors, np.uint8),
        np.array(LIGHT_BLUE, np.float64),
        marks,
        normals,
        _light_table(lights),
        color,
        marked,
    )
    return Rendering(color, depth, winner >= 0, labels)


def blend(picture: np.ndarray, vertices, faces, camera: Camera, *, samples: int, vertex_colors=None) -> None:
    """Draws a closed mesh into a picture with smooth edges, in a fraction of the time of `render`.

    Faces that turn their back to the camera are left out, and the STUDIO lights shine on vertices, not on pixels.

    Args:
        picture: (H, W, 3) uint8 RGB, which is changed.
        vertices: (V, 3) metres, camera frame.
        faces: (F, 3) vertex indices; outward normals follow the right-hand rule.
        camera: of the picture.
        samples: each pixel is looked at in samples x samples places.
        vertex_colors: (V, 3) uint8 RGB; None gives all LIGHT_BLUE.

    Raises:
        ValueError: shapes do not fit or a face names a vertex that is not there.
    """
    vertices = _array(vertices, np.float64)
    faces = _array(faces, np.int32)
    size = picture.shape[0] * samples, picture.shape[1] * samples
    _check(vertices, faces, picture.shape[:2], vertex_colors, None, picture)
    screen, _, winner = _fill(vertices, faces, camera.scaled(samples), size, True)
    colors = _array(np.empty((0, 3)) if vertex_colors is None else vertex_colors, np.uint8)
    normals = kernels.vertex_normals(vertices, faces)
    lit = kernels.lit_colors(colors, np.array(LIGHT_BLUE, np.float64), normals, _light_table(STUDIO))
    kernels.blend(screen, faces, winner, samples, lit, picture)


def render_mask(vertices, faces, camera: Camera, size: tuple[int, int]) -> np.ndarray:
    """Returns the mask of `render`, bool (height, width), without shading anything."""
    vertices = _array(vertices, np.float64)
    faces = _array(faces, np.int32)
    _check(vertices, faces, size, None, None, None)
    return _fill(vertices, faces, camera, size, False)[2] >= 0


def _fill(vertices, faces, camera, size, cull):
    """Returns the projected vertices (V, 3), the depth and the index of the face in front (H, W)."""
    intrinsics = (float(camera.fx), float(camera.fy), float(camera.cx), float(camera.cy))
    screen = np.empty_like(vertices)
    kernels.project(vertices, *intrinsics, camera.perspective, NEAR_PLANE, screen)
    depth = np.full(size, np.inf, np.float32)
    winner = np.full(size, -1, np.int32)
    kernels.fill(vertices, screen, faces, *intrinsics, camera.perspective, NEAR_PLANE, cull, depth, winner)
    return screen, depth, winner


def _array(values, dtype) -> np.ndarray:
    """Returns a contiguous, writeable array: Numba would compile again for a read-only one."""
    return np.require(values, dtype, ["C", "W"])


def _light_table(lights) -> np.ndarray:
    """Returns (L, 5) float64 rows of unit direction, ambient and diffuse."""
    table = np.empty((len(lights), 5))
    for row, light in zip(table, lights, strict=True):
        direction = np.asarray(light.direction, np.float64)
        length = np.linalg.norm(direction)
        if not length > 0:
            raise ValueError(f"A light needs a direction of non-zero length. Received: light={light}")
        row[:3] = direction / length
        row[3:] = light.ambient, light.diffuse
    return table


def _check(vertices, faces, size, vertex_colors, vertex_labels, background):
    height, width = size
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ValueError(f"vertices must be shaped (V, 3). Received: shape={vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must be shaped (F, 3). Received: shape={faces.shape}")
    if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
        raise ValueError(
            f"faces must index the {len(vertices)} vertices. Received: indices {faces.min()}..{faces.max()}"
        )
    for name, array, shape in (
        ("vertex_colors", vertex_colors, (len(vertices), 3)),
        ("vertex_labels", vertex_labels, (len(vertices),)),
        ("background", background, (height, width, 3)),
    ):
        if array is not None and np.shape(array) != shape:
            raise ValueError(f"{name} must be shaped {shape}. Received: shape={np.shape(array)}")

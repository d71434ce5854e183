"""The compiled loops of the rasteriser; see `hpe.visualization.rasterizer` for what they mean."""

from __future__ import annotations

import math

import numpy as np

from hpe.backends.compilation import compiled as _compiled


@_compiled
def project(vertices, fx, fy, cx, cy, perspective, near, screen):
    """Writes pixel x, pixel y and depth (V, 3) to `screen`; x is NaN before the near plane."""
    for v in range(vertices.shape[0]):
        x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        if perspective:
            if z >= near:
                screen[v, 0] = fx * x / z + cx
                screen[v, 1] = fy * y / z + cy
            else:
                screen[v, 0] = math.nan
                screen[v, 1] = math.nan
        else:
            screen[v, 0] = fx * x + cx
            screen[v, 1] = fy * y + cy
        screen[v, 2] = z


@_compiled
def _edge(ax, ay, bx, by):
    """Coefficients of e(x, y) = A x + B y + C, positive to the right of a -> b on screen (y down).

    They come from the lesser end of the edge, so that b -> a has exactly the opposite values.
    """
    if ax < bx or (ax == bx and ay < by):
        a = ay - by
        b = bx - ax
        return a, b, -(a * ax + b * ay)
    a = by - ay
    b = ax - bx
    return -a, -b, a * bx + b * by


@_compiled
def _inside(e, a, b):
    """Whether a centre with edge value `e` belongs to the edge's inner side, by the top-left rule at zero."""
    return e > 0 or (e == 0 and (a > 0 or (a == 0 and b > 0)))


@_compiled
def _fill_triangle(x0, y0, z0, x1, y1, z1, x2, y2, z2, face, perspective, cull, depth, winner):
    """Depth-tests one projected triangle with finite coordinates."""
    height, width = depth.shape
    left = max(0.0, math.ceil(min(x0, x1, x2)))
    right = min(width - 1.0, math.floor(max(x0, x1, x2)))
    top = max(0.0, math.ceil(min(y0, y1, y2)))
    bottom = min(height - 1.0, math.floor(max(y0, y1, y2)))
    if left > right or top > bottom:
        return
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    if area == 0 or (cull and area > 0):
        return
    if area < 0:
        x1, y1, z1, x2, y2, z2 = x2, y2, z2, x1, y1, z1
    a0, b0, c0 = _edge(x1, y1, x2, y2)
    a1, b1, c1 = _edge(x2, y2, x0, y0)
    a2, b2, c2 = _edge(x0, y0, x1, y1)
    if perspective:  # 1 / z is what varies linearly on screen.
        z0, z1, z2 = 1 / z0, 1 / z1, 1 / z2
    for row in range(int(top), int(bottom) + 1):
        r0 = b0 * row + c0
        r1 = b1 * row + c1
        r2 = b2 * row + c2
        for column in range(int(left), int(right) + 1):
            e0 = a0 * column + r0
            e1 = a1 * column + r1
            e2 = a2 * column + r2
            if _inside(e0, a0, b0) and _inside(e1, a1, b1) and _inside(e2, a2, b2):
                z = (e0 * z0 + e1 * z1 + e2 * z2) / (e0 + e1 + e2)
                if perspective:
                    z = 1 / z
                z32 = np.float32(z)
                if z32 < depth[row, column]:
                    depth[row, column] = z32
                    winner[row, column] = face


@_compiled
def _fill_clipped(vertices, i, j, k, fx, fy, cx, cy, near, face, cull, depth, winner):
    """Cuts a triangle that straddles the near plane and fills the one or two triangles that are left."""
    corners = (i, j, k)
    polygon = np.empty((4, 3))
    count = 0
    for n in range(3):
        p = vertices[corners[n]]
        q = vertices[corners[(n + 1) % 3]]
        if p[2] >= near:
            polygon[count] = p
            count += 1
        if (p[2] >= near) != (q[2] >= near):
            # From the corner in front to the one behind, so that neighbours cut their edge at the same point.
            front, back = (p, q) if p[2] >= near else (q, p)
            t = (front[2] - near) / (front[2] - back[2])
            polygon[count] = front + t * (back - front)
            polygon[count, 2] = near
            count += 1
    for n in range(count):
        polygon[n, 0] = fx * polygon[n, 0] / polygon[n, 2] + cx
        polygon[n, 1] = fy * polygon[n, 1] / polygon[n, 2] + cy
    for n in range(1, count - 1):
        p, q, r = polygon[0], polygon[n], polygon[n + 1]
        _fill_triangle(p[0], p[1], p[2], q[0], q[1], q[2], r[0], r[1], r[2], face, True, cull, depth, winner)


@_compiled
def fill(vertices, screen, faces, fx, fy, cx, cy, perspective, near, cull, depth, winner):
    """Fills `depth` (H, W) and `winner` (H, W), the index of the face in front, -1 where there is none."""
    for face in range(faces.shape[0]):
        i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
        x0, y0, z0 = screen[i, 0], screen[i, 1], screen[i, 2]
        x1, y1, z1 = screen[j, 0], screen[j, 1], screen[j, 2]
        x2, y2, z2 = screen[k, 0], screen[k, 1], screen[k, 2]
        if math.isfinite(x0 + y0 + z0 + x1 + y1 + z1 + x2 + y2 + z2):
            _fill_triangle(x0, y0, z0, x1, y1, z1, x2, y2, z2, face, perspective, cull, depth, winner)
        elif perspective and (z0 >= near or z1 >= near or z2 >= near):
            total = 0.0
            for c in range(3):
                total += vertices[i, c] + vertices[j, c] + vertices[k, c]
            if math.isfinite(total):
                _fill_clipped(vertices, i, j, k, fx, fy, cx, cy, near, face, cull, depth, winner)


@_compiled
def _face_normal(vertices, i, j, k):
    """The normal of a face by the right-hand rule; its length is twice the area."""
    ux = vertices[j, 0] - vertices[i, 0]
    uy = vertices[j, 1] - vertices[i, 1]
    uz = vertices[j, 2] - vertices[i, 2]
    vx = vertices[k, 0] - vertices[i, 0]
    vy = vertices[k, 1] - vertices[i, 1]
    vz = vertices[k, 2] - vertices[i, 2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@_compiled
def vertex_normals(vertices, faces):
    """Returns (V, 3) normals, the sum of the adjacent faces' normals weighted by area, of any length."""
    normals = np.zeros_like(vertices)
    for face in range(faces.shape[0]):
        x, y, z = _face_normal(vertices, faces[face, 0], faces[face, 1], faces[face, 2])
        for corner in range(3):
            v = faces[face, corner]
            normals[v, 0] += x
            normals[v, 1] += y
            normals[v, 2] += z
    for v in range(normals.shape[0]):
        x, y, z = normals[v, 0], normals[v, 1], normals[v, 2]
        length = math.sqrt(x * x + y * y + z * z)
        if length > 0:
            normals[v, 0] = x / length
            normals[v, 1] = y / length
            normals[v, 2] = z / length
    return normals


@_compiled
def _weights(x0, y0, z0, x1, y1, z1, x2, y2, z2, dx, dy, perspective):
    """Barycentric weights of the point of a triangle that is seen at (dx, dy).

    With perspective the corners are in the camera frame and (dx, dy, 1) is the ray, which gives weights on
    the triangle itself; without, the corners are on screen and (dx, dy) is the pixel.
    """
    if perspective:
        w0 = dx * (y1 * z2 - z1 * y2) + dy * (z1 * x2 - x1 * z2) + (x1 * y2 - y1 * x2)
        w1 = dx * (y2 * z0 - z2 * y0) + dy * (z2 * x0 - x2 * z0) + (x2 * y0 - y2 * x0)
        w2 = dx * (y0 * z1 - z0 * y1) + dy * (z0 * x1 - x0 * z1) + (x0 * y1 - y0 * x1)
    else:
        w0 = (x2 - x1) * (dy - y1) - (y2 - y1) * (dx - x1)
        w1 = (x0 - x2) * (dy - y2) - (y0 - y2) * (dx - x2)
        w2 = (x1 - x0) * (dy - y0) - (y1 - y0) * (dx - x0)
    total = w0 + w1 + w2
    w0 = max(0.0, w0 / total)
    w1 = max(0.0, w1 / total)
    w2 = max(0.0, w2 / total)
    total = w0 + w1 + w2
    return w0 / total, w1 / total, w2 / total


@_compiled
def _brightness(nx, ny, nz, lights):
    """Lambert's law for a normal of any length, summed over the rows of `lights`."""
    length = math.sqrt(nx * nx + ny * ny + nz * nz)
    total = 0.0
    for n in range(lights.shape[0]):
        total += lights[n, 3]
        if length > 0:
            cosine = -(nx * lights[n, 0] + ny * lights[n, 1] + nz * lights[n, 2]) / length
            total += lights[n, 4] * max(0.0, cosine)
    return total


@_compiled
def _lit(vertices, corners, i, j, k, dx, dy, perspective, normals, lights):
    """Returns the barycentric weights of the point of a face that is seen at (dx, dy), and its brightness."""
    p, q, r = corners[i], corners[j], corners[k]
    w0, w1, w2 = _weights(p[0], p[1], p[2], q[0], q[1], q[2], r[0], r[1], r[2], dx, dy, perspective)
    nx, ny, nz = _face_normal(vertices, i, j, k)
    away = nz + (nx * dx + ny * dy if perspective else 0.0) > 0
    if normals.shape[0] > 0:
        nx = w0 * normals[i, 0] + w1 * normals[j, 0] + w2 * normals[k, 0]
        ny = w0 * normals[i, 1] + w1 * normals[j, 1] + w2 * normals[k, 1]
        nz = w0 * normals[i, 2] + w1 * normals[j, 2] + w2 * normals[k, 2]
    if away:  # The inner side of a surface is lit as if it faced the viewer.
        nx, ny, nz = -nx, -ny, -nz
    return w0, w1, w2, _brightness(nx, ny, nz, lights)


@_compiled
def shade(
    vertices,
    screen,
    faces,
    fx,
    fy,
    cx,
    cy,
    perspective,
    winner,
    colors,
    body,
    marks,
    normals,
    lights,
    color,
    labels,
):
    """Writes `color` and `labels` where a face won.

    Empty `colors`, `marks` or `normals` mean that there are none: the surface then has the colour `body`,
    no labels, or one normal per face.
    """
    painted = colors.shape[0] > 0
    marked = marks.shape[0] > 0
    corners = vertices if perspective else screen
    rgb = body.copy()
    for row in range(winner.shape[0]):
        for column in range(winner.shape[1]):
            face = winner[row, column]
            if face < 0:
                continue
            i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
            dx = (column - cx) / fx if perspective else float(column)
            dy = (row - cy) / fy if perspective else float(row)
            w0, w1, w2, brightness = _lit(vertices, corners, i, j, k, dx, dy, perspective, normals, lights)
            for c in range(3):
                if painted:
                    rgb[c] = w0 * colors[i, c] + w1 * colors[j, c] + w2 * colors[k, c]
                color[row, column, c] = np.uint8(min(255.0, max(0.0, rgb[c] * brightness + 0.5)))
            if marked:
                nearest = i
                if w1 > w0 and w1 >= w2:
                    nearest = j
                elif w2 > w0 and w2 > w1:
                    nearest = k
                labels[row, column] = marks[nearest]


@_compiled
def lit_colors(colors, body, normals, lights):
    """Returns what each vertex looks like (V, 3) float32 in [0, 255]; empty `colors` mean the colour `body`."""
    lit = np.empty(normals.shape, np.float32)
    for v in range(normals.shape[0]):
        brightness = _brightness(normals[v, 0], normals[v, 1], normals[v, 2], lights)
        for c in range(3):
            own = np.float64(colors[v, c]) if colors.shape[0] > 0 else body[c]
            lit[v, c] = min(255.0, own * brightness)
    return lit


@_compiled
def blend(screen, faces, winner, samples, lit, picture):
    """Draws what won over `picture` (H, W, 3), of which each pixel has samples x samples in `winner`.

    A pixel takes its colour where the first of its samples is covered, and is covered by as large a share as
    samples are: edges are as smooth as if all of them were shaded. Colours go linearly over the screen from
    vertex to vertex, which of faces of a few pixels nobody can tell from the truth.
    """
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            covered, face, down, across = 0, -1, 0, 0
            for r in range(row * samples, (row + 1) * samples):
                for c in range(column * samples, (column + 1) * samples):
                    if winner[r, c] >= 0:
                        covered += 1
                        if face < 0:
                            face, down, across = winner[r, c], r, c
            if face < 0:
                continue
            i, j, k = faces[face, 0], faces[face, 1], faces[face, 2]
            x, y = across - screen[k, 0], down - screen[k, 1]
            ax, ay = screen[i, 0] - screen[k, 0], screen[i, 1] - screen[k, 1]
            bx, by = screen[j, 0] - screen[k, 0], screen[j, 1] - screen[k, 1]
            area = ax * by - ay * bx
            w0, w1 = (x * by - y * bx) / area, (y * ax - x * ay) / area
            if not (
                w0 >= 0 and w1 >= 0 and w0 + w1 <= 1
            ):  # beyond by rounding, or the near plane cut the face
                w0, w1 = 1 / 3, 1 / 3
            share = covered / (samples * samples)
            for c in range(3):
                value = w0 * lit[i, c] + w1 * lit[j, c] + (1 - w0 - w1) * lit[k, c]
                before = picture[row, column, c]
                picture[row, column, c] = np.uint8(before + share * (value - before) + 0.5)

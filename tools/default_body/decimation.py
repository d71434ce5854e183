"""Thins a mirror-symmetric closed mesh by collapsing edges, keeping original vertices and the symmetry.

Half of the mesh is thinned, vertices in the symmetry plane staying in it, and then mirrored. A collapse moves
a vertex onto a neighbour, so every remaining vertex is one of the original mesh: skinning weights and shape
targets carry over as they are. Costs are quadric errors (Garland and Heckbert 1997) summed over several
shapes of the same mesh, plus a small share for long edges.
"""

from __future__ import annotations

import heapq

import numpy as np

_EDGE_LENGTH_SHARE = 2e-3
_LEAST_NORMAL_COSINE = 0.2


def decimate_symmetric(faces, mirror, shapes, importance, num_vertices):
    """Returns the triangles (F, 3), in original vertex indices, of a mesh with about `num_vertices` vertices.

    Args:
        faces: (F, 3) triangles of a closed mesh whose mirror image it is itself.
        mirror: (V,) index of each vertex's mirror image; itself in the symmetry plane.
        shapes: (S, V, 3) positions of the vertices in several shapes or poses.
        importance: (V,) factor on the error of the faces around a vertex.
        num_vertices: vertices to keep, within one pair.
    """
    central = mirror == np.arange(len(mirror))
    left = shapes[0][:, 0] > 0.0
    half = faces[(left | central)[faces].all(axis=1) & left[faces].any(axis=1)]
    kept = _Half(half, central, shapes, importance).thin(num_vertices)
    return np.concatenate([kept, mirror[kept][:, ::-1]])


class _Half:
    def __init__(self, faces, central, shapes, importance):
        self.faces = [tuple(int(v) for v in face) for face in faces]
        self.central = central
        self.shapes = shapes
        self.around = {}
        for number, face in enumerate(self.faces):
            for vertex in face:
                self.around.setdefault(vertex, set()).add(number)
        self.quadrics = self._vertex_quadrics(np.array(self.faces), importance)
        self.importance = importance
        self.version = dict.fromkeys(self.around, 0)

    def _vertex_quadrics(self, faces, importance):
        """Sums area-weighted plane quadrics (V, S, 4, 4) over the faces of each vertex."""
        num_vertices = self.shapes.shape[1]
        quadrics = np.zeros((num_vertices, len(self.shapes), 4, 4))
        face_importance = importance[faces].mean(axis=1)
        for index, shape in enumerate(self.shapes):
            a, b, c = (shape[faces[:, k]] for k in range(3))
            normal = np.cross(b - a, c - a)
            area = np.linalg.norm(normal, axis=1, keepdims=True)
            normal = normal / np.maximum(area, 1e-12)
            plane = np.concatenate([normal, -(normal * a).sum(1, keepdims=True)], axis=1)
            quadric = plane[:, :, None] * plane[:, None, :] * (area * face_importance[:, None])[:, :, None]
            for k in range(3):
                np.add.at(quadrics[:, index], faces[:, k], quadric)
        return quadrics

    def thin(self, num_vertices):
        heap = []
        for vertex in self.around:
            self._push(heap, vertex)
        count = sum(1 if self.central[v] else 2 for v in self.around)
        while count > num_vertices and heap:
            _, vertex, target, version, target_version = heapq.heappop(heap)
            if self.version.get(vertex) != version or self.version.get(target) != target_version:
                continue
            if not self._allowed(vertex, target):
                continue
            count -= 1 if self.central[vertex] else 2
            for neighbour in self._collapse(vertex, target):
                self.version[neighbour] += 1
                self._push(heap, neighbour)
        return np.array(sorted({face for vertex in self.around for face in self._faces_of(vertex)}))

    def _faces_of(self, vertex):
        return [self.faces[number] for number in self.around[vertex]]

    def _neighbours(self, vertex):
        return {other for face in self._faces_of(vertex) for other in face} - {vertex}

    def _push(self, heap, vertex):
        """Queues the collapses of `vertex` onto each neighbour and of each neighbour onto it."""
        for other in sorted(self._neighbours(vertex)):
            for source, target in ((vertex, other), (other, vertex)):
                if self.central[source] and not self.central[target]:
                    continue
                cost = self._cost(source, target)
                heapq.heappush(heap, (cost, source, target, self.version[source], self.version[target]))

    def _cost(self, source, target):
        points = np.concatenate([self.shapes[:, target], np.ones((len(self.shapes), 1))], axis=1)
        quadric = self.quadrics[source] + self.quadrics[target]
        error = np.einsum("sa,sab,sb->", points, quadric, points)
        edge = self.shapes[:, source] - self.shapes[:, target]
        squared = (edge * edge).sum(axis=1)
        return float(error + _EDGE_LENGTH_SHARE * self.importance[source] * (squared * squared).sum())

    def _allowed(self, source, target):
        """Whether the collapse keeps the surface a manifold and turns no triangle over."""
        shared = self.around[source] & self.around[target]
        if self.central[source]:
            if len(shared) != 1:
                return False  # only along the symmetry plane, where the half mesh ends
        elif len(shared) != 2:
            return False
        opposite = {v for number in shared for v in self.faces[number]} - {source, target}
        if self._neighbours(source) & self._neighbours(target) != opposite:
            return False
        if any(len(self.around[v]) <= (2 if self.central[v] else 3) for v in opposite):
            return False
        for number in self.around[source] - shared:
            face = self.faces[number]
            moved = tuple(target if v == source else v for v in face)
            if all(self.central[v] for v in moved):
                return False
            before, after = self._normals(face), self._normals(moved)
            lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
            if ((before * after).sum(axis=1) <= _LEAST_NORMAL_COSINE * lengths).any():
                return False
        return True

    def _normals(self, face):
        a, b, c = (self.shapes[:, v] for v in face)
        return np.cross(b - a, c - a)

    def _collapse(self, source, target):
        shared = self.around[source] & self.around[target]
        neighbours = self._neighbours(source)
        for number in shared:
            for vertex in self.faces[number]:
                self.around[vertex].discard(number)
        for number in self.around[source]:
            self.faces[number] = tuple(target if v == source else v for v in self.faces[number])
            self.around[target].add(number)
        self.quadrics[target] += self.quadrics[source]
        del self.around[source], self.version[source]
        return sorted(neighbours)


def triangulate_symmetric(quads, mirror, positions):
    """Cuts quads (F, 4) of a mirror-symmetric mesh along their shorter diagonal, the same way on both sides."""
    left = positions[quads][:, :, 0].mean(axis=1) > 0.0
    quads = quads[left]
    a, b, c, d = quads.T
    first = np.linalg.norm(positions[a] - positions[c], axis=1)
    second = np.linalg.norm(positions[b] - positions[d], axis=1)
    shorter = (first <= second)[:, None]
    triangles = np.concatenate(
        [
            np.where(shorter, np.stack([a, b, c], 1), np.stack([a, b, d], 1)),
            np.where(shorter, np.stack([a, c, d], 1), np.stack([b, c, d], 1)),
        ]
    )
    return np.concatenate([triangles, mirror[triangles][:, ::-1]])

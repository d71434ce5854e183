"""Skinned, animated bodies as binary glTF 2.0 (.glb), which Blender, three.js and game engines open.

Every person is a mesh with a skin of 24 joints; each joint turns, the root moves too. Metres, y up. The format's
skinning is linear: what poses add to the surface of a body with pose correctives, such as SMPL, is left out.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence

import numpy as np

from hpe import files
from hpe.body.data import BodyModelData
from hpe.export.motion import BodyMotion
from hpe.geometry.so3 import rotmats_to_quaternions
from hpe.skeletons import SMPL24

# Of the glTF 2.0 specification.
_MAGIC, _VERSION = 0x46546C67, 2
_JSON, _BINARY = 0x4E4F534A, 0x004E4942
_TYPES = {
    np.dtype("uint8"): 5121,
    np.dtype("uint16"): 5123,
    np.dtype("uint32"): 5125,
    np.dtype("float32"): 5126,
}
_SHAPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_VERTICES, _INDICES = 34962, 34963
_PER_SET = 4  # joints of a vertex in one attribute

_SKIN_COLOR = (0.75, 0.6, 0.5, 1.0)


def write_glb(path: str | os.PathLike, motions: Sequence[BodyMotion], *, together: bool = False) -> None:
    """Writes people and their motion to one file.

    Args:
        path: the file, ending in .glb; its folder is made.
        motions: of each person; one frame is a pose without an animation.
        together: see `to_glb`.

    Raises:
        UserError: the file cannot be written.
    """
    files.write_bytes(path, to_glb(motions, together=together))


def to_glb(motions: Sequence[BodyMotion], *, together: bool = False) -> bytes:
    """Returns the content of the file.

    Args:
        motions: of each person.
        together: one animation for all people, in the time of the motions: many viewers play only the first of a
            file. Else everybody has one, called as the person is, which begins with the person's first frame.
    """
    document, shared = _Document(), _Animation("motion")
    roots = []
    for motion in motions:
        animation = shared if together else _Animation(motion.name)
        roots += _add_person(document, motion, animation, start=0.0 if together else motion.times[0])
        if not together:
            animation.add_to(document)
    shared.add_to(document)
    return document.finished(roots)


class _Document:
    """glTF's tables and the buffer behind them."""

    def __init__(self):
        self.tables: dict[str, list] = {}
        self._buffer = bytearray()

    def add(self, table: str, entry: dict) -> int:
        entries = self.tables.setdefault(table, [])
        entries.append(entry)
        return len(entries) - 1

    def array(self, values: np.ndarray, *, target: int | None = None, bounds=False, normalized=False) -> int:
        """Stores an array and returns its accessor; matrices go column by column."""
        self._buffer += b"\0" * (-len(self._buffer) % 4)
        data = np.ascontiguousarray(values.swapaxes(-1, -2) if values.ndim == 3 else values)
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": data.nbytes}
        if target is not None:
            view["target"] = target
        self._buffer += data.tobytes()
        accessor = {
            "bufferView": self.add("bufferViews", view),
            "componentType": _TYPES[data.dtype],
            "count": len(values),
            "type": _SHAPES[values.shape[1:]],
        }
        if bounds:
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(axis=0).tolist(), "max": flat.max(axis=0).tolist()}
        if normalized:
            accessor["normalized"] = True
        return self.add("accessors", accessor)

    def finished(self, roots: list[int]) -> bytes:
        content = {
            "asset": {"version": "2.0", "generator": "hpe"},
            "scene": 0,
            "scenes": [{"nodes": roots} if roots else {}],
            **self.tables,
        }
        chunks = []
        if self._buffer:
            self._buffer += b"\0" * (-len(self._buffer) % 4)
            content["buffers"] = [{"byteLength": len(self._buffer)}]
            chunks.append((_BINARY, bytes(self._buffer)))
        text = json.dumps(content, separators=(",", ":")).encode()
        chunks.insert(0, (_JSON, text + b" " * (-len(text) % 4)))
        body = b"".join(struct.pack("<II", len(data), kind) + data for kind, data in chunks)
        return struct.pack("<III", _MAGIC, _VERSION, 12 + len(body)) + body


class _Animation:
    """What moves, and how."""

    def __init__(self, name: str):
        self._name = name
        self.samplers: list[dict] = []
        self.channels: list[dict] = []

    def add_to(self, document: _Document) -> None:
        if self.channels:
            content = {"samplers": self.samplers, "channels": self.channels}
            document.add("animations", {"name": self._name, **content})


def _add_person(document: _Document, motion: BodyMotion, animation: _Animation, *, start: float) -> list[int]:
    """Adds a person's rig and mesh, and its movement; returns the nodes that belong into the scene."""
    body, joints = motion.body, motion.rest_joints()
    rotations = rotmats_to_quaternions(motion.local_rotations()).astype(np.float32)
    rotations = _continuous(rotations)
    positions = motion.root_positions().astype(np.float32)
    offsets = motion.offsets()
    first = len(document.tables.get("nodes", ()))
    for index, joint in enumerate(SMPL24.joints):
        children = [first + child for child in np.flatnonzero(body.parents == index)]
        place = positions[0] if index == 0 else offsets[index]
        node = {
            "name": joint,
            "translation": [float(value) for value in place],
            "rotation": [float(value) for value in rotations[0, index]],
        }
        document.add("nodes", node | ({"children": [int(child) for child in children]} if children else {}))
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(joints), 1, 1))
    inverse[:, :3, 3] = -joints
    skin = document.add(
        "skins",
        {
            "name": motion.name,
            "joints": list(range(first, first + len(joints))),
            "skeleton": first,
            "inverseBindMatrices": document.array(inverse),
        },
    )
    mesh = document.add("meshes", {"name": motion.name, "primitives": [_primitive(document, motion)]})
    person = document.add("nodes", {"name": motion.name, "mesh": mesh, "skin": skin})
    if len(motion.times) > 1:
        seconds = np.asarray(motion.times, np.float64) - start
        _animate(document, animation, seconds, rotations, positions, first)
    return [first, person]


def _primitive(document: _Document, motion: BodyMotion) -> dict:
    body = motion.body
    vertices = motion.rest_vertices().astype(np.float32)
    attributes = {
        "POSITION": document.array(vertices, target=_VERTICES, bounds=True),
        "NORMAL": document.array(vertex_normals(vertices, body.faces), target=_VERTICES),
    }
    color = {}
    if body.vertex_colors is not None:
        attributes["COLOR_0"] = document.array(_linear(body.vertex_colors), target=_VERTICES, normalized=True)
    else:
        color = {"baseColorFactor": list(_SKIN_COLOR)}
    for number, (joints, weights) in enumerate(_weight_sets(body)):
        attributes[f"JOINTS_{number}"] = document.array(joints, target=_VERTICES)
        attributes[f"WEIGHTS_{number}"] = document.array(weights, target=_VERTICES)
    if "materials" not in document.tables or color:
        rough = {"metallicFactor": 0.0, "roughnessFactor": 0.9, **color}
        material = document.add("materials", {"name": "body", "pbrMetallicRoughness": rough})
    else:
        material = 0
    faces = body.faces.astype(np.uint16 if len(vertices) < 65535 else np.uint32).ravel()
    indices = document.array(faces, target=_INDICES)
    return {"attributes": attributes, "indices": indices, "material": material}


def _weight_sets(body: BodyModelData) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns joints (V, 4) and weights (V, 4), the largest first, as many sets as some vertex needs."""
    most = int((body.weights > 0).sum(axis=1).max())
    sets = -(-most // _PER_SET)
    width = sets * _PER_SET
    order = np.argsort(-body.weights, axis=1, kind="stable")[:, :width]
    weights = np.take_along_axis(body.weights, order, axis=1).astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    # Joints that do nothing are 0 by the specification.
    joints = np.where(weights > 0, order, 0).astype(np.uint8)
    return [
        (joints[:, start : start + _PER_SET], weights[:, start : start + _PER_SET])
        for start in range(0, width, _PER_SET)
    ]


def _animate(document, animation: _Animation, times, rotations, positions, first: int) -> None:
    seconds = document.array(times.astype(np.float32), bounds=True)

    def add(node: int, path: str, values: np.ndarray) -> None:
        animation.channels.append(
            {"sampler": len(animation.samplers), "target": {"node": node, "path": path}}
        )
        animation.samplers.append(
            {"input": seconds, "output": document.array(values), "interpolation": "LINEAR"}
        )

    add(first, "translation", positions)
    for index in range(rotations.shape[1]):
        add(first + index, "rotation", np.ascontiguousarray(rotations[:, index]))


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """Chooses the signs of quaternions (T, J, 4) so that neighbours in time are near: players blend them."""
    dots = np.sum(quaternions[1:] * quaternions[:-1], axis=-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0).astype(quaternions.dtype)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Returns unit normals (V, 3) float32 of a mesh, means of its triangles' by area."""
    corners = vertices[faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.zeros(vertices.shape)
    for corner in range(3):
        np.add.at(total, faces[:, corner], normals)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    # The format wants unit vectors, also of a vertex that belongs to no triangle.
    return np.where(length > 0, total / np.where(length > 0, length, 1), [0.0, 1.0, 0.0]).astype(np.float32)


def _linear(colors: np.ndarray) -> np.ndarray:
    """Converts sRGB (V, 3) uint8 to linear RGBA (V, 4) uint16, as vertex colours are."""
    value = colors.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.round(65535 * np.concatenate([linear, np.ones((len(linear), 1))], axis=1)).astype(np.uint16)

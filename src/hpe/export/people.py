"""People as files: json, npz, obj, ply, and as rigs glb and bvh.

| ending | content | frame |
|---|---|---|
| json | everything but the meshes, see docs/person.schema.json | camera of the frame, metres, pixels |
| npz | everything, arrays by name | the same |
| obj, ply | the meshes | metres, y up, z towards the viewer, as modelling programs have it |
| glb, bvh | the body with its joints, posed; bvh of one person | the same; bvh in centimetres |
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe import files, skeletons
from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.export.bvh import to_bvh
from hpe.export.glb import to_glb
from hpe.export.motion import BodyMotion

if TYPE_CHECKING:
    from hpe.people.person import Person

# Of the layout that docs/person.schema.json describes; it rises when a reader of the old one would err.
SCHEMA_VERSION = 1

# Digits after the point of pixels and metres: a thousandth of a pixel, a hundredth of a millimetre.
_PIXEL_DIGITS = 3
_METRE_DIGITS = 5

# Camera axes (y down, z forward) to those of modelling programs (y up, z backward): half a turn about x.
_TO_Y_UP = np.array([1.0, -1.0, -1.0])


def save_people(people: Sequence[Person], path: str | os.PathLike) -> None:
    """Writes the people of a frame to one file, whose kind the ending of its name says.

    Args:
        people: of one frame.
        path: a file that ends in .json, .npz, .obj, .ply, .glb or .bvh; its folder is made.

    Raises:
        UserError: the ending is none of these, a person lacks what such a file holds, or it cannot be written.
    """
    path = pathlib.Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path}: people are written to files that end in {', '.join(_WRITERS)}.")
    try:
        content = writer(people)
    except _Lacking as error:
        raise UserError(
            f"{path}: {error}; choose another ending: .json and .npz hold what there is."
        ) from None
    if isinstance(content, str):
        files.write_text(path, content)
    elif isinstance(content, bytes):
        files.write_bytes(path, content)
    else:
        with files.Replacement(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **content)


def contents(people: Sequence[Person], name: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Returns what `save_people` would write, by the names of the files; what people lack is left out.

    Args:
        people: of one frame.
        name: of the files without their endings.
        endings: those wanted, of text and bytes.
    """
    found = {}
    for ending in endings:
        with contextlib.suppress(_Lacking):
            content = _WRITERS[ending](people)
            found[name + ending] = content.encode() if isinstance(content, str) else content
    return found


def to_json(people: Sequence[Person]) -> dict:
    """Returns people as plain numbers, lists and strings, in the layout of docs/person.schema.json."""
    cameras = [person.camera for person in people if person.camera is not None]
    return {
        "schema": "hpe.people",
        "version": SCHEMA_VERSION,
        "camera": _camera(cameras[0]) if cameras else None,
        "people": [_person(person) for person in people],
    }


def _camera(camera) -> dict:
    return {"focal": camera.focal.tolist(), "center": camera.center.tolist(), "size": list(camera.size)}


def _person(person) -> dict:
    body = person.body
    return {
        "box": _rounded(person.box, _PIXEL_DIGITS),
        "score": float(person.score),
        "track_id": person.track_id,
        "skeleton": _skeleton(person.skeleton),
        "joints2d": _rounded(person.joints2d, _PIXEL_DIGITS),
        "confidence": _rounded(person.confidence, 4),
        "joints3d_skeleton": _skeleton(person.joints3d_skeleton),
        "joints3d": _rounded(person.joints3d, _METRE_DIGITS),
        "translation": _rounded(person.translation, _METRE_DIGITS),
        "body": None
        if body is None
        else {"model": body.model, "pose": _rounded(body.pose, 6), "shape": _rounded(body.shape, 6)},
        "reprojection_error": None
        if person.reprojection_error is None
        else round(float(person.reprojection_error), _PIXEL_DIGITS),
    }


def _skeleton(name: str | None) -> dict | None:
    if name is None:
        return None
    skeleton = skeletons.get(name)
    return {"name": name, "joints": list(skeleton.joints), "parents": list(skeleton.parents)}


def _rounded(values, digits: int):
    """Returns an array as nested lists, numbers that are not finite as None; None stays."""
    if values is None:
        return None
    array = np.asarray(values, np.float64)
    lists = np.round(array, digits).tolist()
    return lists if np.isfinite(array).all() else _without_nan(lists)


def _without_nan(lists):
    if isinstance(lists, list):
        return [_without_nan(item) for item in lists]
    return lists if np.isfinite(lists) else None


def _as_json(people: Sequence[Person]) -> str:
    return json.dumps(to_json(people), indent=1, allow_nan=False) + "\n"


def _as_npz(people: Sequence[Person]) -> dict[str, np.ndarray]:
    """Returns arrays by name: `person0_joints2d` and so on; what is None is absent."""
    arrays: dict[str, np.ndarray] = {"version": np.int32(SCHEMA_VERSION), "people": np.int32(len(people))}
    for number, person in enumerate(people):
        fields = {field.name: getattr(person, field.name) for field in dataclasses.fields(person)}
        camera, body = fields.pop("camera"), fields.pop("body")
        if camera is not None:
            fields |= {f"camera_{name}": value for name, value in _camera(camera).items()}
        if body is not None:
            fields |= {"body_model": body.model, "body_pose": body.pose, "body_shape": body.shape}
        arrays |= {
            f"person{number}_{name}": np.asarray(value) for name, value in fields.items() if value is not None
        }
    return arrays


class _Lacking(Exception):
    """A person has not what a file is to hold."""


def _meshes(people: Sequence[Person]) -> list[tuple[np.ndarray, np.ndarray]]:
    if not people:
        raise _Lacking("there is nobody to write")
    if any(person.vertices is None for person in people):
        raise _Lacking("holds meshes, and this model predicts none")
    return [(np.asarray(person.vertices, np.float64) * _TO_Y_UP, person.faces) for person in people]


def _as_obj(people: Sequence[Person]) -> str:
    lines, first = ["# metres, y up"], 1
    for number, (vertices, faces) in enumerate(_meshes(people)):
        lines.append(f"o person{number}")
        lines += [
            f"v {x:.{_METRE_DIGITS}f} {y:.{_METRE_DIGITS}f} {z:.{_METRE_DIGITS}f}" for x, y, z in vertices
        ]
        lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(faces) + first]
        first += len(vertices)
    return "\n".join(lines) + "\n"


def _as_ply(people: Sequence[Person]) -> bytes:
    vertices, faces, first = [], [], 0
    for points, triangles in _meshes(people):
        vertices.append(points)
        faces.append(np.asarray(triangles) + first)
        first += len(points)
    points, triangles = np.concatenate(vertices).astype("<f4"), np.concatenate(faces)
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres, y up\n"
        f"element vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, triangles
    return header.encode() + points.tobytes() + rows.tobytes()


def _motions(people: Sequence[Person]) -> list[BodyMotion]:
    """Returns each person's body as a rig of one frame."""
    motions = []
    for number, person in enumerate(people):
        if person.body is None or person.translation is None:
            raise _Lacking("there are no body parameters, which a rig is made of")
        if person.body.model != "default":
            raise _Lacking(
                f"the arrays of the body {person.body.model} are not in the package, so there is no rig"
            )
        motions.append(
            BodyMotion(
                load_body_model("default"),
                np.asarray(person.body.pose)[None],
                person.body.shape,
                np.asarray(person.translation)[None],
                np.zeros(1),
                name=f"person{number if person.track_id is None else person.track_id}",
            )
        )
    return motions


def _as_glb(people: Sequence[Person]) -> bytes:
    return to_glb(_motions(people))


def _as_bvh(people: Sequence[Person]) -> str:
    if len(people) != 1:
        raise _Lacking(f"this format holds one person, not {len(people)}")
    return to_bvh(_motions(people)[0])


_WRITERS: dict[str, Callable] = {
    ".json": _as_json,
    ".npz": _as_npz,
    ".obj": _as_obj,
    ".ply": _as_ply,
    ".glb": _as_glb,
    ".bvh": _as_bvh,
}

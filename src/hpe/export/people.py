"""People of a picture as files: json, csv, npz, obj, ply, and as rigs glb and bvh.

| ending | content | frame |
|---|---|---|
| json | everything but the meshes, see docs/person.schema.json | camera of the frame, metres, pixels |
| csv | joints in 2D and 3D | the same |
| npz | everything, arrays by name | the same |
| obj, ply | the meshes | metres, y up, z towards the viewer, as modelling programs have it |
| glb, bvh | the body with its joints, posed; bvh of one person | the same; bvh in centimetres |
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe import files
from hpe.errors import UserError
from hpe.export.bvh import to_bvh
from hpe.export.csv_people import to_csv
from hpe.export.glb import to_glb
from hpe.export.json_people import SCHEMA_VERSION, to_json
from hpe.export.motion import BodyMotion, rig_of

if TYPE_CHECKING:
    from hpe.people.person import Person

# Digits after the point of metres: a hundredth of a millimetre.
_METRE_DIGITS = 5

# What a frame's camera consists of, in files of arrays.
_CAMERA = ("focal", "center", "size")

# Camera axes (y down, z forward) to those of modelling programs (y up, z backward): half a turn about x.
_TO_Y_UP = np.array([1.0, -1.0, -1.0])


def save_people(people: Sequence[Person], path: str | os.PathLike) -> None:
    """Writes the people of a frame to one file, whose kind the ending of its name says.

    Args:
        people: of one frame.
        path: a file that ends in .json, .csv, .npz, .obj, .ply, .glb or .bvh; its folder is made.

    Raises:
        UserError: the ending is none of these, a person lacks what such a file holds, or it cannot be written.
    """
    path = pathlib.Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise UserError(f"{path}: people are written to files that end in {', '.join(_WRITERS)}.")
    try:
        content = writer(people)
    except _Missing as error:
        raise Lacking(path, str(error)) from None
    if isinstance(content, str):
        files.write_text(path, content)
    elif isinstance(content, bytes):
        files.write_bytes(path, content)
    else:
        with files.Replacement(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **content)


def contents(people: Sequence[Person], name: str, endings: Sequence[str]) -> dict[str, bytes]:
    """Returns what `save_people` would write, by the names of the files; what people lack is left out.

    Of several people, each has a BVH file of their own: NAME_1.bvh and so on.

    Args:
        people: of one frame.
        name: of the files without their endings.
        endings: those wanted, of text and bytes.
    """
    found = {}
    for ending in endings:
        groups = {name: people}
        if ending == ".bvh" and len(people) > 1:
            groups = {f"{name}_{number}": [person] for number, person in enumerate(people, start=1)}
        for stem, group in groups.items():
            with contextlib.suppress(_Missing):
                content = _WRITERS[ending](group)
                found[stem + ending] = content.encode() if isinstance(content, str) else content
    return found


def _as_npz(people: Sequence[Person]) -> dict[str, np.ndarray]:
    """Returns arrays by name: `person0_joints2d` and so on; what is None is absent."""
    arrays: dict[str, np.ndarray] = {"version": np.int32(SCHEMA_VERSION), "people": np.int32(len(people))}
    for number, person in enumerate(people):
        fields = {field.name: getattr(person, field.name) for field in dataclasses.fields(person)}
        camera, body = fields.pop("camera"), fields.pop("body")
        fields.pop("maps")  # pictures of the crop, which no other program knows
        if camera is not None:
            fields |= {f"camera_{name}": getattr(camera, name) for name in _CAMERA}
        if body is not None:
            fields |= {"body_model": body.model, "body_pose": body.pose, "body_shape": body.shape}
        arrays |= {
            f"person{number}_{name}": np.asarray(value) for name, value in fields.items() if value is not None
        }
    return arrays


class Lacking(UserError):
    """A person has not what a file is to hold.

    Attributes:
        reason: what is lacking, in words.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"{path}: {reason}; choose another ending: .json, .csv and .npz hold what there is.")
        self.reason = reason


class _Missing(Exception):
    """What is lacking, in words, before the file is known."""


def _meshes(people: Sequence[Person]) -> list[tuple[np.ndarray, np.ndarray]]:
    if not people:
        raise _Missing("there is nobody to write")
    if any(person.vertices is None for person in people):
        raise _Missing("holds meshes, and this model predicts none")
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
            raise _Missing("there are no body parameters, which a rig is made of")
        body = rig_of(person.body.model)
        if body is None:
            raise _Missing(
                f"the arrays of the body {person.body.model} are not in the package, so there is no rig"
            )
        motions.append(
            BodyMotion(
                body,
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
        raise _Missing(f"this format holds one person, not {len(people)}")
    return to_bvh(_motions(people)[0])


_WRITERS: dict[str, Callable] = {
    ".json": to_json,
    ".csv": to_csv,
    ".npz": _as_npz,
    ".obj": _as_obj,
    ".ply": _as_ply,
    ".glb": _as_glb,
    ".bvh": _as_bvh,
}

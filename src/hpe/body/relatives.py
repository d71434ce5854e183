"""Body models that are not in the SMPL layout but are easily taken for it, told by what their files hold.

Vertices, joints, pose blend shapes and names of arrays tell them apart. Sizes are those of the releases: SMPL-X
10,475 vertices and 55 joints, SMPL-H 6,890 and 52, MANO 778 and 16, FLAME 5,023 and 5, STAR 6,890 and 24 with 93
pose blend shapes, SUPR 10,475 and 75, SKEL with a skin and a skeleton, MHR and Anny as PyTorch files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Vertices, joints.
_SIZES = {
    (10475, 55): "SMPL-X",
    (10475, 75): "SUPR",
    (6890, 52): "SMPL-H",
    (778, 16): "MANO",
    (5023, 5): "FLAME",
}
_BY_VERTICES = {10475: "SMPL-X", 778: "MANO", 5023: "FLAME", 18439: "MHR", 13718: "Anny"}
_STAR_POSE_DIRS = 93
_BY_KEY = {
    "skel_template_v": "SKEL",
    "skin_template_v": "SKEL",
    "osim_kintree_table": "SKEL",
    "corrective_blendshapes": "MHR",
    "blendshape_deltas": "MHR",
    "lbs_skin_weights": "MHR",
}
_BY_NAME = (
    (r"smpl-?_?x", "SMPL-X"),
    (r"smpl-?_?\+?h", "SMPL-H"),
    (r"supr", "SUPR"),
    (r"skel", "SKEL"),
    (r"star", "STAR"),
    (r"mano", "MANO"),
    (r"flame", "FLAME"),
    (r"mhr", "MHR"),
    (r"anny", "Anny"),
    (r"ghum", "GHUM"),
)
_BY_CONTENT = (
    (b"Kaydara FBX Binary", "an FBX file, as MHR comes in"),
    (b"glTF", "a GLB file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"PK\x03\x04", "a zip archive, such as PyTorch files are, in which MHR and Anny come"),
)

WANTED = "wanted is SMPL: 6890 vertices and 24 joints, or another body in its layout"


def name_of_relative(shapes: Mapping[str, Sequence[int]], stem: str) -> str | None:
    """Returns the name of a body model that is none of the SMPL layout, None where nothing speaks for one.

    Args:
        shapes: shape of every array of the file by its name.
        stem: name of the file, which decides where the arrays do not.
    """
    for key, name in _BY_KEY.items():
        if any(found == key or found.startswith(f"{key}_") for found in shapes):
            return name
    vertices = _side(shapes, "v_template", 0)
    joints = (
        _side(shapes, "J_regressor", 0) or _side(shapes, "weights", 1) or _side(shapes, "kintree_table", 1)
    )
    pose_dirs = shapes.get("posedirs", ())
    if vertices == 6890 and joints in (0, 24) and _STAR_POSE_DIRS in pose_dirs:
        return "STAR"
    if (vertices, joints) in _SIZES:
        return _SIZES[vertices, joints]
    if vertices in _BY_VERTICES:
        return _BY_VERTICES[vertices]
    if any(key.startswith("hands_") for key in shapes):
        return "MANO" if "hands_components" in shapes else "SMPL-H"
    if joints == 24:
        return None
    return next((name for pattern, name in _BY_NAME if re.search(pattern, stem.lower())), None)


def kind_of_file(start: bytes) -> str | None:
    """Returns what a file is by its first bytes, if it is of a kind in which other body models come."""
    return next((kind for magic, kind in _BY_CONTENT if start.startswith(magic)), None)


def gender_of_name(stem: str) -> str:
    """Returns the gender that the name of a SMPL file says, as `SMPL_MALE` and `basicModel_f_lbs_10_207_0` do."""
    words = re.findall(r"[a-z]+", stem.lower())
    for gender, spellings in (
        ("female", ("female", "f")),
        ("male", ("male", "m")),
        ("neutral", ("neutral", "n")),
    ):
        if any(word in spellings for word in words):
            return gender
    return ""


def _side(shapes: Mapping[str, Sequence[int]], key: str, axis: int) -> int:
    shape = shapes.get(key, ())
    return shape[axis] if len(shape) > axis else 0

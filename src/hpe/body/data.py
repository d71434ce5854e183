"""The arrays of a body model in the SMPL layout, and reading and writing them as files.

A body's `name` says whose pose and shape parameters are whose, so two bodies must not share one. Bodies with
SMPL's vertices, faces and tree are `smpl`, whatever the file: records of HMR mean them and name no file. Those
of men and women, which the file or its name tells, are `smpl_male` and `smpl_female`: their shape coefficients are
others. All others are the stem of the file they were first read from and a digest of their arrays, but for the
default body. Files that this module writes keep the name with the digest that it belongs to, so a copy is the same
body and one that was edited is not.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from hpe import files
from hpe.body import relatives
from hpe.errors import UserError
from hpe.formats.npz import load_npz, npz_shapes
from hpe.formats.pickles import load_pickle
from hpe.skeletons import COCOPLUS19, H36M17, SMPL24

NUM_JOINTS = 24
POSE_SIZE = 3 * NUM_JOINTS
NUM_SHAPES = 10
SMPL_NAME = "smpl"
DEFAULT_BODY = pathlib.Path(__file__).parent / "assets" / "default_body.npz"

_SMPL_NUM_VERTICES = 6890
_SMPL_NUM_FACES = 13776
# Vertices of SMPL's topology that lie on face keypoints (smplx, vertex_ids).
_SMPL_FACE_VERTICES = {"nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583}

# Joints of other skeletons that go by another name in SMPL.
_SMPL_JOINT_OF = {"spine": "spine2", "thorax": "neck"}

_REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")


@dataclasses.dataclass(frozen=True)
class BodyModelData:
    """A skinned body: V vertices, 24 joints in SMPL's order, S <= 10 shape components; lengths in metres.

    Attributes:
        name: of the body, not of the file; written beside fitted parameters.
        v_template: (V, 3) float32 mean body in the rest pose (x to its left, y up, z forward).
        shape_dirs: (V, 3, S) float32 displacement per unit of each shape coefficient.
        pose_dirs: (V, 3, 207) float32 displacement per entry of R - I of the joints but the root, or None.
        joint_regressor: (24, V) float32; rest joints = joint_regressor @ shaped vertices.
        weights: (V, 24) float32 skinning weights; rows sum to 1.
        parents: (24,) int32 parent of each joint, -1 for the root; parents come before their children.
        faces: (F, 3) int32, counter-clockwise seen from outside.
        keypoint_regressors: name of a skeleton -> (K, V) float32; keypoints = regressor @ posed vertices.
        vertex_colors: (V, 3) uint8 RGB of the painted clothes, or None.
        mean_pose: (72,) float32 axis-angle of a relaxed person, root turned upright in the camera frame.
        mean_shape: (S,) float32.
        vertex_regions: (V,) uint8 index into `regions.Region`, or None.
        source: what `load_body_model` was given.
        gender: `male`, `female`, `neutral`, or empty where it is unknown.
    """

    name: str
    v_template: np.ndarray
    shape_dirs: np.ndarray
    pose_dirs: np.ndarray | None
    joint_regressor: np.ndarray
    weights: np.ndarray
    parents: np.ndarray
    faces: np.ndarray
    keypoint_regressors: dict[str, np.ndarray]
    vertex_colors: np.ndarray | None
    mean_pose: np.ndarray
    mean_shape: np.ndarray
    vertex_regions: np.ndarray | None = None
    source: str = ""
    gender: str = ""

    @property
    def is_smpl(self) -> bool:
        """Whether pose and shape parameters are those of the neutral SMPL."""
        return self.name == SMPL_NAME


def load_body_model(path="default") -> BodyModelData:
    """Reads a body model: the free default body, a SMPL pickle, or an npz in the same layout.

    Args:
        path: "default", or a file ending in .pkl or .npz.

    Raises:
        UserError: the file is missing, damaged, unsafe, or not a body in the SMPL layout.
    """
    source = os.fspath(path)
    file = DEFAULT_BODY if source == "default" else pathlib.Path(source)
    if not file.is_file():
        raise UserError(f"{file}: no such body model file; give a .pkl or .npz, or 'default'.")
    if file.suffix == ".npz":
        _refuse_relatives(npz_shapes(file), file)
        tables = load_npz(file, objects=False)
    else:
        tables = _read_pickle(file)
        _refuse_relatives({key: np.shape(value) for key, value in _arrays(tables).items()}, file)
    return _from_tables(tables, file, source)


def save_body_model(path, data: BodyModelData) -> None:
    """Writes a body model as npz in the SMPL layout.

    Raises:
        UserError: the file cannot be written.
    """
    with files.Replacement(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **to_tables(data))


def to_tables(data: BodyModelData) -> dict[str, np.ndarray]:
    """Returns the arrays under the names of the SMPL layout, with this project's extras beside them."""
    tables = {
        "name": np.array(data.name),
        "digest": np.array(_digest(data)),
        "v_template": data.v_template,
        "shapedirs": data.shape_dirs,
        "J_regressor": data.joint_regressor,
        "weights": data.weights,
        "kintree_table": np.stack([data.parents, np.arange(NUM_JOINTS, dtype=np.int32)]),
        "f": data.faces,
        "mean_pose": data.mean_pose,
        "mean_shape": data.mean_shape,
    }
    tables |= {f"keypoints_{name}": regressor for name, regressor in data.keypoint_regressors.items()}
    optional = {
        "posedirs": data.pose_dirs,
        "vertex_colors": data.vertex_colors,
        "vertex_regions": data.vertex_regions,
    }
    if data.gender:
        optional["gender"] = np.array(data.gender)
    return tables | {key: value for key, value in optional.items() if value is not None}


def _read_pickle(file):
    try:
        with open(file, "rb") as content:
            kind = relatives.kind_of_file(content.read(32))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror or error}).") from None
    if kind is not None:
        raise UserError(f"{file}: is {kind}, not a pickle or npz file; {relatives.WANTED}.")
    tables = load_pickle(file)
    if not isinstance(tables, dict):
        raise UserError(f"{file}: not a SMPL model; expected a dict, found {type(tables).__name__}.")
    return {str(key): value for key, value in tables.items()}


def _arrays(tables):
    return {key: value for key, value in tables.items() if isinstance(value, np.ndarray)}


def _refuse_relatives(shapes, file):
    name = relatives.name_of_relative(shapes, file.stem)
    if name is not None:
        raise UserError(f"{file}: is {name}, which is not in the SMPL layout; {relatives.WANTED}.")


def _gender(tables, file):
    """Returns the gender that a SMPL file says, or else its name."""
    said = str(tables.get("gender", "")).lower()
    return said if said in ("male", "female", "neutral") else relatives.gender_of_name(file.stem)


def _from_tables(tables, file, source):
    missing = [key for key in _REQUIRED if key not in tables]
    if missing:
        raise UserError(f"{file}: not a body in the SMPL layout; it lacks {', '.join(missing)}.")
    template = _floats(tables, "v_template", (None, 3), file)
    num_vertices = len(template)
    shape_dirs = _floats(tables, "shapedirs", (num_vertices, 3, None), file)[:, :, :NUM_SHAPES]
    pose_dirs = None
    if "posedirs" in tables and np.size(tables["posedirs"]):
        pose_dirs = _floats(tables, "posedirs", (num_vertices, 3, 9 * (NUM_JOINTS - 1)), file)
    joint_regressor = _floats(tables, "J_regressor", (NUM_JOINTS, num_vertices), file)
    mean_pose = _default_mean_pose()
    if "mean_pose" in tables:
        mean_pose = _floats(tables, "mean_pose", (POSE_SIZE,), file)
    mean_shape = np.zeros(shape_dirs.shape[2], np.float32)
    if "mean_shape" in tables:
        mean_shape = _floats(tables, "mean_shape", mean_shape.shape, file)
    parents = _parents(_array(tables, "kintree_table", file), file)
    faces = _faces(_array(tables, "f", file), num_vertices, file)
    is_smpl = _has_smpl_topology(num_vertices, faces, parents)
    data = BodyModelData(
        name=SMPL_NAME,
        v_template=template,
        shape_dirs=shape_dirs,
        pose_dirs=pose_dirs,
        joint_regressor=joint_regressor,
        weights=_floats(tables, "weights", (num_vertices, NUM_JOINTS), file),
        parents=parents,
        faces=faces,
        keypoint_regressors=_keypoint_regressors(tables, template, joint_regressor, is_smpl, file),
        vertex_colors=_bytes(tables, "vertex_colors", (num_vertices, 3), file),
        mean_pose=mean_pose,
        mean_shape=mean_shape,
        vertex_regions=_bytes(tables, "vertex_regions", (num_vertices,), file),
        source=source,
    )
    if not is_smpl:
        return dataclasses.replace(data, name=_name(data, tables, file))
    gender = _gender(tables, file)
    name = f"{SMPL_NAME}_{gender}" if gender in ("male", "female") else SMPL_NAME
    return dataclasses.replace(data, name=name, gender=gender)


def _has_smpl_topology(num_vertices, faces, parents):
    return (
        num_vertices == _SMPL_NUM_VERTICES
        and len(faces) == _SMPL_NUM_FACES
        and tuple(parents) == tuple(SMPL24.parents)
    )


def _name(data, tables, file):
    digest = _digest(data)
    if "name" in tables and str(tables.get("digest")) == digest:
        return str(tables["name"])
    return f"{file.stem}-{digest}"


def _digest(data):
    """Returns eight digits that differ where two bodies turn the same parameters into other surfaces."""
    shape_dirs = data.shape_dirs[:, :, :NUM_SHAPES]
    arrays = [data.v_template, shape_dirs, data.joint_regressor, data.weights, data.parents, data.faces]
    if data.pose_dirs is not None:
        arrays.append(data.pose_dirs)
    state = hashlib.sha256()
    for array in arrays:
        state.update(f"{array.shape}".encode())
        state.update(np.ascontiguousarray(array, np.float32).tobytes())
    return state.hexdigest()[:8]


def _default_mean_pose():
    """Returns the rest pose turned upright in the camera frame, where y points down."""
    pose = np.zeros(POSE_SIZE, np.float32)
    pose[0] = np.pi
    return pose


def _floats(tables, key, shape, file):
    array = _shaped(tables, key, shape, file)
    try:
        array = np.ascontiguousarray(array, dtype=np.float32)
    except (TypeError, ValueError):
        raise UserError(f"{file}: {key} does not hold numbers but {array.dtype}.") from None
    if not np.isfinite(array).all():
        raise UserError(f"{file}: {key} holds numbers that are not finite.")
    return array


def _bytes(tables, key, shape, file):
    return np.ascontiguousarray(_shaped(tables, key, shape, file), np.uint8) if key in tables else None


def _shaped(tables, key, shape, file):
    array = _array(tables, key, file)
    fits = array.ndim == len(shape) and all(
        want in (None, n) for want, n in zip(shape, array.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise UserError(f"{file}: {key} must be shaped ({wanted}), but it is shaped {array.shape}.")
    return array


def _array(tables, key, file):
    try:
        return np.asarray(tables[key])
    except (TypeError, ValueError):  # lists of different lengths
        raise UserError(f"{file}: {key} is no array.") from None


def _parents(table, file):
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] != NUM_JOINTS or table.dtype.kind not in "iu":
        raise UserError(f"{file}: kintree_table must be integers (2, {NUM_JOINTS}), but is {table.shape}.")
    # The root's parent is -1, in many files wrapped round to 4294967295.
    parents = table[0].astype(np.int64)
    parents = np.where((parents < 0) | (parents >= NUM_JOINTS), -1, parents).astype(np.int32)
    if parents[0] != -1 or (parents[1:] < 0).any() or (parents >= np.arange(NUM_JOINTS)).any():
        raise UserError(f"{file}: kintree_table is not a tree with parents before children: {parents}.")
    return parents


def _faces(faces, num_vertices, file):
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise UserError(f"{file}: f must be integers (any, 3), but it is {faces.dtype} {faces.shape}.")
    if faces.size and (faces.min() < 0 or faces.max() >= num_vertices):
        raise UserError(f"{file}: f names vertex {faces.max()}, but there are {num_vertices} vertices.")
    return np.ascontiguousarray(faces, np.int32)


def _keypoint_regressors(tables, template, joint_regressor, is_smpl, file):
    num_vertices = len(template)
    regressors = {}
    for key in tables:
        if key.startswith("keypoints_"):
            regressors[key.removeprefix("keypoints_")] = _floats(tables, key, (None, num_vertices), file)
    if "cocoplus_regressor" in tables:
        shape = (len(COCOPLUS19), num_vertices)
        regressors["cocoplus19"] = _floats(tables, "cocoplus_regressor", shape, file)
    joints = dict(zip(SMPL24.joints, joint_regressor, strict=True))
    if COCOPLUS19.name not in regressors:
        if not is_smpl:
            raise UserError(
                f"{file}: it lacks cocoplus_regressor ({len(COCOPLUS19)}, {num_vertices}), and only on SMPL's "
                f"{_SMPL_NUM_VERTICES} vertices and {_SMPL_NUM_FACES} faces can face keypoints be found without it."
            )
        points = np.eye(num_vertices, dtype=np.float32)
        face = {name: points[vertex] for name, vertex in _SMPL_FACE_VERTICES.items()}
        face["head_top"] = points[template[:, 1].argmax()]
        regressors[COCOPLUS19.name] = np.stack([(joints | face)[name] for name in COCOPLUS19.joints])
    if H36M17.name not in regressors:
        coco = dict(zip(COCOPLUS19.joints, regressors[COCOPLUS19.name], strict=True))
        face = {name: coco[name] for name in ("nose", "head_top")}
        rows = [(joints | face)[_SMPL_JOINT_OF.get(name, name)] for name in H36M17.joints]
        regressors[H36M17.name] = np.stack(rows)
    return regressors

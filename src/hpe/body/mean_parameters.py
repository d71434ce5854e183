"""Mean pose and shape that an iterative regressor starts from, read from the files that go with SMPL."""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np
from keras import ops

from hpe.body.data import NUM_JOINTS, NUM_SHAPES, POSE_SIZE
from hpe.errors import SettingError, UserError
from hpe.formats import hdf5
from hpe.formats.npz import load_npz
from hpe.geometry.rotations import rot6d_to_rotmat, rotmat_to_axis_angle

_HDF5_START = b"\x89HDF\r\n\x1a\n"
_KEYS = ("pose", "shape", "cam")
_FORMATS = (
    f"expected an h5 or npz file with pose ({POSE_SIZE} axis-angle numbers, or {6 * NUM_JOINTS} in 6D), "
    f"shape ({NUM_SHAPES}) and maybe cam (3)"
)


@dataclasses.dataclass(frozen=True)
class MeanParameters:
    """The mean person.

    Attributes:
        pose: (72,) float32 axis-angle, radians; the root is as in the file.
        shape: (10,) float32 shape coefficients.
        camera: (3,) float32 weak-perspective camera (s, tx, ty), or None where the file has none.
    """

    pose: np.ndarray
    shape: np.ndarray
    camera: np.ndarray | None = None


def load_mean_parameters(path: str | os.PathLike) -> MeanParameters:
    """Reads `neutral_smpl_mean_params.h5` of HMR, `smpl_mean_params.npz` of SPIN, or a file like them.

    Args:
        path: an h5 or npz file with `pose`, 72 axis-angle numbers or 24 rotations in 6D (in the layout of
            `hpe.geometry.rotations`), `shape`, 10 coefficients, and maybe `cam`, s, tx, ty.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    path = pathlib.Path(path)
    tables = _read(path)
    pose = _numbers(tables, "pose", (POSE_SIZE, 6 * NUM_JOINTS), path)
    if pose.size != POSE_SIZE:
        rotmats = rot6d_to_rotmat(pose.reshape(NUM_JOINTS, 6))
        pose = np.asarray(ops.convert_to_numpy(rotmat_to_axis_angle(rotmats)), np.float32).reshape(-1)
    return MeanParameters(
        pose,
        _numbers(tables, "shape", (NUM_SHAPES,), path),
        _numbers(tables, "cam", (3,), path) if "cam" in tables else None,
    )


def _read(path):
    if not path.is_file():
        raise SettingError("mean_params", f"there is no such file; {_FORMATS}.", path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(_HDF5_START))
        if start == _HDF5_START:
            arrays = hdf5.read(path, lambda file: {key: file.array(key) for key in _KEYS})
            return {key: array for key, array in arrays.items() if array is not None}
        return load_npz(path, _KEYS)
    except (UserError, OSError) as error:
        raise SettingError("mean_params", f"cannot be read; {_FORMATS}.", path) from error


def _numbers(tables, key, sizes, path):
    found = np.asarray(tables[key]) if key in tables else None
    if found is None or found.size not in sizes or found.dtype.kind not in "fiu":
        what = f"no {key}" if found is None else f"{key} {found.dtype} {found.shape}"
        raise SettingError("mean_params", f"it holds {what}; {_FORMATS}.", path)
    found = found.astype(np.float32).reshape(-1)
    if not np.isfinite(found).all():
        raise SettingError("mean_params", f"{key} holds numbers that are not finite.", path)
    return found

"""Human3.6M's cameras: 3d-pose-baseline's `cameras.h5`, or the release's own `metadata.xml`."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import xml.etree.ElementTree

import numpy as np

from hpe.datasets.human36m.names import CAMERAS
from hpe.errors import UserError, first_line
from hpe.formats import hdf5
from hpe.geometry import cameras

H5_NAME = "cameras.h5"
XML_NAME = "metadata.xml"

# The element w0 of metadata.xml: six numbers of every camera and subject, then nine of every camera.
_NUM_SUBJECTS = 11
_EXTRINSICS = 6
_INTRINSICS = 9
_NUM_VALUES = _EXTRINSICS * _NUM_SUBJECTS * len(CAMERAS) + _INTRINSICS * len(CAMERAS)

_MM_PER_M = 1000.0


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera as it stands for one subject.

    Attributes:
        rotation: (3, 3) float64, world to camera.
        translation: (3,) float64, the camera's centre in the world, metres.
        f, c: (2,) float64, focal length and principal point in pixels.
        k, p: (3,) and (2,) float64, radial and tangential distortion.
    """

    rotation: np.ndarray
    translation: np.ndarray
    f: np.ndarray
    c: np.ndarray
    k: np.ndarray
    p: np.ndarray

    def __post_init__(self):
        for field, shape in (
            ("rotation", (3, 3)),
            ("translation", (3,)),
            ("f", (2,)),
            ("c", (2,)),
            ("k", (3,)),
            ("p", (2,)),
        ):
            value = getattr(self, field)
            if value.shape != shape or not np.isfinite(value).all():
                raise ValueError(f"{field} is not {'x'.join(map(str, shape))} finite numbers")
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3):
            raise ValueError("the rotation is no rotation matrix")

    def to_camera(self, world: np.ndarray) -> np.ndarray:
        """Moves points (..., N, 3) from the world into the camera frame, metres."""
        return cameras.world_to_camera(world, self.rotation, self.translation)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Projects points (..., N, 3) of the camera frame to pixels (..., N, 2); NaN behind the camera."""
        in_front = np.where(points[..., 2:] > 0, points, np.nan)
        return cameras.perspective_project(in_front, self.f, self.c, self.k, self.p)


# Keys are subject and camera: ("S9", "54138969").
CameraTable = dict[tuple[str, str], Camera]


def find_cameras(directory: str | os.PathLike) -> tuple[pathlib.Path, CameraTable]:
    """Reads the cameras that lie in a folder.

    Returns:
        The file, and the cameras by subject and name.

    Raises:
        UserError: if there is no such file, or it holds something else.
    """
    directory = pathlib.Path(directory)
    for name, read in ((H5_NAME, read_h5), (XML_NAME, read_xml)):
        if (directory / name).is_file():
            return directory / name, read(directory / name)
    raise UserError(
        f"{directory}: has no cameras: neither {H5_NAME} of 3d-pose-baseline nor {XML_NAME} of Human3.6M; "
        "copy one of them there."
    )


def read_h5(path: str | os.PathLike) -> CameraTable:
    """Reads `subject9/camera1/{R,T,f,c,k,p,Name}` of cameras.h5, in millimetres.

    MATLAB wrote the matrices column by column, so that R arrives transposed.

    Raises:
        UserError: naming the camera that is incomplete.
    """
    return hdf5.read(path, _from_h5)


def read_xml(path: str | os.PathLike) -> CameraTable:
    """Reads the 300 numbers of `w0` of metadata.xml: Euler angles, centres in millimetres, intrinsics.

    R = Rx(a) Ry(b) Rz(c) turns the world into the camera frame.

    Raises:
        UserError: if they are not there.
    """
    try:
        element = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: is not a readable XML file ({error}).") from error
    found = element if element.tag == "w0" else element.find(".//w0")
    if found is None or not found.text:
        raise UserError(f"{path}: has no element w0 with the cameras of Human3.6M.")
    try:
        values = np.array([float(word) for word in re.split(r"[\s,;\[\]]+", found.text) if word])
    except ValueError as error:
        raise UserError(f"{path}: w0 holds something that is no number ({error}).") from error
    if len(values) != _NUM_VALUES:
        raise UserError(f"{path}: w0 must hold {_NUM_VALUES} numbers. Received: {len(values)}")
    table = {}
    outer = values[: -_INTRINSICS * len(CAMERAS)].reshape(len(CAMERAS), _NUM_SUBJECTS, _EXTRINSICS)
    inner = values[-_INTRINSICS * len(CAMERAS) :].reshape(len(CAMERAS), _INTRINSICS)
    for place, name in enumerate(CAMERAS):
        f, c, k, p = np.split(inner[place], (2, 4, 7))
        for subject in range(_NUM_SUBJECTS):
            angles, centre = np.split(outer[place, subject], 2)
            try:
                camera = Camera(_euler_rotation(angles), centre / _MM_PER_M, f, c, k, p)
            except ValueError as error:
                raise UserError(f"{path}: camera {name} of S{subject + 1}: {error}.") from error
            table[f"S{subject + 1}", name] = camera
    return table


def _from_h5(file: hdf5.Group) -> CameraTable:
    table = {}
    for key in file:
        subject = re.fullmatch(r"subject(\d+)", key)
        group = file.group(key) if subject else None
        if group is None:
            continue
        for place, name in enumerate(CAMERAS, 1):
            if (camera := group.group(f"camera{place}")) is None:
                continue
            where = f"{key}/camera{place}"
            arrays = {field: camera.array(field) for field in (*"RTfckp", "Name")}
            if missing := [field for field, value in arrays.items() if value is None]:
                raise UserError(f"{where} is no camera (it has no {missing[0]})")
            try:
                values = {field: np.asarray(value, float) for field, value in arrays.items()}
                named = "".join(map(chr, arrays["Name"].ravel().astype(int)))
                vectors = {field: values[field].ravel() for field in "fckp"}
                table[f"S{subject[1]}", name] = Camera(
                    values["R"].T, values["T"].ravel() / _MM_PER_M, **vectors
                )
            except (ValueError, TypeError, OverflowError) as error:
                raise UserError(f"{where} is no camera ({first_line(error)})") from error
            if named != name:
                raise UserError(f"{where} must be {name}. Received: Name={named[:20]}")
    if not table:
        raise UserError("holds no cameras subjectN/cameraN")
    return table


def _euler_rotation(angles: np.ndarray) -> np.ndarray:
    (a, b, c), (sin_a, sin_b, sin_c) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, a, -sin_a], [0, sin_a, a]])
    about_y = np.array([[b, 0, sin_b], [0, 1, 0], [-sin_b, 0, b]])
    about_z = np.array([[c, -sin_c, 0], [sin_c, c, 0], [0, 0, 1]])
    return about_x @ about_y @ about_z

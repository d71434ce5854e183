"""A posed body over time as exporters of rigs take it: joints at rest, local rotations and the root's way, y up.

Files of rigs have y up and z towards the viewer, cameras y down and z forward: half a turn about x is between them.
It goes into the root's rotation, so that the body at rest, which has y up already, stays as it is.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from hpe.body.data import BodyModelData, load_body_model
from hpe.errors import UserError

# Camera axes to those of files.
TO_Y_UP = np.diag([1.0, -1.0, -1.0])


@functools.cache
def rig_of(name: str) -> BodyModelData | None:
    """Returns the body model of that name, if its arrays are in the package: that of the free default body."""
    return load_body_model("default") if name == "default" else None


@dataclasses.dataclass(frozen=True, eq=False)
class BodyMotion:
    """The body of one person over T frames.

    Attributes:
        body: the body model.
        pose: (T, 24, 3, 3) rotation matrices relative to the parent joint; the root's in the camera's axes.
        shape: (S,) shape coefficients, one set for all frames.
        translation: (T, 3) metres in the camera's axes, added to the posed body.
        times: (T,) seconds, rising.
        name: of the person.
    """

    body: BodyModelData
    pose: np.ndarray
    shape: np.ndarray
    translation: np.ndarray
    times: np.ndarray
    name: str = "person"

    def __post_init__(self):
        frames = len(self.times)
        expected = {"pose": (frames, 24, 3, 3), "translation": (frames, 3), "times": (frames,)}
        for field, shape in expected.items():
            value = np.asarray(getattr(self, field), np.float64)
            if value.shape != shape:
                raise ValueError(f"{field} must be shaped {shape}. Received: shape={value.shape}")
            if not np.isfinite(value).all():
                raise UserError(f"{self.name}: {field} is not finite, so that no file can hold it.")
        if not frames:
            raise ValueError("A motion needs at least one frame. Received: times=[]")
        if (np.diff(self.times) <= 0).any():
            raise ValueError("Times of frames must rise.")

    def rest_vertices(self) -> np.ndarray:
        """Returns the shaped body at rest, (V, 3) metres, y up; without what poses add to its surface."""
        shape = np.zeros(self.body.shape_dirs.shape[-1])
        given = np.asarray(self.shape, np.float64)[: len(shape)]
        shape[: len(given)] = given
        return self.body.v_template + self.body.shape_dirs.astype(np.float64) @ shape

    def rest_joints(self) -> np.ndarray:
        """Returns the joints at rest, (24, 3) metres, y up."""
        return self.body.joint_regressor.astype(np.float64) @ self.rest_vertices()

    def offsets(self) -> np.ndarray:
        """Returns the joints at rest from their parents, (24, 3); the root's is its place."""
        joints, parents = self.rest_joints(), self.body.parents
        return np.where((parents >= 0)[:, None], joints - joints[parents], joints)

    def local_rotations(self) -> np.ndarray:
        """Returns (T, 24, 3, 3) rotations relative to the parent, the root's with y up."""
        rotations = np.array(self.pose, np.float64)
        rotations[:, 0] = TO_Y_UP @ rotations[:, 0]
        return rotations

    def root_positions(self) -> np.ndarray:
        """Returns where the root joint is, (T, 3) metres, y up."""
        return (self.rest_joints()[0] + np.asarray(self.translation, np.float64)) @ TO_Y_UP.T

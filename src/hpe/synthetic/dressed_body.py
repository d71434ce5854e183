"""Poses a body model in plain NumPy, for programs that render people and need no network."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from hpe.body.data import NUM_JOINTS, BodyModelData


class NumpyBody:
    """A body model made ready for posing it many times, one person at a time.

    Its matrices are nearly empty and kept sparse. That also keeps BLAS and its threads out, which would fight
    over the cores when every process of a pool poses people.

    Attributes:
        data: the body model.
    """

    def __init__(self, data: BodyModelData):
        self.data = data
        self._joint_regressor = sparse.csr_array(data.joint_regressor)
        self._weights = sparse.csr_array(data.weights)
        self._keypoint_regressors = {
            name: sparse.csr_array(regressor) for name, regressor in data.keypoint_regressors.items()
        }

    def pose(self, pose, shape) -> tuple[np.ndarray, np.ndarray]:
        """Poses the body by linear blend skinning, the equations of SMPL (Loper et al. 2015).

        Args:
            pose: (72,) axis-angle of the 24 joints, root first, radians.
            shape: (10,) coefficients; those beyond the model's own are ignored.

        Returns:
            vertices (V, 3) and joints (24, 3) float32, metres, in the frame that the root rotation turns into.
        """
        data = self.data
        rotations = Rotation.from_rotvec(np.reshape(pose, (NUM_JOINTS, 3))).as_matrix().astype(np.float32)
        coefficients = np.asarray(shape, np.float32)[: data.shape_dirs.shape[2]]
        directions = data.shape_dirs[:, :, : len(coefficients)]
        shaped = data.v_template + np.einsum("vcs,s->vc", directions, coefficients)
        rest_joints = self._joint_regressor @ shaped
        if data.pose_dirs is not None:
            bend = (rotations[1:] - np.eye(3, dtype=np.float32)).ravel()
            shaped = shaped + np.einsum("vcp,p->vc", data.pose_dirs, bend)

        turned, joints = self.skeleton(rotations, rest_joints)
        # What joint j does to a point of the rest pose: turn it, then move it by this.
        moved = joints - np.einsum("jab,jb->ja", turned, rest_joints)
        blended = self._weights @ np.concatenate([turned.reshape(NUM_JOINTS, 9), moved], axis=1)
        vertices = np.einsum("vab,vb->va", blended[:, :9].reshape(-1, 3, 3), shaped) + blended[:, 9:]
        return vertices, joints

    def skeleton(self, rotations, rest_joints) -> tuple[np.ndarray, np.ndarray]:
        """Walks down the tree of joints.

        Args:
            rotations: (24, 3, 3) of every joint relative to its parent.
            rest_joints: (24, 3) metres.

        Returns:
            rotations (24, 3, 3) in the frame of the root's parent, and joints (24, 3).
        """
        turned, joints = np.array(rotations), np.array(rest_joints)
        for child, parent in enumerate(self.data.parents):
            if parent >= 0:
                turned[child] = turned[parent] @ rotations[child]
                joints[child] = joints[parent] + turned[parent] @ (rest_joints[child] - rest_joints[parent])
        return turned, joints

    def keypoints(self, name: str, vertices) -> np.ndarray:
        """Returns the keypoints (K, 3) of a skeleton by name from posed vertices (V, 3)."""
        return self._keypoint_regressors[name] @ vertices

    def mean_joints(self, pose) -> np.ndarray:
        """Returns the joints (24, 3) of the mean shape in a pose (72,)."""
        rotations = Rotation.from_rotvec(np.reshape(pose, (NUM_JOINTS, 3))).as_matrix()
        return self.skeleton(rotations, self._joint_regressor @ self.data.v_template)[1]

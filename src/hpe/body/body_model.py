"""Linear blend skinning of a SMPL-layout body as one fused Keras layer.

The textbook form (Loper et al. 2015) is rearranged, not approximated: the joint regressor is folded into the
shape basis; the identity of the pose feature R - I is folded into the template; shape and pose correctives are
one matrix product with coordinate-major columns; the 24 rigid motions are blended by one more product. Where
only keypoints are wanted the keypoint regressor is folded through the skinning weights, so no vertex is posed.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from hpe.body.data import BodyModelData, load_body_model


class BodyModel(keras.layers.Layer):
    """Poses a body: rotation matrices and shape coefficients to joints, keypoints and vertices.

    The body's arrays are constants of the layer, not weights: they never enter a checkpoint, since model
    files may be under a licence.

    Attributes:
        data: the `BodyModelData`.
        faces: (F, 3) int32, on the vertices of the whole body.
        num_vertices: how many vertices a call returns.
    """

    def __init__(self, data: BodyModelData, keypoints="cocoplus19", *, vertex_subset=None, **kwargs):
        """Prepares the fused bases.

        Args:
            data: the body.
            keypoints: name of one of `data.keypoint_regressors`.
            vertex_subset: (M,) indices of the vertices to pose; None poses all.
            **kwargs: as of keras.layers.Layer; dtype is always float32.
        """
        kwargs.setdefault("trainable", False)
        super().__init__(**(kwargs | {"dtype": "float32"}))
        if keypoints not in data.keypoint_regressors:
            known = ", ".join(sorted(data.keypoint_regressors))
            raise ValueError(f"{data.name} has keypoints {known}. Received: keypoints={keypoints!r}")
        self.data = data
        self.faces = data.faces
        self.keypoints = keypoints
        self.vertex_subset = None if vertex_subset is None else np.asarray(vertex_subset, np.int32)
        subset = slice(None) if vertex_subset is None else self.vertex_subset
        self.num_vertices = len(data.v_template[subset])
        self._levels = _tree_levels(data.parents)
        self._num_joints = len(data.parents)
        self._has_pose_dirs = data.pose_dirs is not None
        self._num_shapes = data.shape_dirs.shape[2]
        self._set_constants(subset)

    def _set_constants(self, subset):
        """Computes the bases in float64 and keeps them as tensors, made once and captured by every graph."""
        data = self.data
        basis = _blend_basis(data)  # (C, V, 3)
        shape_basis = basis[: 1 + self._num_shapes].copy()
        shape_basis[0] = data.v_template
        regressor = data.joint_regressor.astype(np.float64)
        joint_basis = np.einsum("jv,cvx->cjx", regressor, shape_basis)
        weights = data.weights.astype(np.float64)

        # keypoint k = sum_v r_kv sum_j w_vj (R_j x_v + t_j) = sum_j R_j (sum_v r_kv w_vj x_v) + c_kj t_j
        table = data.keypoint_regressors[self.keypoints].astype(np.float64)
        shares = table @ weights
        used = np.abs(table) @ np.abs(weights) > 0.0
        pair_keypoint, pair_joint = np.nonzero(used)
        pair_rows = table[pair_keypoint] * weights.T[pair_joint]
        pair_basis = np.einsum("pv,cvx->cpx", pair_rows, basis)
        sums = np.zeros((len(table), len(pair_joint)))
        sums[pair_keypoint, np.arange(len(pair_joint))] = 1.0

        def flat(array, order):
            return _constant(array.transpose(order).reshape(len(array), -1))

        self._joint_basis = flat(joint_basis, (0, 1, 2))
        self._vertex_basis = flat(basis[:, subset], (0, 2, 1))
        self._weights = _constant(weights[subset].T)
        self._pair_basis = flat(pair_basis, (0, 1, 2))
        self._pair_joints = pair_joint.astype(np.int32)
        self._pair_shares = _constant(shares[pair_keypoint, pair_joint][:, None])
        self._pair_sums = _constant(sums)
        # From posed vertices the keypoints are cheaper, but only when all vertices are there.
        self._keypoint_regressor = None if self.vertex_subset is not None else _constant(table.T)

    def call(self, rotmats, shape, vertices=True):
        """Poses the body.

        Args:
            rotmats: (B, 24, 3, 3) rotations of the joints relative to their parents; the root's turns the
                body about its pelvis. Anything that broadcasts from (B, 24, 9) or (B, 216) is not accepted.
            shape: (B, S) shape coefficients; more are allowed and have no effect.
            vertices: whether to pose the vertices; joints and keypoints are the same without.

        Returns:
            dict of float32 tensors in metres: joints (B, 24, 3), keypoints (B, K, 3) and, if asked for,
            vertices (B, num_vertices, 3), in the frame the root rotation leads to, without translation.
        """
        if shape.shape[1] > self._num_shapes:
            shape = shape[:, : self._num_shapes]
        coefficients = ops.concatenate([ops.ones_like(shape[:, :1]), shape], axis=1)
        rest_joints = ops.reshape(ops.matmul(coefficients, self._joint_basis), (-1, self._num_joints, 3))
        rotations, joints = self._forward_kinematics(rotmats, rest_joints)
        # Skinning moves x to R (x - rest joint) + joint.
        offsets = joints - ops.matmul(rotations, rest_joints[..., None])[..., 0]
        if self._has_pose_dirs:
            pose = ops.reshape(rotmats[:, 1:], (-1, 9 * (self._num_joints - 1)))
            coefficients = ops.concatenate([coefficients, pose], axis=1)
        outputs = {"joints": joints}
        posed = None
        if vertices:
            posed = self._skin(coefficients, rotations, offsets)
            outputs["vertices"] = ops.transpose(posed, (0, 2, 1))
        if posed is not None and self._keypoint_regressor is not None:
            keypoints = ops.matmul(posed, self._keypoint_regressor)
            outputs["keypoints"] = ops.transpose(keypoints, (0, 2, 1))
        else:
            outputs["keypoints"] = self._folded_keypoints(coefficients, rotations, offsets)
        return outputs

    def _forward_kinematics(self, rotmats, rest_joints):
        """Returns global rotations (B, 24, 3, 3) and posed joints (B, 24, 3), one level of the tree at a time."""
        rotations, positions = rotmats[:, :1], rest_joints[:, :1]
        all_rotations, all_positions = [rotations], [positions]
        for joints, parents, parents_in_level in self._levels[1:]:
            bones = ops.take(rest_joints, joints, axis=1) - ops.take(rest_joints, parents, axis=1)
            above = ops.take(rotations, parents_in_level, axis=1)
            positions = (
                ops.take(positions, parents_in_level, axis=1) + ops.matmul(above, bones[..., None])[..., 0]
            )
            rotations = ops.matmul(above, ops.take(rotmats, joints, axis=1))
            all_rotations.append(rotations)
            all_positions.append(positions)
        order = np.argsort(np.concatenate([level[0] for level in self._levels])).astype(np.int32)
        return (
            ops.take(ops.concatenate(all_rotations, axis=1), order, axis=1),
            ops.take(ops.concatenate(all_positions, axis=1), order, axis=1),
        )

    def _skin(self, coefficients, rotations, offsets):
        """Returns posed vertices (B, 3, V)."""
        rest = ops.reshape(ops.matmul(coefficients, self._vertex_basis), (-1, 3, self.num_vertices))
        motions = ops.concatenate([rotations, offsets[..., None]], axis=-1)  # (B, 24, 3, 4)
        motions = ops.reshape(ops.transpose(motions, (0, 2, 3, 1)), (-1, self._num_joints))
        blended = ops.reshape(ops.matmul(motions, self._weights), (-1, 3, 4, self.num_vertices))
        return (
            blended[:, :, 0] * rest[:, 0:1]
            + blended[:, :, 1] * rest[:, 1:2]
            + blended[:, :, 2] * rest[:, 2:3]
            + blended[:, :, 3]
        )

    def _folded_keypoints(self, coefficients, rotations, offsets):
        """Returns keypoints (B, K, 3) without posing a vertex."""
        rest = ops.reshape(ops.matmul(coefficients, self._pair_basis), (-1, len(self._pair_joints), 3))
        turned = ops.matmul(ops.take(rotations, self._pair_joints, axis=1), rest[..., None])[..., 0]
        moved = turned + self._pair_shares * ops.take(offsets, self._pair_joints, axis=1)
        return ops.matmul(self._pair_sums, moved)

    def compute_output_shape(self, rotmats_shape, shape_shape=None, vertices=True):
        """Returns the shapes of the outputs of `call` as a dict."""
        batch = rotmats_shape[0]
        num_keypoints = len(self.data.keypoint_regressors[self.keypoints])
        shapes = {"joints": (batch, self._num_joints, 3), "keypoints": (batch, num_keypoints, 3)}
        if vertices:
            shapes["vertices"] = (batch, self.num_vertices, 3)
        return shapes

    def get_config(self):
        """Returns a config that names the body model file instead of holding its arrays."""
        subset = None if self.vertex_subset is None else self.vertex_subset.tolist()
        config = {"data": self.data.source, "keypoints": self.keypoints, "vertex_subset": subset}
        return super().get_config() | config

    @classmethod
    def from_config(cls, config):
        """Makes the layer again, reading the body model file; raises UserError where it is gone."""
        return cls(**(config | {"data": load_body_model(config["data"])}))


def _constant(array):
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))


def _blend_basis(data):
    """Returns (1 + S [+ 207], V, 3) float64: what 1, shape and the entries of R add to a rest vertex."""
    rows = [data.v_template[None].astype(np.float64), data.shape_dirs.transpose(2, 0, 1)]
    if data.pose_dirs is not None:
        pose_rows = data.pose_dirs.transpose(2, 0, 1).astype(np.float64)
        identity = np.tile(np.eye(3).ravel(), len(data.parents) - 1)
        rows[0] = rows[0] - np.einsum("p,pvx->vx", identity, pose_rows)
        rows.append(pose_rows)
    return np.concatenate(rows)


def _tree_levels(parents):
    """Returns for each depth of the tree (joints, their parents, places of the parents in the level above)."""
    depth = np.zeros(len(parents), np.int32)
    for joint, parent in enumerate(parents[1:], start=1):
        depth[joint] = depth[parent] + 1
    levels = [(np.zeros(1, np.int32), None, None)]
    for level in range(1, depth.max() + 1):
        joints = np.flatnonzero(depth == level).astype(np.int32)
        above = levels[-1][0]
        places = np.searchsorted(above, parents[joints]).astype(np.int32)
        levels.append((joints, parents[joints].astype(np.int32), places))
    return levels

"""Linear blend skinning of a SMPL-layout body as one fused Keras layer.

The textbook form (Loper et al. 2015) is rearranged, not approximated: the joint regressor is folded into the
shape basis; the identity of the pose feature R - I is folded into the template; shape and pose correctives are
one matrix product per coordinate; the 24 rigid motions are blended by one more per column. Where only keypoints
are wanted the keypoint regressor is folded through the skinning weights, so no vertex is posed.

Few and large operations, on purpose, and none whose gradient is expensive: in a plain graph a small operation
costs what thousands of multiplications do.
"""

from __future__ import annotations

import itertools

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
        order, self._level_ends, selections = _tree_levels(data.parents)
        self._order = None if np.array_equal(order, np.arange(len(order))) else order
        self._back_order = None if self._order is None else np.argsort(order).astype(np.int32)
        # None: joint i of this level hangs on joint i of the level above.
        self._selections = selections

        # [R 0; 0 0] plus the first is a joint's 4x4 motion in its parent; the second moves the rest joint to 0.
        self._bone_basis = _constant(_translations(_bones(joint_basis, data.parents), diagonal=(0, 0, 0, 1)))
        self._centring_basis = _constant(_translations(-joint_basis, diagonal=(1, 1, 1, 1)))

        weights = data.weights.astype(np.float64)
        self._vertex_bases = _by_coordinate(basis[:, subset])
        self._weights = _constant(weights[subset].T)

        # keypoint k = sum_v r_kv sum_j w_vj (R_j x_v + t_j) = sum_j R_j (sum_v r_kv w_vj x_v) + c_kj t_j
        # A pair (k, j) is skinned as a vertex of joint j alone, whose share of the translation is c_kj.
        table = data.keypoint_regressors[self.keypoints].astype(np.float64)
        used = np.abs(table) @ np.abs(weights) > 0.0
        pair_keypoint, pair_joint = np.nonzero(used)
        pair_rows = table[pair_keypoint] * weights.T[pair_joint]
        pairs = np.arange(len(pair_joint))
        turning = np.zeros((self._num_joints, len(pairs)))
        turning[pair_joint, pairs] = 1.0
        sums = np.zeros((len(pairs), len(table)))
        sums[pairs, pair_keypoint] = 1.0
        self._pair_bases = _by_coordinate(np.einsum("pv,cvx->cpx", pair_rows, basis))
        self._pair_weights = _constant(turning)
        self._pair_shares = _constant(turning * (table @ weights)[pair_keypoint, pair_joint])
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
        joints, motions = self._forward_kinematics(rotmats, coefficients)
        if self._has_pose_dirs:
            pose = ops.reshape(rotmats[:, 1:], (-1, 9 * (self._num_joints - 1)))
            coefficients = ops.concatenate([coefficients, pose], axis=1)
        outputs = {"joints": joints}
        posed = None
        if vertices:
            posed = _skin(coefficients, motions, self._vertex_bases, self._weights, self._weights)
            outputs["vertices"] = ops.transpose(posed, (0, 2, 1))
        if posed is not None and self._keypoint_regressor is not None:
            keypoints = ops.matmul(posed, self._keypoint_regressor)
        else:
            pairs = _skin(coefficients, motions, self._pair_bases, self._pair_weights, self._pair_shares)
            keypoints = ops.matmul(pairs, self._pair_sums)
        outputs["keypoints"] = ops.transpose(keypoints, (0, 2, 1))
        return outputs

    def _forward_kinematics(self, rotmats, coefficients):
        """Returns posed joints (B, 24, 3) and the motions of the joints from the rest pose (B, 24, 3, 4).

        Goes down the tree one level at a time, over 4x4 matrices: one product and at most one gather per level.
        """
        shape = (-1, self._num_joints, 4, 4)
        local = ops.pad(rotmats, ((0, 0), (0, 0), (0, 1), (0, 1)))
        local = local + ops.reshape(ops.matmul(coefficients, self._bone_basis), shape)
        if self._order is not None:
            local = ops.take(local, self._order, axis=1)
        root, *levels = ops.split(local, self._level_ends, axis=1)
        chain = [root]
        for level, selection in zip(levels, self._selections, strict=True):
            above = chain[-1]
            if selection is not None:
                above = ops.take(above, selection, axis=1)
            chain.append(_product(above, level))
        placed = ops.concatenate(chain, axis=1)[:, :, :3]
        if self._back_order is not None:
            placed = ops.take(placed, self._back_order, axis=1)
        # Skinning moves x to R (x - rest joint) + joint.
        centring = ops.reshape(ops.matmul(coefficients, self._centring_basis), shape)
        return placed[..., 3], _product(placed, centring)

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


def _product(left, right):
    """Multiplies small matrices (..., I, K) and (..., K, J), which matmul takes several times as long for."""
    return ops.sum(left[..., None] * right[..., None, :, :], axis=-2)


def _skin(coefficients, motions, bases, weights, shares):
    """Returns points of a body by linear blend skinning.

    One coordinate at a time: small intermediate results that stay in the cache, and gradients without slices,
    each of which would fill a tensor of the size of all blended motions.

    Args:
        coefficients: (B, C) what the bases are multiplied by.
        motions: (B, 24, 3, 4) rotations and translations of the joints.
        bases: per coordinate of the rest pose (C, N).
        weights: (24, N) of the rotations.
        shares: (24, N) of the translations.

    Returns:
        (B, 3, N) metres.
    """
    num_joints, num_points = weights.shape
    columns = ops.unstack(ops.transpose(motions, (3, 0, 2, 1)), axis=0)  # 4 x (B, 3, 24)

    def blended(column, table):
        return ops.reshape(ops.matmul(ops.reshape(column, (-1, num_joints)), table), (-1, 3, num_points))

    posed = blended(columns[3], shares)
    for column, basis in zip(columns, bases, strict=False):
        rest = ops.matmul(coefficients, basis)
        posed = posed + blended(column, weights) * ops.expand_dims(rest, 1)
    return posed


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


def _by_coordinate(basis):
    """Splits a basis (C, N, 3) into one (C, N) per coordinate."""
    return tuple(_constant(basis[:, :, axis]) for axis in range(3))


def _bones(joint_basis, parents):
    """Returns (C, 24, 3): what the coefficients add to each joint's place relative to its parent."""
    bones = joint_basis.copy()
    bones[:, 1:] -= joint_basis[:, parents[1:]]
    return bones


def _translations(basis, *, diagonal):
    """Returns (C, 24 * 16): a basis of places (C, 24, 3) as one of 4x4 matrices with this diagonal."""
    matrices = np.zeros((*basis.shape[:2], 4, 4))
    matrices[:, :, :3, 3] = basis
    matrices[0] += np.diag(diagonal)
    return matrices.reshape(len(basis), -1)


def _tree_levels(parents):
    """Returns how the tree is walked by levels of depth.

    Returns:
        The joints (24,) level by level; where each level but the last ends; for each level but the first the
        places of its parents in the level above, or None where those are that level as it stands.
    """
    depth = np.zeros(len(parents), np.int32)
    for joint, parent in enumerate(parents[1:], start=1):
        depth[joint] = depth[parent] + 1
    levels = [np.flatnonzero(depth == level).astype(np.int32) for level in range(depth.max() + 1)]
    selections = []
    for above, level in itertools.pairwise(levels):
        selected = parents[level]
        selections.append(None if np.array_equal(selected, above) else np.searchsorted(above, selected))
    return np.concatenate(levels), np.cumsum([len(level) for level in levels])[:-1].tolist(), selections

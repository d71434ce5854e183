"""A body model as the HMR paper's formulation has it, plainly: what `hpe.body.body_model` is compared with.

Every step of SMPL (Loper et al. 2015) is a step here: shape, dense joint regressor, pose feature R - I, a chain
of homogeneous 4x4 matrices, skinning weights tiled over the batch, one 4x4 product per vertex.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from hpe.body.data import BodyModelData


class TextbookBody:
    """Poses a body in TensorFlow; results are those of `BodyModel`."""

    def __init__(self, data: BodyModelData):
        count = len(data.v_template)
        self._template = tf.constant(data.v_template)
        self._shapes = tf.constant(data.shape_dirs.reshape(3 * count, -1).T)
        self._poses = None
        if data.pose_dirs is not None:
            self._poses = tf.constant(data.pose_dirs.reshape(3 * count, -1).T)
        self._regressor = tf.constant(data.joint_regressor.T)
        self._keypoints = tf.constant(data.keypoint_regressors["cocoplus19"].T)
        self._weights = tf.constant(data.weights)
        self._parents = data.parents.tolist()

    def __call__(self, rotmats: tf.Tensor, shape: tf.Tensor) -> dict[str, tf.Tensor]:
        """Takes rotations (B, 24, 3, 3) and shape (B, 10); returns joints, keypoints and vertices, metres."""
        batch, (vertices, joints) = rotmats.shape[0], self._weights.shape
        shaped = tf.reshape(shape @ self._shapes, (batch, vertices, 3)) + self._template
        rest = _regressed(shaped, self._regressor)

        if self._poses is not None:
            feature = tf.reshape(rotmats[:, 1:] - tf.eye(3), (batch, 9 * (joints - 1)))
            shaped += tf.reshape(feature @ self._poses, (batch, vertices, 3))

        places, motions = self._chain(rotmats, rest)
        weights = tf.reshape(tf.tile(self._weights, (batch, 1)), (batch, vertices, joints))
        motions = weights @ tf.reshape(motions, (batch, joints, 16))
        homogeneous = tf.concat([shaped, tf.ones((batch, vertices, 1))], axis=2)
        posed = tf.reshape(motions, (batch, vertices, 4, 4)) @ homogeneous[..., None]
        posed = posed[:, :, :3, 0]
        return {"joints": places, "keypoints": _regressed(posed, self._keypoints), "vertices": posed}

    def _chain(self, rotmats, rest):
        """Returns posed joints (B, 24, 3) and motions (B, 24, 4, 4) from the rest pose."""
        batch = rotmats.shape[0]
        bottom = tf.tile(tf.constant([[[0.0, 0.0, 0.0, 1.0]]]), (batch, 1, 1))
        chain = []
        for joint, parent in enumerate(self._parents):
            step = rest[:, joint] if parent < 0 else rest[:, joint] - rest[:, parent]
            local = tf.concat([tf.concat([rotmats[:, joint], step[:, :, None]], axis=2), bottom], axis=1)
            chain.append(local if parent < 0 else chain[parent] @ local)
        chain = tf.stack(chain, axis=1)
        zero = tf.zeros((batch, len(self._parents), 1, 1))
        moved = chain @ tf.concat([rest[..., None], zero], axis=2)
        motions = chain - tf.pad(moved, ((0, 0), (0, 0), (0, 0), (3, 0)))
        return chain[:, :, :3, 3], motions


def _regressed(vertices: tf.Tensor, regressor: tf.Tensor) -> tf.Tensor:
    """Applies a dense regressor (V, K) to vertices (B, V, 3), one coordinate at a time: (B, K, 3)."""
    return tf.stack([vertices[:, :, axis] @ regressor for axis in range(3)], axis=2)


def random_body(*, vertices: int = 6890, seed: int = 0) -> BodyModelData:
    """Returns a body of random numbers with SMPL's sizes and, roughly, how its tables are filled.

    Vertices follow a limb: each hangs on four neighbouring joints, each regressor takes vertices of its own
    limb. Time depends on that only where few entries are not zero.
    """
    rng = np.random.default_rng(seed)
    parents = np.array([-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21])
    limb = np.arange(vertices) * 24 // vertices
    weights = np.zeros((vertices, 24))
    near = limb
    for share in (0.7, 0.2, 0.07, 0.03):
        np.add.at(weights, (np.arange(vertices), near), share)
        near = np.maximum(parents[near], 0)
    template = rng.normal(scale=0.1, size=(vertices, 3)) + rng.normal(scale=0.4, size=(24, 3))[limb]

    def regressor(rows, per_row):
        table = np.zeros((rows, vertices))
        for row in range(rows):
            of_limb = np.flatnonzero(limb == row)
            table[row, rng.choice(of_limb, per_row, replace=False)] = rng.dirichlet(np.ones(per_row))
        return table.astype(np.float32)

    return BodyModelData(
        name="random",
        v_template=template.astype(np.float32),
        shape_dirs=rng.normal(scale=0.02, size=(vertices, 3, 10)).astype(np.float32),
        pose_dirs=rng.normal(scale=0.005, size=(vertices, 3, 207)).astype(np.float32),
        joint_regressor=regressor(24, 30),
        weights=weights.astype(np.float32),
        parents=parents.astype(np.int32),
        faces=np.zeros((1, 3), np.int32),
        keypoint_regressors={"cocoplus19": regressor(19, 12)},
        vertex_colors=None,
        mean_pose=np.zeros(72, np.float32),
        mean_shape=np.zeros(10, np.float32),
    )

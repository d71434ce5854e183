"""Pose sequences become batches of 2D and 3D joints: all frames lie in memory, a batch is a gather.

Keys of a batch of B frames:

| key | content |
|---|---|
| joints2d | (B, J, 2) float32, pixels from the camera's principal point (from the middle of the image where it is unknown), x right, y down, or with `undistort` X / Z and Y / Z; joints of `PosePipelineConfig.skeleton` |
| joints3d | (B, 17, 3) float32, metres, camera frame, from the pelvis, `h36m17`; zeros where the sequence has none |
| joints3d_weight | (B, 17) float32, 1 where there is 3D |
| name | (B,) string, the sequence's name, `#` and the number of the frame |
| valid | (B,) float32, 0 for rows that only fill up the last batch of an evaluation |
"""  # noqa: E501

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.pose_sequence import FRAMES_LEFT_OUT, PoseSequence
from hpe.errors import UserError
from hpe.geometry.cameras import undistort
from hpe.pipeline.ordering import Stream, deterministic, share_of_batch, stream_key
from hpe.pipeline.pose_augmentation import DRAWS, augment
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.pose_detections import with_detections
from hpe.records.poses import find_sequences, read_sequences
from hpe.records.reading import DatasetShards

_JOINTS3D = skeletons.H36M17


class PoseSource:
    """Sequences of poses, all frames in memory.

    Args:
        data_dir: folder of the datasets.
        names: datasets by name.
        config: which 2D joints, and the augmentation.
        verify: also compares every byte of the files with its checksum.

    Attributes:
        shards: the files.
        count: number of frames of all sequences.

    Raises:
        UserError: a dataset is absent or damaged, or a sequence lacks what the configuration asks for.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike,
        names: Sequence[str],
        config: PosePipelineConfig,
        *,
        verify: bool = False,
    ):
        shards = find_sequences(data_dir, names, verify=verify)
        self._fill(shards, [one for dataset in shards for one in read_sequences(dataset)], config)

    @classmethod
    def from_sequences(cls, sequences: Sequence[PoseSequence], config: PosePipelineConfig) -> PoseSource:
        """Returns a source of sequences that are in memory already."""
        source = cls.__new__(cls)
        source._fill([], sequences, config)
        return source

    def _fill(self, shards: Sequence[DatasetShards], sequences, config: PosePipelineConfig) -> None:
        if not sequences:
            raise UserError("the datasets hold no pose sequences.")
        self.shards = shards
        self.config = config
        self._sequences = sequences
        frames = [len(sequence) for sequence in sequences]
        self.count = sum(frames)
        self._sequence = np.repeat(np.arange(len(sequences), dtype=np.int32), frames)
        self._frame = np.concatenate([np.arange(count, dtype=np.int32) for count in frames])
        if config.keypoints.endswith(".npz"):
            manifests = [dataset.manifest for dataset in shards if dataset.manifest is not None]
            gaps = {name for manifest in manifests for name in manifest.notes.get(FRAMES_LEFT_OUT, ())}
            sequences = with_detections(sequences, config.keypoints, gaps=gaps)
        self._joints2d = np.concatenate([_keypoints(sequence, config) for sequence in sequences])
        # What is evaluated; what is trained on is augmented in pixels first.
        self._shown2d = self._joints2d
        if config.undistort:
            self._shown2d = np.concatenate([_undistorted(sequence, config) for sequence in sequences]).astype(
                np.float32
            )
        self._joints3d = np.concatenate([_absolute(sequence) for sequence in sequences])
        self._has_3d = np.array([sequence.joints3d is not None for sequence in sequences], np.float32)

    @property
    def actions(self) -> np.ndarray:
        """What is done in every frame, (count,) strings; empty where it is not known."""
        return np.array([sequence.action for sequence in self._sequences])[self._sequence]

    def pose(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns the 2D joints (J, 2) and 3D joints (17, 3), or None, of one frame, as in a batch."""
        joints3d = self._joints3d[index]
        known = self._has_3d[self._sequence[index]] > 0
        return self._shown2d[index], joints3d - joints3d[:1] if known else None

    def statistics(self) -> dict[str, np.ndarray]:
        """Returns all poses without augmentation, `joints2d` and `joints3d` as in a batch.

        Frames without 3D are left out.

        Raises:
            UserError: no frame has 3D.
        """
        known = self._has_3d[self._sequence] > 0
        if not known.any():
            raise UserError(f"{self._sequences[0].name}: no sequence has 3D joints to learn from.")
        joints3d = self._joints3d[known]
        return {"joints2d": self._shown2d[known], "joints3d": joints3d - joints3d[:, :1]}

    def training_batches(
        self,
        *,
        batch_size: int,
        seed: int,
        start_step: int = 0,
        shard_index: int = 0,
        num_shards: int = 1,
    ) -> tf.data.Dataset:
        """Returns endless augmented batches, see `shuffled_indices` for their order.

        Batch k is a function of (seed, k) alone. Several readers share it by rows.

        Args:
            batch_size: frames of a batch, of all readers together.
            seed: of order and augmentation.
            start_step: number of the first batch.
            shard_index: which reader this is.
            num_shards: number of readers.

        Raises:
            UserError: the batch does not divide, there are fewer frames than it takes, or a sequence lacks what the
                augmentation needs.
        """
        if batch_size > self.count:
            raise UserError(f"--batch_size={batch_size}: there are only {self.count} frames.")
        rows = share_of_batch(batch_size, shard_index, num_shards)
        tables = self._tables(self._joints2d, cameras=True)
        order = stream_key(seed, Stream.POSE_ORDER)
        jitter = stream_key(seed, Stream.POSE_JITTER)

        def make(step: tf.Tensor) -> dict[str, tf.Tensor]:
            indices = shuffled_indices(step, batch_size, self.count, key=order)[rows]
            batch, camera = self._gather(tables, indices)
            uniform = tf.random.stateless_uniform(
                (batch_size, DRAWS), seed=tf.stack([jitter, step]), alg="philox"
            )[rows]
            joints2d, joints3d = augment(
                batch["joints2d"], batch["joints3d"], camera, uniform, config=self.config
            )
            if self.config.undistort:
                joints2d = undistort(joints2d, camera["f"], camera["k"], camera["p"])
            return self._finish({**batch, "joints2d": joints2d, "joints3d": joints3d})

        steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        batches = steps.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return deterministic(batches.prefetch(tf.data.AUTOTUNE))

    def evaluation_batches(self, *, batch_size: int) -> tf.data.Dataset:
        """Returns every frame once, in order, without augmentation; the last batch is filled up with zeros."""
        tables = self._tables(self._shown2d, cameras=False)
        steps = -(-self.count // batch_size)

        def make(step: tf.Tensor) -> dict[str, tf.Tensor]:
            indices = tf.cast(step, tf.int32) * batch_size + tf.range(batch_size)
            valid = tf.cast(indices < self.count, tf.float32)
            batch, _ = self._gather(tables, tf.minimum(indices, self.count - 1))
            batch = {**self._finish(batch), "valid": valid}
            for name in ("joints2d", "joints3d", "joints3d_weight"):
                shape = (-1, *[1] * (len(batch[name].shape) - 1))
                batch[name] *= tf.reshape(valid, shape)
            return {**batch, "name": tf.where(valid > 0, batch["name"], "")}

        batches = tf.data.Dataset.range(steps).map(make, num_parallel_calls=tf.data.AUTOTUNE)
        return deterministic(batches.prefetch(tf.data.AUTOTUNE))

    def _tables(self, joints2d: np.ndarray, *, cameras: bool) -> dict[str, tf.Tensor]:
        """Returns what batches are gathered from: by frame, and by sequence."""
        tables = {
            "joints2d": tf.constant(joints2d),
            "joints3d": tf.constant(self._joints3d),
            "sequence": tf.constant(self._sequence),
            "frame": tf.constant(self._frame),
            "has_3d": tf.constant(self._has_3d),
            "names": tf.constant([sequence.name for sequence in self._sequences]),
        }
        if cameras and (self.config.reproject or self.config.undistort):
            if self.config.reproject:
                _require_projections(self.config)
            find = _camera if self.config.reproject else _lens
            parts = [find(sequence) for sequence in self._sequences]
            tables |= {
                f"camera/{name}": tf.constant(np.stack([part[name] for part in parts])) for name in parts[0]
            }
        return tables

    def _gather(self, tables: dict, indices: tf.Tensor) -> tuple[dict, dict]:
        """Returns the rows of a batch, with 3D joints from the camera's centre, and their cameras."""
        sequence = tf.gather(tables["sequence"], indices)
        batch = {
            "joints2d": tf.gather(tables["joints2d"], indices),
            "joints3d": tf.gather(tables["joints3d"], indices),
            "joints3d_weight": tf.repeat(
                tf.gather(tables["has_3d"], sequence)[:, None], len(_JOINTS3D), axis=1
            ),
            "name": tf.strings.join(
                [
                    tf.gather(tables["names"], sequence),
                    tf.strings.as_string(tf.gather(tables["frame"], indices)),
                ],
                separator="#",
            ),
        }
        cameras = {
            key.removeprefix("camera/"): tf.gather(table, sequence)
            for key, table in tables.items()
            if key.startswith("camera/")
        }
        return batch, cameras

    def _finish(self, batch: dict) -> dict[str, tf.Tensor]:
        joints3d = batch["joints3d"]
        return {
            **batch,
            "joints3d": joints3d - joints3d[:, :1],
            "valid": tf.ones(tf.shape(joints3d)[0]),
        }


def shuffled_indices(step: tf.Tensor, batch_size: int, count: int, *, key: int) -> tf.Tensor:
    """Returns which samples make up a batch: whole batches of a permutation, another one in every epoch.

    What is left over by an epoch's last batch sits it out.

    Args:
        step: scalar int64, number of the batch.
        batch_size: samples of a batch, at most `count`.
        count: number of samples.
        key: of `hpe.pipeline.ordering.stream_key`.

    Returns:
        (batch_size,) int32.
    """
    per_epoch = count // batch_size
    epoch, place = step // per_epoch, tf.cast(step % per_epoch, tf.int32)
    seed = tf.random.stateless_uniform(
        (2,), seed=tf.stack([key, epoch]), minval=None, maxval=None, dtype=tf.int32, alg="philox"
    )
    positions = place * batch_size + tf.range(batch_size)
    return tf.random.experimental.index_shuffle(positions, seed, count - 1)


def _keypoints(sequence: PoseSequence, config: PosePipelineConfig) -> np.ndarray:
    """Returns a sequence's 2D joints (T, J, 2), pixels from the principal point, in the joint set asked for."""
    if config.keypoints not in sequence.keypoints:
        raise UserError(
            f"{sequence.name}: has no keypoints {config.keypoints!r}, only "
            f"{', '.join(sorted(sequence.keypoints)) or 'none'}; choose with --keypoints."
        )
    points = sequence.keypoints[config.keypoints]
    source, target = skeletons.get(points.skeleton), skeletons.get(config.skeleton)
    conversion = skeletons.convert(source, target)
    lacking = [joint for joint, weight in zip(target.joints, conversion.weights, strict=True) if not weight]
    if lacking:
        raise UserError(
            f"{sequence.name}: --keypoints={config.keypoints} are {source.name}, which lacks {', '.join(lacking)} "
            f"of --input_skeleton={target.name}."
        )
    return (conversion.coordinates(points.joints) - _principal_point(sequence)).astype(np.float32)


def _undistorted(sequence: PoseSequence, config: PosePipelineConfig) -> np.ndarray:
    return undistort(_keypoints(sequence, config), **_lens(sequence))


def _lens(sequence: PoseSequence) -> dict[str, np.ndarray]:
    """Returns focal lengths and distortion of a sequence's camera: `f`, `k`, `p`."""
    if any(getattr(sequence, name) is None for name in ("f", "k", "p")):
        raise UserError(f"{sequence.name}: its camera's lens is not known; use --noundistort.")
    return {name: np.float32(getattr(sequence, name)) for name in ("f", "k", "p")}


def _principal_point(sequence: PoseSequence) -> np.ndarray:
    if sequence.c is not None:
        return np.asarray(sequence.c)
    if sequence.image_size is not None:
        # Pixel centres lie at integers.
        return (np.float32(sequence.image_size) - 1.0) / 2.0
    raise UserError(f"{sequence.name}: neither its principal point nor the size of its images is known.")


def _absolute(sequence: PoseSequence) -> np.ndarray:
    if sequence.joints3d is None:
        return np.zeros((len(sequence), len(_JOINTS3D), 3), np.float32)
    return np.asarray(sequence.joints3d, np.float32)


def _require_projections(config: PosePipelineConfig) -> None:
    """Refuses 2D joints that no 3D joint says how to move."""
    target = skeletons.get(config.skeleton)
    weights = skeletons.convert(_JOINTS3D, target).weights
    lacking = [joint for joint, weight in zip(target.joints, weights, strict=True) if not weight]
    if lacking:
        raise UserError(
            f"--reproject: {', '.join(lacking)} of {target.name} cannot be projected, for the 3D joints "
            f"({_JOINTS3D.name}) lack them; use --noreproject or other 2D joints (--input_skeleton)."
        )


def _camera(sequence: PoseSequence) -> dict[str, np.ndarray]:
    """Returns a sequence's camera: `f`, `k`, `p`, and the world's vertical axis `up` in the camera frame."""
    if sequence.joints3d is None or any(
        getattr(sequence, name) is None for name in ("f", "c", "k", "p", "rotation")
    ):
        raise UserError(f"{sequence.name}: has no 3D joints with a whole camera; use --noreproject.")
    if not (sequence.joints3d[..., 2] > 0).all():
        raise UserError(f"{sequence.name}: has joints that are not before the camera; use --noreproject.")
    camera = {name: np.float32(getattr(sequence, name)) for name in ("f", "k", "p")}
    return camera | {"up": np.float32(sequence.rotation[:, 2])}

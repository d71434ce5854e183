"""Pose sequences become batches of 2D and 3D joints: all frames lie in memory, a batch is a gather.

Keys of a batch of B frames:

| key | content |
|---|---|
| joints2d | (B, J, 2) float32, pixels from the camera's principal point (from the middle of the image where it is unknown), x right, y down, or with `undistort` X / Z and Y / Z; joints of `PosePipelineConfig.skeleton` |
| joints2d_weight | (B, J) float32, the detector's confidence; 1 where it gives none |
| joints3d | (B, 17, 3) float32, metres, camera frame, from the pelvis, `h36m17`; zeros where the sequence has none |
| joints3d_weight | (B, 17) float32, 1 where there is 3D |
| name | (B,) string, the sequence's name, `#` and the number of the frame |
| action | (B,) string, what is done, empty where unknown; in evaluation alone |
| valid | (B,) float32, 0 for rows that only fill up the last batch of an evaluation |

People are mirrored, turned and moved as a camera without a lens sees them; where the network is to see pixels, the
lens comes back at the end.
"""  # noqa: E501

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from hpe import skeletons
from hpe.datasets.pose_sequence import FRAMES_LEFT_OUT, PoseSequence
from hpe.errors import SettingError, UserError
from hpe.fields import Needs
from hpe.geometry.cameras import perspective_project
from hpe.pipeline.ordering import Stream, deterministic, share_of_batch, stream_key
from hpe.pipeline.pose_augmentation import DRAWS, augment
from hpe.pipeline.pose_config import PosePipelineConfig
from hpe.pipeline.pose_detections import DetectionFile
from hpe.pipeline.pose_tables import JOINTS3D, PoseTables, collect
from hpe.pipeline.shares import Shares
from hpe.pipeline.spec import DatasetSpec, parse_specs, shares_of
from hpe.records.poses import find_sequences, stream_sequences
from hpe.records.reading import DatasetShards

_FIELDS = ("joints2d", "joints3d", "name", "action")


class PoseSource:
    """Sequences of poses, all frames in memory; see `hpe.pipeline.Source`.

    Args:
        data_dir: folder of the datasets.
        specs: the datasets: their names, shares and own settings.
        config: which 2D joints, and the augmentation.
        verify: also compares every byte of the files with its checksum.

    Attributes:
        shards: the files.
        count: number of frames of all sequences.

    Raises:
        UserError: a dataset is absent or damaged, or a sequence lacks what the configuration asks for.
    """

    unit = "pose"

    def __init__(
        self,
        data_dir: str | os.PathLike,
        specs: Sequence[str | DatasetSpec],
        config: PosePipelineConfig,
        *,
        verify: bool = False,
    ):
        specs = parse_specs(specs)
        shards = find_sequences(data_dir, [spec.name for spec in specs], verify=verify)
        numbers: list[int] = []

        def sequences() -> Iterator[PoseSequence]:
            for number, dataset in enumerate(shards):
                for sequence in stream_sequences(dataset):
                    numbers.append(number)
                    yield sequence

        self._fill(shards, sequences(), config, specs)
        self._number = np.array(numbers, np.int32)

    @classmethod
    def from_sequences(cls, sequences: Iterable[PoseSequence], config: PosePipelineConfig) -> PoseSource:
        """Returns a source of sequences that are in memory already."""
        source = cls.__new__(cls)
        source._fill([], sequences, config, [DatasetSpec("sequences")])
        source._number = np.zeros(len(source._tables.names), np.int32)
        return source

    def _fill(
        self,
        shards: Sequence[DatasetShards],
        sequences: Iterable[PoseSequence],
        config: PosePipelineConfig,
        specs: Sequence[DatasetSpec],
    ) -> None:
        self.shards = shards
        self.config = config
        self.specs = specs
        self._configs = [spec.configured(config) for spec in specs]
        if config.keypoints.endswith(".npz"):
            manifests = [dataset.manifest for dataset in shards if dataset.manifest is not None]
            gaps = {name for manifest in manifests for name in manifest.notes.get(FRAMES_LEFT_OUT, ())}
            sequences = map(DetectionFile(config.keypoints, gaps=gaps).with_detections, sequences)
        self._tables = collect(sequences, config)
        self.count = self._tables.count
        self.needs = Needs(_FIELDS, config.skeleton, skeleton3d=JOINTS3D.name)

    @property
    def actions(self) -> np.ndarray:
        """What is done in every frame, (count,) strings; empty where it is not known."""
        tables = self._tables
        return np.asarray(tables.actions).astype(str)[np.asarray(tables.sequence)]

    def samples(self, indices: Iterable[int]) -> dict[int, dict[str, tf.Tensor]]:
        """Returns the frames at some positions as batches of one, without augmentation."""
        return {index: self._plain(self._tables, tf.constant([index])) for index in indices}

    def for_needs(self, needs: Needs) -> PoseSource:
        """Returns the source itself: its 2D joints are what the configuration says, its 3D joints `h36m17`."""
        return self

    def statistics(self) -> dict[str, np.ndarray]:
        """Returns all poses without augmentation, `joints2d` and `joints3d` as in a batch.

        Frames without 3D are left out.

        Raises:
            UserError: no frame has 3D.
        """
        tables = self._tables
        known = np.asarray(tables.has_3d)[np.asarray(tables.sequence)] > 0
        if not known.any():
            name = tables.names[0].numpy().decode()
            raise UserError(f"{name}: no sequence has 3D joints to learn from.")
        chosen = slice(None) if known.all() else known
        joints3d = np.asarray(tables.joints3d)[chosen]
        return {"joints2d": np.asarray(tables.joints2d)[chosen], "joints3d": joints3d - joints3d[:, :1]}

    @tf.autograph.experimental.do_not_convert  # as in images
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
            raise SettingError("batch_size", f"there are only {self.count} frames.", batch_size)
        rows = share_of_batch(batch_size, shard_index, num_shards)
        config, configs, tables = self.config, self._configs, self._tables
        augments = any(own.augments for own in configs)
        for number, own in enumerate(configs):
            if own.reproject:
                self._require_projections(number)
        rays = tables.rays(config) if augments else tables.joints2d
        order = self._order(batch_size, seed)
        jitter = stream_key(seed, Stream.POSE_JITTER)

        def make(step: tf.Tensor) -> dict[str, tf.Tensor]:
            indices = order(step)[rows]
            batch = self._gather(tables, indices)
            sequence = batch.pop("sequence")
            joints2d, joints3d = tf.gather(rays, indices), batch["joints3d"]
            if augments:
                uniform = tf.random.stateless_uniform(
                    (batch_size, DRAWS), seed=tf.stack([jitter, step]), alg="philox"
                )[rows]
                numbers = tf.gather(tf.constant(self._number), sequence)
                up = tf.gather(tables.up, sequence)
                joints2d, joints3d, mirrored = augment(
                    joints2d, joints3d, up, uniform, configs=configs, numbers=numbers
                )
                flipped = tf.gather(batch["joints2d_weight"], skeletons.get(config.skeleton).flip, axis=1)
                batch["joints2d_weight"] = tf.where(mirrored[:, None], flipped, batch["joints2d_weight"])
                if not config.undistort:
                    joints2d = _through_lens(joints2d, tables, sequence)
            return _relative({**batch, "joints2d": joints2d, "joints3d": joints3d})

        steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
        batches = steps.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        return deterministic(batches.prefetch(tf.data.AUTOTUNE))

    def _order(self, batch_size: int, seed: int) -> Callable[[tf.Tensor], tf.Tensor]:
        """Returns the function from the number of a batch to its frames, (batch_size,) int32. Graph code."""
        key = stream_key(seed, Stream.POSE_ORDER)
        shares = shares_of(self.specs)
        if not shares:
            return lambda step: shuffled_indices(step, batch_size, self.count, key=key)
        exact = Shares(shares, batch_size, key=stream_key(seed, Stream.DATASET_CHOICE))
        own = self._number[np.asarray(self._tables.sequence)]
        counts = np.bincount(own, minlength=len(shares))
        # Sequences are read dataset by dataset.
        first = tf.constant(np.cumsum(counts) - counts)

        def frames(step: tf.Tensor) -> tf.Tensor:
            numbers = exact.rows(step)
            places, count = exact.places(step, numbers), tf.gather(tf.constant(counts), numbers)
            # Every dataset has its own order in each of its own epochs.
            wide = [tf.cast(numbers, tf.int64), places // count, tf.fill(tf.shape(places), key % 2**31)]
            shuffled = tf.random.experimental.index_shuffle(
                places % count, tf.cast(tf.stack(wide, axis=1), tf.int32), count - 1
            )
            return tf.cast(tf.gather(first, numbers) + shuffled, tf.int32)

        return frames

    def _require_projections(self, number: int) -> None:
        """Refuses a dataset that cannot be projected again."""
        target = skeletons.get(self.config.skeleton)
        lacking = skeletons.convert(JOINTS3D, target, missing=True).missing
        if lacking:
            raise SettingError(
                "reproject",
                f"{', '.join(lacking)} of {target.name} cannot be projected, for the 3D joints ({JOINTS3D.name}) "
                "lack them; use `reproject=False` or other 2D joints (`input_skeleton`).",
            )
        for sequence, reason in self._tables.unprojectable.items():
            if self._number[sequence] == number:
                raise UserError(f"{reason}; use `reproject=False`.")

    @tf.autograph.experimental.do_not_convert
    def evaluation_batches(self, *, batch_size: int) -> tf.data.Dataset:
        """Returns every frame once, in order, without augmentation; the last batch is filled up with zeros."""
        tables = self._tables
        steps = -(-self.count // batch_size)

        def make(step: tf.Tensor) -> dict[str, tf.Tensor]:
            indices = tf.cast(step, tf.int32) * batch_size + tf.range(batch_size)
            valid = indices < self.count
            batch = self._plain(tables, tf.minimum(indices, self.count - 1))
            return {name: _only(valid, values) for name, values in batch.items()}

        batches = tf.data.Dataset.range(steps).map(make, num_parallel_calls=tf.data.AUTOTUNE)
        return deterministic(batches.prefetch(tf.data.AUTOTUNE))

    def explaining(self) -> contextlib.AbstractContextManager:
        """Everything has been read and checked by the time a batch is made."""
        return contextlib.nullcontext()

    def _plain(self, tables: PoseTables, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns frames as they are."""
        batch = self._gather(tables, indices)
        action = tf.gather(tables.actions, batch.pop("sequence"))
        return _relative({**batch, "joints2d": tf.gather(tables.joints2d, indices), "action": action})

    def _gather(self, tables: PoseTables, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the rows of a batch but for their 2D joints; 3D joints from the camera's centre."""
        sequence = tf.gather(tables.sequence, indices)
        has_3d = tf.gather(tables.has_3d, sequence)
        if tables.confidence is None:
            weight = tf.ones((indices.shape[0], len(skeletons.get(self.config.skeleton))))
        else:
            weight = tf.gather(tables.confidence, indices)
        number = tf.strings.as_string(tf.gather(tables.frame, indices))
        return {
            "joints2d_weight": weight,
            "joints3d": tf.gather(tables.joints3d, indices),
            "joints3d_weight": tf.repeat(has_3d[:, None], len(JOINTS3D), axis=1),
            "name": tf.strings.join([tf.gather(tables.names, sequence), number], separator="#"),
            "sequence": sequence,
        }


def _relative(batch: dict) -> dict[str, tf.Tensor]:
    """Returns a batch with its 3D joints from the pelvis, all of it valid."""
    joints3d = batch["joints3d"]
    return {**batch, "joints3d": joints3d - joints3d[:, :1], "valid": tf.ones(joints3d.shape[0])}


def _only(valid: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Returns values (B, ...) with zeros, or nothing, where `valid` (B,) is false."""
    nothing = tf.constant("" if values.dtype == tf.string else 0, values.dtype)
    return tf.where(tf.reshape(valid, (-1, *[1] * (len(values.shape) - 1))), values, nothing)


def _through_lens(rays: tf.Tensor, tables: PoseTables, sequence: tf.Tensor) -> tf.Tensor:
    """Returns pixels (B, J, 2) from the principal point of what a camera without a lens sees."""
    lens = {name: tf.gather(values, sequence) for name, values in tables.lens.items()}
    points = tf.concat([rays, tf.ones_like(rays[..., :1])], axis=-1)
    return perspective_project(points, lens["f"], tf.zeros_like(lens["f"]), lens["k"], lens["p"])


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

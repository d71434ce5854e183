"""Image records become batches: a dict of fixed keys and static shapes for every system.

| key | shape, B first | content |
|---|---|---|
| image | (S, S, 3) uint8 | RGB crop |
| silhouette, has_silhouette | (S, S) uint8, () float32 | 1 where the person is |
| joints2d | (19, 3) float32 | `cocoplus19`: x, y in [-1, 1], visibility; (0, 0, 0) where not visible |
| joints3d, joints3d_weight, has_joints3d | (19, 3), (19,), () float32 | metres, camera frame; confidence |
| pose, shape, has_body | (72,), (10,), () float32 | axis-angle, root in the camera frame; of `body_models` |
| camera, has_camera | (3,), () float32 | weak-perspective (s, tx, ty) of the crop |
| name | () string | for messages and pictures |
| valid | () float32 | 0 in the rows that fill up the last batch of an evaluation |

What a sample lacks is zeros with a 0 beside it. Shape coefficients mean something else on every body model, so
a sample whose body parameters belong to another model than the system's counts as one that lacks them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from hpe.body.data import NUM_SHAPES, POSE_SIZE
from hpe.errors import UserError
from hpe.pipeline import augmentation, crops, ordering
from hpe.pipeline.augmentation import Jitter, Placement
from hpe.pipeline.config import PipelineConfig
from hpe.records.reading import DatasetShards
from hpe.records.schema import KEYPOINTS, parse_example

# Labels of a parsed record that are numbers, with their shapes.
_LABELS = {
    "joints2d": (KEYPOINTS, 2),
    "visibility": (KEYPOINTS,),
    "joints3d": (KEYPOINTS, 3),
    "confidence3d": (KEYPOINTS,),
    "pose": (POSE_SIZE,),
    "shape": (NUM_SHAPES,),
    "has_body": (),
    "camera": (3,),
}

# Any crop size shows whether a record can be used.
_CHECK_SIZE = 8


def steps_per_epoch(shards: Sequence[DatasetShards], batch_size: int) -> int:
    """Returns the number of full batches in one pass over the datasets.

    A batch never straddles two epochs: what is left over sits this epoch out, and the next epoch, shuffled
    anew, leaves out others.

    Raises:
        UserError: if the datasets do not fill one batch.
    """
    count = sum(dataset.count for dataset in shards)
    if batch_size > count:
        names = ", ".join(dataset.name for dataset in shards)
        raise UserError(
            f"--batch_size={batch_size} is larger than the dataset: {names} has {count} records; "
            f"set --batch_size to {count} or less, or add datasets."
        )
    return count // batch_size


def training_batches(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    body_models: Sequence[str] | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
) -> tf.data.Dataset:
    """Returns endless, augmented batches: batch k is a function of (seed, k), the data and the config alone.

    The records of all datasets are mixed, or drawn by `config.dataset_ratios`. With `start_step` the same batches
    follow that an uninterrupted run would see from that step on; records before it are passed over without being
    parsed.

    Args:
        shards: datasets of `hpe.records.reading.find_shards`.
        config: crop size, augmentation, shuffling, ratios.
        batch_size: B, images per batch; with shards, of all of them together.
        seed: of order and augmentation.
        start_step: number of batches to pass over.
        body_models: names of the body models whose parameters are kept; None keeps all.
        shard_index: which share of every batch is wanted: rows [shard_index, shard_index + 1) B / num_shards.
            The others are read, but neither parsed nor decoded.
        num_shards: number of shares.

    Returns:
        A dataset of batches of B / num_shards rows as the module says. What goes wrong while it is read is a
        TensorFlow error: iterate inside `hpe.pipeline.damage.translate_errors`.

    Raises:
        UserError: if the datasets do not fill one batch, the batch does not divide, or there are not as many
            ratios as datasets.
    """
    rows = ordering.share_of_batch(batch_size, shard_index, num_shards)
    records = _training_records(shards, config, batch_size=batch_size, seed=seed, start_step=start_step)
    jitter_key = ordering.stream_key(seed, ordering.Stream.IMAGE_JITTER)

    def augmented(serialized: tf.Tensor, step: tf.Tensor) -> dict:
        jitter = augmentation.draw_jitter(config, tf.stack([jitter_key, step]), batch_size)
        jitter = Jitter(*(values[rows] for values in jitter))
        return _parse(serialized[rows], jitter, size=config.img_size, body_models=body_models)

    steps = tf.data.Dataset.counter(start=start_step)
    parsed = tf.data.Dataset.zip(records.batch(batch_size, drop_remainder=True), steps).map(augmented)
    batches = _crops(parsed, config).batch(rows.stop - rows.start, drop_remainder=True)
    return _finished(batches.map(lambda raw: _labels(raw, size=config.img_size)))


def _training_records(
    shards: Sequence[DatasetShards], config: PipelineConfig, *, batch_size: int, seed: int, start_step: int
) -> tf.data.Dataset:
    """Returns the endless stream of serialized records that training sees from a step on."""
    steps = steps_per_epoch(shards, batch_size)
    if config.ratios:
        if len(config.ratios) != len(shards):
            raise UserError(
                f"--dataset_ratios={','.join(config.dataset_ratios)} has {len(config.ratios)} numbers, but there "
                f"are {len(shards)} --datasets: {', '.join(dataset.name for dataset in shards)}. Give one for each."
            )
        return ordering.mixed_records(
            [dataset.files for dataset in shards],
            [dataset.count for dataset in shards],
            config.ratios,
            seed=seed,
            buffer=config.shuffle_buffer,
            start=start_step * batch_size,
        )
    return ordering.shuffled_records(
        [file for dataset in shards for file in dataset.files],
        key=ordering.stream_key(seed, ordering.Stream.IMAGE_ORDER),
        buffer=config.shuffle_buffer,
        per_epoch=steps * batch_size,
        start_epoch=start_step // steps,
        start_record=(start_step % steps) * batch_size,
    )


def evaluation_batches(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    *,
    batch_size: int,
    body_models: Sequence[str] | None = None,
) -> tf.data.Dataset:
    """Returns every record once, in order, without augmentation.

    Args:
        shards: datasets of `hpe.records.reading.find_shards`.
        config: crop size.
        batch_size: B, images per batch; the last batch is filled up with rows of zeros and `valid` 0.
        body_models: names of the body models whose parameters are kept; None keeps all.

    Returns:
        A finite dataset of batches as the module says.
    """

    def plain(serialized: tf.Tensor) -> dict:
        jitter = augmentation.no_jitter(tf.size(serialized))
        return _parse(serialized, jitter, size=config.img_size, body_models=body_models)

    files = [file for dataset in shards for file in dataset.files]
    parsed = tf.data.TFRecordDataset(files).batch(batch_size).map(plain)
    batches = _crops(parsed, config).batch(batch_size)
    return _finished(batches.map(lambda raw: _fill(_labels(raw, size=config.img_size), batch_size)))


def check_record(serialized: tf.Tensor) -> tf.Tensor:
    """Raises tf.errors.InvalidArgumentError if a serialized record has no image that can be used."""
    parsed = _parse(serialized[None], augmentation.no_jitter(1), size=_CHECK_SIZE, body_models=None)
    return tf.reduce_max(_crop({key: value[0] for key, value in parsed.items()}, size=_CHECK_SIZE)["image"])


# A record is parsed with its batch and then split off it, since images differ in size. Every tensor that is split
# costs time per image, so that there are few of them: all labels travel as one.


def _parse(
    serialized: tf.Tensor, jitter: Jitter, *, size: int, body_models: Sequence[str] | None
) -> dict[str, tf.Tensor]:
    """Parses N records and places their crops; returns few tensors with a leading axis N."""
    record = _only_of(parse_example(serialized), body_models)
    placement = augmentation.place(record["center"], record["scale"], jitter, size=size)
    numbers = [placement.extent, placement.reduction, tf.cast(placement.mirror, tf.int32)]
    labels = [tf.reshape(record[key], (-1, math.prod(shape))) for key, shape in _LABELS.items()]
    return {
        "image": record["image"],
        "mask": record["mask"],
        "name": record["name"],
        "placement": tf.concat([placement.corner, tf.stack(numbers, axis=-1)], axis=-1),
        "labels": tf.concat(labels, axis=-1),
    }


def _crops(parsed: tf.data.Dataset, config: PipelineConfig) -> tf.data.Dataset:
    """Splits batches of `_parse` and makes the crops, in all threads, in order."""
    return parsed.unbatch().map(
        lambda row: _crop(row, size=config.img_size),
        num_parallel_calls=config.num_parallel_calls or tf.data.AUTOTUNE,
        deterministic=True,
    )


def _crop(row: dict[str, tf.Tensor], *, size: int) -> dict[str, tf.Tensor]:
    """Makes the crops of one record; its labels are mapped later, for a whole batch at once."""
    image, silhouette, image_shape = crops.crop_person(
        row["image"], row["mask"], _placement(row["placement"]), size=size, name=row["name"]
    )
    return {
        "image": image,
        "silhouette": silhouette,
        "image_shape": image_shape,
        "has_silhouette": tf.cast(tf.strings.length(row["mask"]) > 0, tf.float32),
        **{key: row[key] for key in ("name", "placement", "labels")},
    }


def _placement(numbers: tf.Tensor) -> Placement:
    """Returns the Placement of what `_parse` made of it, with or without a batch axis."""
    return Placement(numbers[..., :2], numbers[..., 2], numbers[..., 3], numbers[..., 4] > 0)


def _split_labels(labels: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns the labels of a batch of `_parse` by their names."""
    parts = tf.split(labels, [math.prod(shape) for shape in _LABELS.values()], axis=-1)
    return {
        key: tf.reshape(part, (-1, *shape)) for (key, shape), part in zip(_LABELS.items(), parts, strict=True)
    }


def _only_of(record: dict, body_models: Sequence[str] | None) -> dict:
    """Takes the body parameters out of the records (N) where they belong to none of the body models."""
    if body_models is None:
        return record
    known = tf.reduce_any(record["body_model"][:, None] == tf.constant(list(body_models), tf.string), axis=1)
    kept = {key: tf.where(known[:, None], record[key], 0.0) for key in ("pose", "shape")}
    return {**record, **kept, "has_body": tf.where(known, record["has_body"], 0.0)}


def _labels(raw: dict[str, tf.Tensor], *, size: int) -> dict[str, tf.Tensor]:
    """Maps the labels of a batch of `_crop` into their crops."""
    placement, labels = _placement(raw["placement"]), _split_labels(raw["labels"])
    confidence = augmentation.mirror_confidence(labels["confidence3d"], placement.mirror)
    joints3d = augmentation.mirror_joints3d(labels["joints3d"], placement.mirror)
    camera = augmentation.camera_to_crop(labels["camera"], raw["image_shape"], placement, size=size)
    keypoints = augmentation.keypoints_to_crop(labels["joints2d"], labels["visibility"], placement, size=size)
    return {
        "image": raw["image"],
        "silhouette": raw["silhouette"],
        "has_silhouette": raw["has_silhouette"],
        "joints2d": keypoints,
        "joints3d": tf.where(confidence[..., None] > 0, joints3d, 0.0),
        "joints3d_weight": confidence,
        "has_joints3d": tf.cast(tf.reduce_any(confidence > 0, axis=-1), tf.float32),
        "pose": augmentation.mirror_pose(labels["pose"], placement.mirror),
        "shape": labels["shape"],
        "has_body": labels["has_body"],
        "camera": camera,
        "has_camera": tf.cast(camera[:, 0] > 0, tf.float32),
        "name": raw["name"],
        "valid": tf.ones_like(labels["has_body"]),
    }


def _fill(batch: dict, batch_size: int) -> dict:
    """Fills a batch up with zeros and gives it its static shape."""

    def fill(values: tf.Tensor) -> tf.Tensor:
        missing = batch_size - tf.shape(values)[0]
        nothing = tf.constant("" if values.dtype == tf.string else 0, values.dtype)
        filling = tf.fill([missing, *values.shape[1:]], nothing)
        return tf.ensure_shape(tf.concat([values, filling], axis=0), [batch_size, *values.shape[1:]])

    return {key: fill(values) for key, values in batch.items()}


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    return ordering.deterministic(batches.prefetch(tf.data.AUTOTUNE))

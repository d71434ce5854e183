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

from collections.abc import Sequence

import tensorflow as tf

from hpe.errors import UserError
from hpe.pipeline import augmentation, crops, ordering
from hpe.pipeline.augmentation import Jitter, Placement
from hpe.pipeline.config import PipelineConfig
from hpe.records.reading import DatasetShards
from hpe.records.schema import parse_example


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
) -> tf.data.Dataset:
    """Returns endless, augmented batches: batch k is a function of (seed, k), the data and the config alone.

    The records of all datasets are mixed. With `start_step` the same batches follow that an uninterrupted run
    would see from that step on; records before it are passed over without being decoded.

    Args:
        shards: datasets of `hpe.records.reading.find_shards`.
        config: crop size, augmentation, shuffling.
        batch_size: B, images per batch.
        seed: of order and augmentation.
        start_step: number of batches to pass over.
        body_models: names of the body models whose parameters are kept; None keeps all.

    Returns:
        A dataset of batches as the module says. What goes wrong while it is read is a TensorFlow error:
        iterate inside `hpe.pipeline.damage.translate_errors`.

    Raises:
        UserError: if the datasets do not fill one batch.
    """
    steps = steps_per_epoch(shards, batch_size)
    per_epoch = steps * batch_size
    jitter_key = ordering.stream_key(seed, ordering.Stream.IMAGE_JITTER)
    records = ordering.shuffled_records(
        [file for dataset in shards for file in dataset.files],
        key=ordering.stream_key(seed, ordering.Stream.IMAGE_ORDER),
        buffer=config.shuffle_buffer,
        per_epoch=per_epoch,
        start_epoch=start_step // steps,
        start_record=(start_step % steps) * batch_size,
    )

    def augmented(serialized: tf.Tensor, position: tf.Tensor) -> dict:
        jitter = augmentation.draw_jitter(config, tf.stack([jitter_key, position]))
        return prepare(serialized, jitter, size=config.img_size, body_models=body_models)

    positions = tf.data.Dataset.counter(start=start_step * batch_size)
    samples = tf.data.Dataset.zip(records, positions).map(
        augmented, num_parallel_calls=_threads(config), deterministic=True
    )
    batches = samples.batch(batch_size, drop_remainder=True).map(
        lambda raw: _labels(raw, size=config.img_size)
    )
    return ordering.deterministic(batches.prefetch(tf.data.AUTOTUNE))


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
    files = [file for dataset in shards for file in dataset.files]
    samples = tf.data.TFRecordDataset(files).map(
        lambda serialized: prepare(
            serialized, augmentation.no_jitter(), size=config.img_size, body_models=body_models
        ),
        num_parallel_calls=_threads(config),
        deterministic=True,
    )
    batches = samples.batch(batch_size).map(lambda raw: _fill(_labels(raw, size=config.img_size), batch_size))
    return ordering.deterministic(batches.prefetch(tf.data.AUTOTUNE))


def prepare(
    serialized: tf.Tensor, jitter: Jitter, *, size: int, body_models: Sequence[str] | None = None
) -> dict:
    """Parses one record and makes its crops; labels are left as they are, with the placement to map them by.

    Labels are small, so that they are mapped for a whole batch at once rather than one by one.
    """
    record = _only_of(parse_example(serialized), body_models)
    encoded, mask, name = record.pop("image"), record.pop("mask"), record["name"]
    placement = augmentation.place(record["center"], record["scale"], jitter, size=size)
    image, image_shape = crops.crop_image(encoded, placement, size=size)
    silhouette = crops.crop_mask(mask, image_shape, placement, size=size, name=name)
    return {
        **record,
        "placement": placement,
        "image_shape": image_shape,
        "image": image,
        "silhouette": silhouette,
        "has_silhouette": tf.cast(tf.strings.length(mask) > 0, tf.float32),
    }


def _only_of(record: dict, body_models: Sequence[str] | None) -> dict:
    """Takes the body parameters out of a record if they belong to none of the body models."""
    body_model = record.pop("body_model")
    if body_models is None:
        return record
    known = tf.reduce_any(body_model == tf.constant(list(body_models), tf.string))
    kept = {key: tf.where(known, record[key], 0.0) for key in ("pose", "shape", "has_body")}
    return {**record, **kept}


def _labels(raw: dict, *, size: int) -> dict:
    """Maps the labels of a batch of `prepare` into their crops."""
    placement: Placement = raw["placement"]
    confidence = augmentation.mirror_confidence(raw["confidence3d"], placement.mirror)
    joints3d = augmentation.mirror_joints3d(raw["joints3d"], placement.mirror)
    camera = augmentation.camera_to_crop(raw["camera"], raw["image_shape"], placement, size=size)
    return {
        "image": raw["image"],
        "silhouette": raw["silhouette"],
        "has_silhouette": raw["has_silhouette"],
        "joints2d": augmentation.keypoints_to_crop(raw["joints2d"], raw["visibility"], placement, size=size),
        "joints3d": tf.where(confidence[..., None] > 0, joints3d, 0.0),
        "joints3d_weight": confidence,
        "has_joints3d": tf.cast(tf.reduce_any(confidence > 0, axis=-1), tf.float32),
        "pose": augmentation.mirror_pose(raw["pose"], placement.mirror),
        "shape": raw["shape"],
        "has_body": raw["has_body"],
        "camera": camera,
        "has_camera": tf.cast(camera[:, 0] > 0, tf.float32),
        "name": raw["name"],
        "valid": tf.ones_like(raw["has_body"]),
    }


def _fill(batch: dict, batch_size: int) -> dict:
    """Fills a batch up with zeros and gives it its static shape."""

    def fill(values: tf.Tensor) -> tf.Tensor:
        missing = batch_size - tf.shape(values)[0]
        nothing = tf.constant("" if values.dtype == tf.string else 0, values.dtype)
        filling = tf.fill([missing, *values.shape[1:]], nothing)
        return tf.ensure_shape(tf.concat([values, filling], axis=0), [batch_size, *values.shape[1:]])

    return {key: fill(values) for key, values in batch.items()}


def _threads(config: PipelineConfig) -> int:
    return config.num_parallel_calls or tf.data.AUTOTUNE

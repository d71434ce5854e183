"""Image records become batches: a dict of fixed keys and static shapes for every system.

| key | shape, B first | content |
|---|---|---|
| image | (S, S, 3) uint8 | RGB crop |
| silhouette, silhouette_weight | (S, S) uint8, () float32 | 1 where the person is |
| joints2d, joints2d_weight | (J, 2), (J,) float32 | x, y in [-1, 1]; zeros where not visible |
| joints3d, joints3d_weight | (J, 3), (J,) float32 | metres, camera frame; confidence |
| head_size | () float32 | unit of PCKh in pixels of the crop; 0 where unknown |
| pose, pose_weight | (72,), () float32 | axis-angle, root in the camera frame; of `body_models` |
| shape, shape_weight | (10,), () float32 | of `body_models` |
| camera, camera_weight | (3,), () float32 | weak-perspective (s, tx, ty) of the crop |
| name | () string | for messages and pictures |
| valid | () float32 | 0 in the rows that fill up the last batch of an evaluation |

Joints come in the joint set that is asked for, `cocoplus19` (J = 19) if none is, whatever sets the records are in.
What a sample lacks is zeros with a 0 beside it. Shape coefficients mean something else on every body model, so
a sample whose body parameters belong to another model than the system's counts as one that lacks them. A body turns
about its pelvis, joints and camera about the optical axis: of a turned crop `pose` has no place beside `camera`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence

import tensorflow as tf

from hpe import skeletons
from hpe.errors import SettingError
from hpe.fields import FIELDS, Needs
from hpe.pipeline import augmentation, crops, labels, ordering
from hpe.pipeline.augmentation import Jitter, Placement
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.half_body import halved_box
from hpe.records.reading import DatasetShards
from hpe.records.schema import parse_example

# More would wait for Python's lock.
_MOST_THREADS = 16

# All that image records can hold; the file of a mask is for judging alone.
EVERYTHING = Needs(
    tuple(field.key for field in FIELDS if field.key != "silhouette_file"), skeletons.COCOPLUS19.name
)

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
        raise SettingError(
            "batch_size",
            f"is larger than the dataset: {names} has {count} records; set `batch_size` to {count} or "
            "less, or add datasets.",
            batch_size,
        )
    return count // batch_size


def training_batches(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    needs: Needs = EVERYTHING,
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
        needs: which fields are wanted, and in which joint sets.
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
    parse = functools.partial(_parse, size=config.img_size, needs=needs)

    def augmented(serialized: tf.Tensor, step: tf.Tensor) -> dict:
        jitter = augmentation.draw_jitter(config, tf.stack([jitter_key, step]), batch_size)
        return parse(serialized[rows], jitter.rows(rows))

    steps = tf.data.Dataset.counter(start=start_step)
    parsed = tf.data.Dataset.zip(records.batch(batch_size, drop_remainder=True), steps).map(augmented)
    return _finished(_crops(parsed, config, needs))


def _training_records(
    shards: Sequence[DatasetShards], config: PipelineConfig, *, batch_size: int, seed: int, start_step: int
) -> tf.data.Dataset:
    """Returns the endless stream of serialized records that training sees from a step on."""
    steps = steps_per_epoch(shards, batch_size)
    if config.ratios:
        if len(config.ratios) != len(shards):
            raise SettingError(
                "dataset_ratios",
                f"has {len(config.ratios)} numbers, but there are {len(shards)} `datasets`: "
                f"{', '.join(dataset.name for dataset in shards)}. Give one for each.",
                ",".join(config.dataset_ratios),
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
    needs: Needs = EVERYTHING,
) -> tf.data.Dataset:
    """Returns every record once, in order, without augmentation.

    Args:
        shards: datasets of `hpe.records.reading.find_shards`.
        config: crop size.
        batch_size: B, images per batch; the last batch is filled up with rows of zeros and `valid` 0.
        needs: which fields are wanted, and in which joint sets.

    Returns:
        A finite dataset of batches as the module says.
    """
    files = [file for dataset in shards for file in dataset.files]
    parsed = (
        tf.data.TFRecordDataset(files)
        .batch(batch_size)
        .map(functools.partial(_parse_plainly, size=config.img_size, needs=needs))
    )
    return _finished(_crops(parsed, config, needs).map(lambda batch: _fill(batch, batch_size)))


def plain_batch(serialized: tf.Tensor, config: PipelineConfig, *, needs: Needs) -> dict[str, tf.Tensor]:
    """Returns serialized records (B,) as a batch, as evaluation sees them."""
    return _crop(
        _parse_plainly(serialized, size=config.img_size, needs=needs), size=config.img_size, needs=needs
    )


def check_record(serialized: tf.Tensor) -> tf.Tensor:
    """Raises tf.errors.InvalidArgumentError if a serialized record has no image that can be used."""
    parsed = _parse_plainly(serialized[None], size=_CHECK_SIZE, needs=EVERYTHING)
    return tf.reduce_max(_crop(parsed, size=_CHECK_SIZE, needs=EVERYTHING)["image"])


def _parse_plainly(serialized: tf.Tensor, *, size: int, needs: Needs) -> dict[str, tf.Tensor]:
    return _parse(serialized, augmentation.no_jitter(tf.size(serialized)), size=size, needs=needs)


def _parse(
    serialized: tf.Tensor,
    jitter: Jitter,
    *,
    size: int,
    needs: Needs,
) -> dict[str, tf.Tensor]:
    """Parses N records and places their crops; returns few tensors with a leading axis N."""
    skeleton = skeletons.get(needs.skeleton2d)
    record = _only_of(parse_example(serialized, skeleton=skeleton.name), needs.body_models)
    if "silhouette" not in needs.fields:
        record["mask"] = tf.zeros_like(record["mask"])
    center, scale = record["center"], record["scale"]
    if jitter.half is not None:
        center, scale = halved_box(
            center,
            scale,
            record["joints2d"],
            record["visibility"],
            half=jitter.half,
            upper=jitter.upper,
            skeleton=skeleton,
        )
    placement = augmentation.place(center, scale, jitter, size=size)
    numbers = [placement.extent, placement.reduction, tf.cast(placement.mirror, tf.int32)]
    return {
        "image": record["image"],
        "mask": record["mask"],
        "name": record["name"],
        "placement": tf.concat([placement.corner, tf.stack(numbers, axis=-1)], axis=-1),
        "labels": labels.pack(record, skeleton),
        **({} if placement.angle is None else {"angle": placement.angle}),
    }


def _crops(parsed: tf.data.Dataset, config: PipelineConfig, needs: Needs) -> tf.data.Dataset:
    """Makes the crops of batches of `_parse`, while the next is parsed."""
    crop = functools.partial(
        _crop, size=config.img_size, needs=needs, threads=config.num_parallel_calls or _threads()
    )
    return parsed.prefetch(1).map(crop)


def _threads() -> int:
    """Returns the number of cores that this process may use, within reason."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def _crop(parsed: dict[str, tf.Tensor], *, size: int, needs: Needs, threads: int = 1) -> dict[str, tf.Tensor]:
    """Makes the crops of a batch of `_parse`, and maps its labels into them."""
    placement = _placement(parsed)
    image, silhouette, image_shape = crops.crop_people(
        parsed["image"], parsed["mask"], placement, size=size, names=parsed["name"], threads=threads
    )
    mapped = labels.to_crop(
        parsed["labels"], image_shape, placement, size=size, skeleton=skeletons.get(needs.skeleton2d)
    )
    return {
        "image": image,
        "silhouette": silhouette,
        "silhouette_weight": tf.cast(tf.strings.length(parsed["mask"]) > 0, tf.float32),
        **_of_picture(parsed, placement, size=size, needs=needs),
        "name": parsed["name"],
        **mapped,
        "valid": tf.ones_like(mapped["pose_weight"]),
    }


def _of_picture(parsed: dict, placement: Placement, *, size: int, needs: Needs) -> dict[str, tf.Tensor]:
    """Returns what leads from a crop back to its picture, of what is needed."""
    found = {}
    if "silhouette_file" in needs.fields:
        found["silhouette_file"] = parsed["mask"]
    if "image_to_crop" in needs.fields:
        corners = tf.constant([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        corners = tf.tile(corners[None], [tf.shape(placement.corner)[0], 1, 1])
        origin, right, down = tf.unstack(augmentation.points_to_crop(corners, placement, size=size), axis=1)
        found["image_to_crop"] = tf.stack([right - origin, down - origin, origin], axis=-1)
    return found


def _placement(parsed: dict[str, tf.Tensor]) -> Placement:
    """Returns the Placement of what `_parse` made of it, with or without a batch axis."""
    numbers = parsed["placement"]
    return Placement(
        numbers[..., :2], numbers[..., 2], numbers[..., 3], numbers[..., 4] > 0, parsed.get("angle")
    )


def _only_of(record: dict, body_models: Sequence[str]) -> dict:
    """Takes the body parameters out of the records (N) where they belong to none of the body models."""
    if not body_models:
        return record
    known = tf.reduce_any(record["body_model"][:, None] == tf.constant(list(body_models), tf.string), axis=1)
    kept = {key: tf.where(known[:, None], record[key], 0.0) for key in ("pose", "shape")}
    return {**record, **kept, "has_body": tf.where(known, record["has_body"], 0.0)}


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

"""Image records become batches: a dict of the fields of `hpe.fields` that are needed, of static shapes.

Every batch has `image`, `image_to_crop`, `image_size`, `name` and `valid`; what else it has says `Needs`. Joints
come in the joint sets that are asked for, whatever sets the records are in. Shape coefficients mean something
else on every body model, so a sample whose body parameters belong to another model than the system's counts as
one that lacks them; and so does the shape of a man's or a woman's body, unless `gender` is asked for. A body
turns about its pelvis, joints and camera about the optical axis: of a turned crop `pose` has no place beside
`camera`.
"""

from __future__ import annotations

import dataclasses
import fractions
import functools
import re
from collections.abc import Sequence

import tensorflow as tf

from hpe import fields, skeletons
from hpe.backends.threads import usable_cores
from hpe.errors import SettingError
from hpe.fields import Field, Needs
from hpe.pipeline import augmentation, crops, ordering
from hpe.pipeline.augmentation import Jitter
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.dealing import deal
from hpe.pipeline.occluders import PAINTED, load_objects
from hpe.pipeline.shares import Shares
from hpe.pipeline.spec import DatasetSpec, shares_by_kind, shares_of
from hpe.records.reading import DatasetShards, opener
from hpe.records.schema import parse_examples

# More would wait for Python's lock.
_MOST_THREADS = 16

# What records of the published datasets can hold; depths, parts, their order and the files of masks are for those
# who ask for them.
USUAL = Needs(
    tuple(
        field.key
        for field in fields.FIELDS
        if field.key not in ("depth", "part_labels", "part_order", "silhouette_file")
    ),
    skeletons.COCOPLUS19.name,
)

_BODY = ("pose", "shape")
# Whose shape coefficients mean other people than the neutral body's.
_OTHER_GENDERS = ("male", "female")
_NAMED_BY_GENDER = rf".*_({'|'.join(_OTHER_GENDERS)})"
# The mask of the whole picture, by which pictures are judged.
_MASK_FILE = "silhouette_file"
# What every batch has, beside what the pipeline makes.
_ALWAYS = ("image", "name")

# Any crop size shows whether a record can be used.
_CHECK_SIZE = 8


def steps_per_epoch(shards: Sequence[DatasetShards], batch_size: int) -> int:
    """Returns the number of full batches in one pass over the datasets.

    A batch never straddles two epochs: what is left over sits this epoch out, and the next epoch, shuffled
    anew, leaves out others.

    Raises:
        SettingError: if the datasets do not fill one batch.
    """
    count = sum(dataset.count for dataset in shards)
    if batch_size > count:
        names = ", ".join(dataset.name for dataset in shards)
        raise SettingError(
            "batch_size",
            f"is larger than the dataset: {names} has {count} records; lower it to {count} or less, or add "
            "datasets.",
            batch_size,
        )
    return count // batch_size


# Nothing in it decides by the values of tensors: AutoGraph would only cost seconds, and read sources once more.
@tf.autograph.experimental.do_not_convert
def training_batches(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    needs: Needs = USUAL,
    specs: Sequence[DatasetSpec] | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
) -> tf.data.Dataset:
    """Returns endless, augmented batches: batch k is a function of (seed, k), the data and the config alone.

    The records of all datasets are mixed, or their shares of every batch are exact. With `start_step` the same
    batches follow that an uninterrupted run would see from that step on; records before it are passed over without
    being parsed.

    Several readers may share batches. Where every dataset has as many files as there are readers, each has files
    of its own, so that nobody reads what others use; which records share a batch then depends on their number. Else
    all of them read everything, and each takes its rows of the batches that one reader would see.

    Args:
        shards: datasets of `hpe.records.reading.find_shards`.
        config: crop size, augmentation, shuffling, ratios.
        batch_size: B, images per batch; with shards, of all of them together.
        seed: of order and augmentation.
        start_step: number of batches to pass over.
        needs: which fields are wanted, and in which joint sets.
        specs: of the datasets, their shares and their own settings; None for none.
        shard_index: which share of every batch is wanted: rows [shard_index, shard_index + 1) B / num_shards.
        num_shards: number of shares.

    Returns:
        A dataset of batches of B / num_shards rows as the module says. What goes wrong while it is read is a
        TensorFlow error: iterate inside `hpe.pipeline.damage.translate_errors`.

    Raises:
        SettingError: if the datasets do not fill one batch, the batch does not divide, or shares or settings of the
            datasets are wrong.
    """
    rows = ordering.share_of_batch(batch_size, shard_index, num_shards)
    specs = [DatasetSpec(dataset.name) for dataset in shards] if specs is None else specs
    configs = [spec.configured(config) for spec in specs]
    steps_per_epoch(shards, batch_size)
    if config.occluders != PAINTED and any(one.occluder_probability > 0 for one in configs):
        load_objects(config.occluders)  # what is wrong with the folder is said now
    own = deal(shards, shard_index, num_shards) if num_shards > 1 else None
    options = {"seed": seed, "start_step": start_step}
    if own is None:
        records = _training_records(shards, config, specs, configs, batch_size=batch_size, **options)
        records, chosen = records.batch(batch_size, drop_remainder=True), rows
    else:
        size = rows.stop - rows.start
        records = _training_records(
            own, config, specs, configs, batch_size=size, reader=1 + shard_index, **options
        )
        records, chosen = records.batch(size, drop_remainder=True), slice(None)
    jitter_key = ordering.stream_key(seed, ordering.Stream.IMAGE_JITTER)
    tables = {spec.joint_table for spec in specs} - {None}

    def augmented(record: tuple[tf.Tensor, tf.Tensor], step: tf.Tensor) -> tuple[dict, Jitter]:
        serialized, numbers = record
        if own is not None:
            # Drawn for the whole batch, of which these are rows.
            numbers = tf.tile(numbers, [num_shards])
        numbers = tf.ensure_shape(numbers, [batch_size])
        jitter = augmentation.draw_jitter(configs, numbers, tf.stack([jitter_key, step]))
        halves = jitter.half is not None
        parsed = _parse(serialized[chosen], needs, halves=halves)
        for table in tables:
            own_table = tf.constant([spec.joint_table == table for spec in specs])
            named = dataclasses.replace(needs, joint_table=table)
            parsed = _chosen(
                tf.gather(own_table, numbers[rows]), _parse(serialized[chosen], named, halves=halves), parsed
            )
        return parsed, jitter.rows(rows)

    steps = tf.data.Dataset.counter(start=start_step)
    return _finished(_crops(tf.data.Dataset.zip(records, steps).map(augmented), config, needs))


def _training_records(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    specs: Sequence[DatasetSpec],
    configs: Sequence[PipelineConfig],
    *,
    batch_size: int,
    seed: int,
    start_step: int,
    reader: int = 0,
) -> tf.data.Dataset:
    """Returns the endless stream of serialized records from a step on, and of which dataset each is.

    Args:
        shards: what is read, by one reader.
        config: shuffling and ratios.
        specs: of the datasets.
        configs: of the datasets, with their own settings.
        batch_size: records that this reader takes of a batch.
        seed: of the order.
        start_step: number of the first batch.
        reader: 0 where records are shared one by one, else which reader these files were dealt to, from 1.
    """
    shares = _shares(shards, config, specs)
    if shares:
        return ordering.mixed_records(
            [dataset.files for dataset in shards],
            [dataset.count for dataset in shards],
            Shares(shares, batch_size, key=ordering.stream_key(seed, ordering.Stream.DATASET_CHOICE, reader)),
            seed=seed,
            buffer=config.shuffle_buffer,
            start_step=start_step,
            reader=reader,
            open_file=opener(shards),
        )
    alike = all(one == configs[0] for one in configs) and not any(spec.joint_table for spec in specs)
    if reader:
        # Files differ in length: each reader has epochs of its own, in which nothing is left out.
        count = sum(dataset.count for dataset in shards)
        place = divmod(start_step * batch_size, count)
        epochs = {"start_epoch": place[0], "start_record": place[1]}
    else:
        steps = steps_per_epoch(shards, batch_size)
        epochs = {
            "per_epoch": steps * batch_size,
            "start_epoch": start_step // steps,
            "start_record": (start_step % steps) * batch_size,
        }
    records = ordering.shuffled_records(
        [file for dataset in shards for file in dataset.files],
        key=ordering.stream_key(seed, ordering.Stream.IMAGE_ORDER, *([reader] if reader else [])),
        buffer=config.shuffle_buffer,
        numbers=None if alike else [index for index, dataset in enumerate(shards) for _ in dataset.files],
        open_file=opener(shards),
        **epochs,
    )
    # Where nothing depends on whose records they are, they need not be told apart one by one.
    return records.map(lambda record: (record, tf.constant(0))) if alike else records


def _shares(
    shards: Sequence[DatasetShards], config: PipelineConfig, specs: Sequence[DatasetSpec]
) -> tuple[fractions.Fraction, ...] | None:
    """Returns the shares of the datasets of every batch, None where all records are mixed."""
    if not config.ratio_3d:
        return shares_of(specs, config.dataset_ratios)
    # What the manifests say is the same for all readers, of which each may have files of its own.
    manifests = [dataset.manifest for dataset in shards]
    counts = [
        dataset.count if manifest is None else manifest.count
        for dataset, manifest in zip(shards, manifests, strict=True)
    ]
    has_3d = [
        manifest is not None and bool(manifest.fields.get("joints3d", manifest.skeleton3d))
        for manifest in manifests
    ]
    return shares_by_kind(specs, counts, has_3d, config.ratio_3d)


@tf.autograph.experimental.do_not_convert
def evaluation_batches(
    shards: Sequence[DatasetShards],
    config: PipelineConfig,
    *,
    batch_size: int,
    needs: Needs = USUAL,
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
    records = tf.data.Dataset.from_tensor_slices(files).flat_map(opener(shards))
    parsed = records.batch(batch_size).map(lambda serialized: _plainly(serialized, needs))
    return _finished(_crops(parsed, config, needs).map(lambda batch: _fill(batch, batch_size)))


def plain_batch(serialized: tf.Tensor, config: PipelineConfig, *, needs: Needs) -> dict[str, tf.Tensor]:
    """Returns serialized records (B,) as a batch, as evaluation sees them."""
    return _crop(*_plainly(serialized, needs), needs=needs, size=config.img_size, box_share=config.box_share)


def check_record(serialized: tf.Tensor) -> tf.Tensor:
    """Raises tf.errors.InvalidArgumentError if a serialized record cannot be used."""
    needs = Needs(tuple(field.key for field in fields.all_fields()), skeletons.COCOPLUS19.name)
    config = PipelineConfig(img_size=_CHECK_SIZE)
    return tf.reduce_max(plain_batch(serialized[None], config, needs=needs)["image"])


def _plainly(serialized: tf.Tensor, needs: Needs) -> tuple[dict[str, tf.Tensor], Jitter]:
    return _parse(serialized, needs), augmentation.no_jitter(tf.size(serialized))


def _parse(serialized: tf.Tensor, needs: Needs, *, halves: bool = False) -> dict[str, tf.Tensor]:
    """Parses what is needed of N records."""
    keys = {field.key: None for field in wanted_fields(needs)}
    if halves:
        keys["joints2d"] = None
    if _MASK_FILE in keys:
        keys["silhouette"] = None
    if needs.body_models and not keys.keys().isdisjoint(_BODY):
        keys["body_model"] = None
    # Who asks for the gender knows bodies of men and women; to all others their shapes are those of other people.
    asked = "gender" in keys
    of_neutral = bool(needs.body_models) and "shape" in keys and not asked
    # Records call the bodies of men and women by their gender, systems that have these bodies by a name for each.
    of_each = "body_model" in keys and any(re.fullmatch(_NAMED_BY_GENDER, name) for name in needs.body_models)
    if of_neutral or of_each:
        keys["gender"] = None
    record = parse_examples(
        serialized,
        tuple(keys),
        skeleton2d=needs.skeleton2d,
        skeleton3d=needs.skeleton3d,
        joint_table=needs.joint_table,
    )
    if "body_model" not in record or not needs.body_models:
        return record
    names = tf.constant(list(needs.body_models), tf.string)
    if of_each:
        each = tf.strings.join([record["body_model"], record["gender"]], "_")
        is_there = tf.reduce_any(each[:, None] == names, axis=1)
        record["body_model"] = tf.where(is_there, each, record["body_model"])
    known = tf.reduce_any(record["body_model"][:, None] == names, axis=1)
    for field in (fields.get(key) for key in _BODY if key in record):
        record[field.key] = tf.where(known[:, None], record[field.key], 0.0)
        record[field.weight] = tf.where(known, record[field.weight], 0.0)
    if of_neutral:
        gender = record["gender"]
        own = tf.reduce_all(gender[:, None] != tf.constant(_OTHER_GENDERS), axis=1)
        # A system of such a body has its name.
        own |= tf.strings.regex_full_match(record["body_model"], _NAMED_BY_GENDER)
        record["shape"] = tf.where(own[:, None], record["shape"], 0.0)
        record["shape_weight"] = tf.where(own, record["shape_weight"], 0.0)
    if not asked:
        record.pop("gender", None)
    return record


def _chosen(rows: tf.Tensor, one: dict[str, tf.Tensor], other: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the points and their weights of one where `rows` (N,) are true, and all else of another."""
    chosen = dict(other)
    for field in map(fields.get, ("joints2d", "joints3d")):
        for key in {field.key, field.weight} & one.keys():
            shape = (-1, *[1] * (len(one[key].shape) - 1))
            chosen[key] = tf.where(tf.reshape(rows, shape), one[key], other[key])
    return chosen


def _crops(parsed: tf.data.Dataset, config: PipelineConfig, needs: Needs) -> tf.data.Dataset:
    """Makes the crops of batches of `_parse`, while the next is parsed."""
    threads = config.num_parallel_calls or min(usable_cores(), _MOST_THREADS)
    crop = functools.partial(
        _crop,
        needs=needs,
        size=config.img_size,
        box_share=config.box_share,
        objects=config.occluders,
        threads=threads,
    )
    return parsed.prefetch(1).map(crop)


def _crop(parsed: dict[str, tf.Tensor], jitter: Jitter, *, needs: Needs, **options) -> dict[str, tf.Tensor]:
    """Makes the crops of a batch of `_parse`, and moves its fields into them."""
    batch = crops.crop_people(parsed, jitter, wanted_fields(needs), needs=needs, **options)
    if _MASK_FILE in needs.fields:
        batch[_MASK_FILE] = parsed["silhouette"]
    return {**batch, "valid": tf.ones_like(parsed["scale"])}


def wanted_fields(needs: Needs) -> list[Field]:
    """Returns the fields of a batch; a weight that is asked for by name stands for its field."""
    weighed = {field.weight: field.key for field in fields.all_fields() if field.weight}
    keys = dict.fromkeys(weighed.get(key, key) for key in (*_ALWAYS, *needs.fields))
    return [fields.get(key) for key in keys]


def _fill(batch: dict, batch_size: int) -> dict:
    """Fills a batch up with zeros and gives it its static shape."""
    missing = batch_size - tf.shape(batch["image"])[0]

    def filled() -> dict:
        nothing = {
            key: tf.constant("" if values.dtype == tf.string else 0, values.dtype)
            for key, values in batch.items()
        }
        filling = {key: tf.fill([missing, *values.shape[1:]], nothing[key]) for key, values in batch.items()}
        return {key: tf.concat([values, filling[key]], axis=0) for key, values in batch.items()}

    # All batches but the last are as they are: to copy their pictures costs time.
    whole = tf.cond(missing > 0, filled, lambda: dict(batch))
    return {
        key: tf.ensure_shape(values, [batch_size, *batch[key].shape[1:]]) for key, values in whole.items()
    }


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    return ordering.deterministic(batches.prefetch(tf.data.AUTOTUNE))

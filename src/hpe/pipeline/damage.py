"""Says which record of which file made reading fail: TensorFlow's own errors name neither."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence

import tensorflow as tf

from hpe.errors import UserError, first_line
from hpe.pipeline.images import check_record as check_image_record
from hpe.pipeline.mocap import check_record as check_mocap_record
from hpe.records.manifest import RECREATE
from hpe.records.reading import DatasetShards, opener

# What `hpe.pipeline.crops` says of an image or a mask, inside what TensorFlow adds.
_UNUSABLE = r"ValueError: (\(.*\): its [a-z0-9_]+ .*)"


@contextlib.contextmanager
def translate_errors(
    shards: Sequence[DatasetShards] = (), *, mocap_files: Sequence[str] = ()
) -> Iterator[None]:
    """Turns a TensorFlow error that damaged records caused into a UserError that names file and record.

    On an error all files are read through once more to find the damage, which takes as long as a pass over
    the data; an error that has another cause is passed on as it is.

    Args:
        shards: the datasets that are read inside the context.
        mocap_files: the mocap files that are read inside the context.

    Raises:
        UserError: naming the first damaged record.
    """
    try:
        yield
    except (
        tf.errors.DataLossError,
        tf.errors.InvalidArgumentError,
        tf.errors.NotFoundError,
        tf.errors.PermissionDeniedError,
    ) as error:
        found = find_damage(shards, mocap_files=mocap_files)
        # Augmentation can ask for a part of an image that a look at its person does not.
        seen = re.search(_UNUSABLE, str(error)) if shards and not found else None
        if seen:
            found = f"{', '.join(dataset.name for dataset in shards)}: {seen[1]}."
        if found is None:
            raise
        raise UserError(f"{found} {RECREATE}") from error


def find_damage(shards: Sequence[DatasetShards] = (), *, mocap_files: Sequence[str] = ()) -> str | None:
    """Reads all records and returns what is wrong with the first that cannot be used, None if all can."""
    # Traced once, not for every file.
    check = tf.function(check_image_record, autograph=False)
    for dataset in shards:
        for file in dataset.files:
            found = _first_failure(file, opener([dataset]), check, _describe_image_record)
            if found:
                return found
    for file in mocap_files:
        found = _first_failure(
            file,
            tf.data.TFRecordDataset,
            check_mocap_record,
            lambda _, error: f"is no mocap record: {error}.",
        )
        if found:
            return found
    return None


@tf.autograph.experimental.do_not_convert  # as in images
def _first_failure(file: str, read, check, describe) -> str | None:
    """Returns what is wrong in a file, or None.

    Args:
        file: a TFRecord file.
        read: opens it as a dataset.
        check: graph function of a serialized record that raises if the record cannot be used.
        describe: function of a serialized record and an error in one line that says what is wrong with it.
    """
    whole = 0
    try:
        for _ in read(str(file)).map(check, tf.data.AUTOTUNE, deterministic=True):
            whole += 1
        return None
    except (tf.errors.NotFoundError, tf.errors.PermissionDeniedError) as error:
        return f"{file}: cannot be read ({first_line(error)})."
    except tf.errors.DataLossError:
        return f"{file}: record {whole} is damaged or cut off."
    except tf.errors.InvalidArgumentError as error:
        serialized = next(iter(read(str(file)).skip(whole)))
        return f"{file}: record {whole} {describe(serialized, first_line(error))}"


def _describe_image_record(serialized: tf.Tensor, error: str) -> str:
    try:
        example = tf.train.Example.FromString(serialized.numpy())
    except Exception:  # protobuf's DecodeError has no public home
        return "is no tf.train.Example."
    found = re.search(_UNUSABLE, error)
    if found:
        return f"{found[1]}."
    name = b"".join(example.features.feature["image/filename"].bytes_list.value).decode(errors="replace")
    return f"({name or 'without a name'}): {error}."

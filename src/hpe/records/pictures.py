"""Several people in one stored picture: it is stored with the first of them, and the others name that record.

A record without `image/encoded` says in `image/back` how many records before it, in the same file, its picture
stands. The people of a picture follow each other, so that a reader who goes through a file needs no more than the
last picture, and one who wants a single record reads two. Everything behind this module sees complete records.
docs/records.md has the measurement behind this layout.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf

from hpe.records import framing

ENCODED, BACK = "image/encoded", "image/back"

# Bytes of a picture from which on sharing it pays: smaller ones are read sooner than put together.
SHARE_ABOVE = 2**16

# Protocol buffers: a field of bytes is a tag, the number of bytes, and the bytes.
_FIRST, _SECOND = b"\x0a", b"\x12"
# Numbers of bytes are written in as many bytes as are always enough; leading zeros are valid.
_DIGITS = 5
_BYTES = [bytes([number]) for number in range(256)]


def complete(records: tf.data.Dataset) -> tf.data.Dataset:
    """Gives every record of one file its picture.

    Args:
        records: serialized records of people, all of one file, in order from its first.

    Returns:
        The records, each with `image/encoded`.
    """

    def step(last: tf.Tensor, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        back = tf.io.parse_single_example(record, {BACK: tf.io.FixedLenFeature((), tf.int64, 0)})[BACK]
        # Protocol buffers that follow each other are one.
        return tf.cond(
            back > 0, lambda: (last, tf.strings.join([record, _picture_of(last)])), lambda: (record, record)
        )

    return records.scan(tf.constant(b""), step)


def read_people(path: str | os.PathLike, indices: Sequence[int]) -> list[bytes]:
    """Returns some complete records of a file of people without reading the others; see `framing.read_records`."""
    indices = list(indices)
    examples = [tf.train.Example.FromString(record) for record in framing.read_records(path, indices)]
    backs = {index: _back(example) for index, example in zip(indices, examples, strict=True)}
    wanted = sorted({index - back for index, back in backs.items() if back})
    pictures = dict(zip(wanted, framing.read_records(path, wanted), strict=True))
    for index, example in zip(indices, examples, strict=True):
        if backs[index]:
            picture = tf.train.Example.FromString(pictures[index - backs[index]]).features.feature[ENCODED]
            example.features.feature[ENCODED].CopyFrom(picture)
    return [example.SerializeToString(deterministic=True) for example in examples]


def _back(example: tf.train.Example) -> int:
    values = example.features.feature[BACK].int64_list.value if BACK in example.features.feature else ()
    return values[0] if values else 0


def _picture_of(record: tf.Tensor) -> tf.Tensor:
    return picture_alone(
        tf.io.parse_single_example(record, {ENCODED: tf.io.FixedLenFeature((), tf.string, "")})[ENCODED]
    )


def picture_alone(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a serialized `tf.train.Example` that holds a picture and nothing else."""
    key = _FIRST + bytes([len(ENCODED)]) + ENCODED.encode()
    start, size = [], tf.strings.length(encoded)
    # From the inside: the value of a list of bytes, of a feature, of its key's entry, of features, of the example.
    for opening in (_FIRST, _FIRST, key + _SECOND, _FIRST, _FIRST):
        start = [tf.constant(opening), _digits(size), *start]
        size += len(opening) + _DIGITS
    return tf.strings.join([*start, encoded])


def _digits(number: tf.Tensor) -> tf.Tensor:
    """Returns a number below 2^35 as protocol buffers write it: seven bits a byte, the lowest first."""
    places = tf.range(_DIGITS)
    digits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(number, 7 * places), 127)
    return tf.strings.reduce_join(tf.gather(_BYTES, digits + 128 * tf.cast(places < _DIGITS - 1, tf.int32)))

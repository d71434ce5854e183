"""Several people in one stored picture: size and reading speed of three layouts of records.

`python -m benchmarks.pictures` draws pictures with as many people as COCO's have, on average 2.65, and writes them

- `each`: every person with the picture, as records of version 1 do;
- `inside`: a record per picture, with the records of its people in a list;
- `named`: the picture with its first person, the others name that record (`hpe.records.pictures`).

All are read into complete records of people, shuffled, and parsed; docs/records.md has a measurement.
"""

from __future__ import annotations

import pathlib
import tempfile
import time

import cv2
import numpy as np
import tensorflow as tf

from hpe.datasets.sample import Sample
from hpe.records import pictures
from hpe.records.encoding import encode_sample
from hpe.records.schema import parse_examples

PICTURES = 400
# COCO 2017: 149,813 people with keypoints in 56,599 pictures of the training set.
MEAN_PEOPLE = 149_813 / 56_599
BATCH = 64
FIELDS = ("image", "joints2d", "name")


def main() -> None:
    rng = np.random.default_rng(0)
    groups = [_group(rng, index) for index in range(PICTURES)]
    people = sum(map(len, groups))
    with tempfile.TemporaryDirectory() as folder:
        print(f"{PICTURES} pictures, {people} people")
        for name, write, read in (
            ("each", _each, tf.data.TFRecordDataset),
            ("inside", _inside, _read_inside),
            ("named", _named, lambda path: pictures.complete(tf.data.TFRecordDataset(path))),
        ):
            path = pathlib.Path(folder) / name
            with tf.io.TFRecordWriter(str(path)) as writer:
                for group in groups:
                    for record in write(group):
                        writer.write(record)
            seconds = [_time(read(str(path)), people) for _ in range(5)]
            size = path.stat().st_size
            print(
                f"{name:7} {size / 2**20:7.1f} MiB {size / people / 1024:6.1f} kiB/person "
                f"{people / min(seconds):8.0f} people/s"
            )


def _time(records: tf.data.Dataset, people: int) -> float:
    batches = records.shuffle(256, seed=1).batch(BATCH)
    batches = batches.map(lambda batch: parse_examples(batch, FIELDS, skeleton2d="coco17"))
    start, seen = time.perf_counter(), 0
    for batch in batches:
        seen += len(batch["name"])
    assert seen == people
    return time.perf_counter() - start


def _group(rng: np.random.Generator, index: int) -> list[bytes]:
    """The complete records of the people of one picture of 640 x 480 pixels, about 80 kB."""
    small = rng.uniform(0, 255, (60, 80, 3)).astype(np.float32)
    image = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC) + rng.normal(0, 9, (480, 640, 3))
    encoded = cv2.imencode(".jpg", np.clip(image, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return [
        encode_sample(
            Sample(
                name=f"{index:06d}.jpg#{person}",
                image=encoded.tobytes(),
                height=480,
                width=640,
                skeleton="coco17",
                joints2d=rng.uniform(0, 480, (17, 2)),
                visibility=np.ones(17),
                center=rng.uniform(0, 480, 2),
                scale=100.0,
            )
        )
        for person in range(rng.geometric(1 / MEAN_PEOPLE))
    ]


def _each(group: list[bytes]) -> list[bytes]:
    return group


def _inside(group: list[bytes]) -> list[bytes]:
    example = tf.train.Example()
    picture = tf.train.Example.FromString(group[0]).features.feature[pictures.ENCODED]
    example.features.feature[pictures.ENCODED].CopyFrom(picture)
    people = example.features.feature["people"].bytes_list.value
    people.extend(_without_picture(record, 0) for record in group)
    return [example.SerializeToString()]


def _read_inside(path: str) -> tf.data.Dataset:
    features = {
        pictures.ENCODED: tf.io.FixedLenFeature((), tf.string),
        "people": tf.io.FixedLenSequenceFeature((), tf.string, allow_missing=True),
    }

    def people(record: tf.Tensor) -> tf.data.Dataset:
        parsed = tf.io.parse_single_example(record, features)
        picture = pictures.picture_alone(parsed[pictures.ENCODED])
        return tf.data.Dataset.from_tensor_slices(parsed["people"]).map(lambda person: person + picture)

    return tf.data.TFRecordDataset(path).flat_map(people)


def _named(group: list[bytes]) -> list[bytes]:
    return [_without_picture(record, back) if back else record for back, record in enumerate(group)]


def _without_picture(record: bytes, back: int) -> bytes:
    example = tf.train.Example.FromString(record)
    del example.features.feature[pictures.ENCODED]
    if back:
        example.features.feature[pictures.BACK].int64_list.value.append(back)
    return example.SerializeToString()


if __name__ == "__main__":
    main()

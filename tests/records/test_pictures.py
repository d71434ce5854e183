"""People of one picture: it is stored once, and whoever reads sees complete records."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from hpe.records.encoding import encode_sample
from hpe.records.pictures import read_people
from hpe.records.reading import find_shards, opener, read_person
from hpe.records.schema import parse_examples
from hpe.records.writing import write_dataset


@pytest.fixture
def crowd(tmp_path, make_sample):
    """Five pictures with 1, 3, 2, 1 and 4 people in shards of 4, and the samples."""
    people = []
    for index, number in enumerate((1, 3, 2, 1, 4)):
        picture = make_sample(index)
        people += [
            dataclasses.replace(picture, name=f"{index}#{person}", scale=float(person + 1))
            for person in range(number)
        ]
    write_dataset(people, tmp_path, "crowd", skeleton="lsp14", shard_size=4, share_above=0, progress=False)
    return find_shards(tmp_path, ["crowd"]), people


def parsed(record):
    values = parse_examples(record, ["image", "name", "joints2d"], skeleton2d="lsp14")
    return {key: value.numpy() for key, value in values.items()}


def same(record, person) -> None:
    found, expected = parsed(record), parsed(encode_sample(person))
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_pictures_are_stored_once_in_each_file(crowd):
    shards, _ = crowd
    manifest = shards[0].manifest
    # The third picture's people stand in two files, and so do the last one's.
    assert (manifest.count, manifest.pictures) == (11, 6)
    assert shards[0].shares_pictures
    stored = [
        "image/encoded" in tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(list(shards[0].files))
    ]
    assert sum(stored) == 6


def test_records_are_complete_in_order_and_one_by_one(crowd):
    shards, people = crowd
    records = tf.data.Dataset.from_tensor_slices(list(shards[0].files)).flat_map(opener(shards))
    for index, (record, person) in enumerate(zip(records, people, strict=True)):
        same(record, person)
        same(read_person(shards, index), person)
    with pytest.raises(IndexError):
        read_person(shards, len(people))
    for record, index in zip(read_people(shards[0].files[0], [1, 2, 3]), (1, 2, 3), strict=True):
        same(record, people[index])


def test_single_people_are_opened_as_they_are(dataset):
    assert opener(find_shards(dataset, ["people"])) is tf.data.TFRecordDataset


def test_large_pictures_are_carried_over(tmp_path, make_sample):
    """The number of bytes takes more than one of the digits of protocol buffers."""
    picture = make_sample(0)
    for size in (0, 100, 20_000, 3_000_000):
        people = [
            dataclasses.replace(picture, image=picture.image + bytes(size), name=f"{n}") for n in range(2)
        ]
        write_dataset(people, tmp_path, "two", skeleton="lsp14", share_above=0, progress=False)
        shards = find_shards(tmp_path, ["two"])
        for record, person in zip(opener(shards)(shards[0].files[0]), people, strict=True):
            same(record, person)


def test_the_manifest_counts_fields(crowd):
    shards, people = crowd
    counts = shards[0].manifest.fields
    assert (counts["image"], counts["joints2d"], "joints3d" in counts) == (len(people), len(people), False)
    assert json.loads(shards[0].manifest.to_json())["fields"] == counts


def test_small_pictures_are_stored_with_everybody(tmp_path, make_sample):
    picture = make_sample(0)
    people = [dataclasses.replace(picture, name=f"{number}") for number in range(3)]
    limit = len(picture.image) + 1
    write_dataset(people, tmp_path, "three", skeleton="lsp14", share_above=limit, progress=False)
    (shards,) = find_shards(tmp_path, ["three"])
    assert (shards.manifest.pictures, shards.shares_pictures) == (3, False)

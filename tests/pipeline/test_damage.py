import dataclasses
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.fields import Needs
from hpe.pipeline.config import PipelineConfig
from hpe.pipeline.damage import find_damage, translate_errors
from hpe.pipeline.images import evaluation_batches, training_batches
from hpe.pipeline.mocap import mocap_batches
from hpe.records.mocap import find_frames, write_frames
from tests.pipeline.people import encode, make_sample, write_shards

CONFIG = PipelineConfig(img_size=32, shuffle_buffer=4)
NEEDS = Needs(("silhouette",), "cocoplus19")

NAMES = {"image": "image", "mask": "silhouette"}


def _read(shards):
    with translate_errors(shards):
        for _ in training_batches(shards, CONFIG, batch_size=2, seed=0, needs=NEEDS).take(10):
            pass


def test_whole_records_have_no_damage(tmp_path):
    shard = write_shards(tmp_path, [3, 3])
    _read([shard])
    assert find_damage([shard]) is None


@pytest.mark.parametrize("field", ["image", "mask"])
def test_an_image_that_does_not_decode_is_named(tmp_path, field):
    samples = [make_sample(index) for index in range(6)]
    good = getattr(samples[4], field)
    samples[4] = dataclasses.replace(samples[4], **{field: good[: len(good) // 3]})
    shard = write_shards(tmp_path, [3, 3], samples=samples)
    with pytest.raises(
        UserError, match=rf"people-1\.tfrecords: record 1 \(im0004\.jpg\): its {NAMES[field]} does not"
    ):
        _read([shard])
    with pytest.raises(UserError, match="im0004"), translate_errors([shard]):
        list(evaluation_batches([shard], CONFIG, batch_size=2, needs=NEEDS))


def test_a_mask_of_another_size_is_named(tmp_path):
    samples = [make_sample(0), make_sample(1, mask=encode(np.zeros((7, 9), np.uint8)))]
    shard = write_shards(tmp_path, [2], samples=samples)
    with pytest.raises(
        UserError, match=r"record 1 \(im0001\.jpg\): .*silhouette has height and width.*7 9"
    ) as caught:
        _read([shard])
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_is_named(tmp_path):
    shard = write_shards(tmp_path, [3, 3])
    path = pathlib.Path(shard.files[1])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"people-1\.tfrecords: record 1 is damaged or cut off"):
        _read([shard])


def test_a_shard_that_vanished_is_named(tmp_path):
    shard = write_shards(tmp_path, [3, 3])
    pathlib.Path(shard.files[0]).unlink()
    with pytest.raises(UserError, match=r"people-0\.tfrecords: cannot be read"):
        _read([shard])


def test_records_of_another_kind_are_named(tmp_path):
    write_frames([(np.zeros(72), np.zeros(10))] * 4, tmp_path, "frames")
    (frames,) = find_frames(tmp_path, ["frames"])
    shard = write_shards(tmp_path, [4])
    with pytest.raises(UserError, match=r"frames.*record 0 \(without a name\): .*image/"):
        _read([dataclasses.replace(shard, files=frames.files)])
    message = r"people-0\.tfrecords: record 0 is no mocap record"
    with pytest.raises(UserError, match=message), translate_errors(mocap_files=shard.files):
        next(iter(mocap_batches(shard.files, batch_size=2, seed=0)))


def test_errors_with_another_cause_are_passed_on(tmp_path):
    shard = write_shards(tmp_path, [2])
    with pytest.raises(tf.errors.InvalidArgumentError), translate_errors([shard]):
        tf.debugging.assert_equal(tf.constant(1), tf.constant(2))

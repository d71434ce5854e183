import numpy as np
import pytest
import tensorflow as tf

from hpe.pipeline.ordering import Stream, shuffled_records, stream_key


@pytest.fixture
def files(tmp_path):
    """Twelve files of ten records each; a record is its number."""
    paths = []
    for number in range(12):
        path = str(tmp_path / f"{number}.tfrecords")
        with tf.io.TFRecordWriter(path) as writer:
            for index in range(10):
                writer.write(str(10 * number + index).encode())
        paths.append(path)
    return paths


def _numbers(dataset, count):
    return [int(record) for record in dataset.take(count).as_numpy_iterator()]


def test_every_epoch_has_all_records_in_a_new_order(files):
    numbers = _numbers(shuffled_records(files, key=1, buffer=16), 360)
    epochs = [numbers[start : start + 120] for start in (0, 120, 240)]
    assert all(sorted(epoch) == list(range(120)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_files_are_mixed_even_with_a_small_buffer(files):
    numbers = np.array(_numbers(shuffled_records(files, key=1, buffer=2), 40))
    assert len(np.unique(numbers // 10)) >= 8


def test_entering_anywhere_gives_the_same_records(files):
    def stream(**options):
        return shuffled_records(files, key=7, buffer=16, per_epoch=110, **options)

    whole = _numbers(stream(), 330)
    assert _numbers(stream(start_epoch=1), 100) == whole[110:210]
    assert _numbers(stream(start_epoch=1, start_record=50), 120) == whole[160:280]


def test_the_global_seed_changes_nothing(files):
    tf.random.set_seed(1)
    first = _numbers(shuffled_records(files, key=3, buffer=16), 150)
    tf.random.set_seed(2)
    assert _numbers(shuffled_records(files, key=3, buffer=16), 150) == first
    assert _numbers(shuffled_records(files, key=4, buffer=16), 150) != first


def test_streams_of_all_seeds_have_keys_of_their_own():
    keys = {stream_key(seed, stream) for seed in (-1, 0, 1, 2**63) for stream in Stream}
    assert len(keys) == 4 * len(Stream)
    assert all(0 <= key < 2**63 for key in keys)
    assert stream_key(5, Stream.MOCAP_ORDER) == stream_key(5, Stream.MOCAP_ORDER)

import fractions

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.pipeline.ordering import Stream, mixed_records, share_of_batch, shuffled_records, stream_key
from hpe.pipeline.shares import Shares


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


BATCH = 10


def _mixed(files, ratios, start_step=0, seed=1):
    """Batches of numbers and owners, of three datasets of 20, 40 and 60 records."""
    datasets = [files[:2], files[2:6], files[6:]]
    ratios = [fractions.Fraction(ratio) for ratio in ratios]
    shares = Shares([ratio / sum(ratios) for ratio in ratios], BATCH, key=seed)
    return mixed_records(datasets, [20, 40, 60], shares, seed=seed, buffer=16, start_step=start_step).batch(
        BATCH
    )


def _batches(dataset, count):
    pairs = [*dataset.take(count).as_numpy_iterator()]
    return [np.array([int(record) for record in records]) for records, _ in pairs], [own for _, own in pairs]


def test_every_batch_has_its_shares_and_says_whose_records_they_are(files):
    numbers, owners = _batches(_mixed(files, (3, 0, 1)), 40)
    assert {tuple(np.bincount(own, minlength=3)) for own in owners} == {(7, 0, 3), (8, 0, 2)}
    # In every cycle of two batches the shares are exact.
    cycles = np.reshape(owners, (-1, 2 * BATCH))
    assert all(np.bincount(cycle).tolist() == [15, 0, 5] for cycle in cycles)
    for found, own in zip(numbers, owners, strict=True):
        np.testing.assert_array_equal(np.searchsorted([20, 60], found, side="right"), own)
    # Mixed in the batch, so that readers of its rows see of everything.
    assert len({tuple(own) for own in owners}) > 20


def test_every_dataset_of_a_mixture_goes_round_before_it_repeats(files):
    numbers, owners = (np.concatenate(parts) for parts in _batches(_mixed(files, ("1/2", "3/10", "1/5")), 60))
    for owner, count in enumerate((20, 40, 60)):
        own = numbers[owners == owner]
        rounds = [own[start : start + count] for start in range(0, len(own) - count + 1, count)]
        assert all(len(set(one)) == count for one in rounds)
        assert len(rounds) < 2 or list(rounds[0]) != list(rounds[1])


@pytest.mark.parametrize("start", [1, 13, 70])
def test_entering_a_mixture_anywhere_gives_the_same_records(files, start):
    expected = _batches(_mixed(files, (1, 2, 4)).skip(start), 5)
    np.testing.assert_array_equal(_batches(_mixed(files, (1, 2, 4), start), 5), expected)


def test_the_seed_decides_the_order_of_a_mixture(files):
    first, again, other = (_batches(_mixed(files, (1, 1, 1), seed=seed), 6)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(np.array(first) != other)


def test_shares_of_a_batch_are_its_rows_in_order():
    assert [list(range(12))[share_of_batch(12, index, 3)] for index in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    with pytest.raises(UserError, match=r"batch_size=12: .* multiple of the 5"):
        share_of_batch(12, 0, 5)
    with pytest.raises(ValueError, match="shard_index=3"):
        share_of_batch(12, 3, 3)

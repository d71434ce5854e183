import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.pipeline.ordering import Stream, mixed_records, share_of_batch, shuffled_records, stream_key


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


def _mixed(files, ratios, start=0, seed=1):
    """Three datasets of 20, 40 and 60 records."""
    datasets = [files[:2], files[2:6], files[6:]]
    return mixed_records(datasets, [20, 40, 60], ratios, seed=seed, buffer=16, start=start)


def _owners(numbers):
    return np.searchsorted([20, 60], numbers, side="right")


def test_ratios_are_the_long_run_shares_of_the_datasets(files):
    owners = _owners(_numbers(_mixed(files, (3, 0, 1)), 4000))
    shares = np.bincount(owners, minlength=3) / 4000
    # Three standard deviations of a share of 4000 draws.
    np.testing.assert_allclose(shares, (0.75, 0, 0.25), atol=3 * np.sqrt(0.75 * 0.25 / 4000))
    assert shares[1] == 0
    # Drawn one by one, not in turns: neighbours are independent.
    first = owners == 0
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.06


def test_every_dataset_of_a_mixture_goes_round_before_it_repeats(files):
    numbers = np.array(_numbers(_mixed(files, (0.5, 0.3, 0.2)), 600))
    for owner, count in enumerate((20, 40, 60)):
        own = numbers[_owners(numbers) == owner]
        rounds = [own[start : start + count] for start in range(0, len(own) - count + 1, count)]
        assert all(len(set(one)) == count for one in rounds)
        assert len(rounds) < 2 or list(rounds[0]) != list(rounds[1])


@pytest.mark.parametrize("start", [1, 130, 2**16 + 70])
def test_entering_a_mixture_anywhere_gives_the_same_records(files, start):
    expected = list(_mixed(files, (1, 2, 1)).skip(start).take(50).as_numpy_iterator())
    assert list(_mixed(files, (1, 2, 1), start).take(50).as_numpy_iterator()) == expected


def test_the_seed_decides_which_dataset_comes_next(files):
    first, again, other = (
        _owners(_numbers(_mixed(files, (1, 1, 1), seed=seed), 60)).tolist() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


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

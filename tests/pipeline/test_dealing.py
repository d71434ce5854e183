"""Files dealt out to readers: all of them, to one each, about as many records for everybody."""

import numpy as np
import pytest

from hpe.pipeline.dealing import deal
from tests.pipeline.people import make_sample, write_shards


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_every_file_goes_to_one_reader_and_nobody_has_much_more(tmp_path, readers):
    shard = write_shards(tmp_path, [1, 4, 2, 5, 3], samples=[make_sample(0)] * 15)
    dealt = [deal([shard], reader, readers)[0] for reader in range(readers)]
    assert sorted(file for one in dealt for file in one.files) == sorted(shard.files)
    counts = [one.count for one in dealt]
    assert sum(counts) == 15
    assert np.ptp(counts) <= 1
    assert deal([shard], 0, readers) == deal([shard], 0, readers)


def test_fewer_files_than_readers_are_shared_record_by_record(tmp_path):
    many = write_shards(tmp_path, [1, 1, 1], samples=[make_sample(0)] * 3)
    few = write_shards(tmp_path, [1, 1], name="few", samples=[make_sample(0)] * 2)
    assert deal([many, few], 0, 3) is None


def test_nobody_is_dealt_much_less_than_others(tmp_path):
    """Two readers of 9 and 3 records would show each of the three as often as three of the nine."""
    uneven = write_shards(tmp_path, [9, 3], samples=[make_sample(0)] * 12)
    assert deal([uneven], 0, 2) is None
    even = write_shards(tmp_path, [4, 3], name="even", samples=[make_sample(0)] * 7)
    assert [deal([even], reader, 2)[0].count for reader in range(2)] == [4, 3]

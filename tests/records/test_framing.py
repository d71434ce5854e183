"""Walking over TFRecord files written by TensorFlow, whole and damaged in every place."""

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.records import framing

LENGTHS = [5, 0, 300, 17]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for length in LENGTHS:
            writer.write(bytes(range(256)) * (length // 256) + bytes(range(length % 256)))
    return path


def edges():
    return np.cumsum([0] + [length + framing.OVERHEAD_BYTES for length in LENGTHS]).tolist()


def test_whole_file(path):
    assert framing.scan(path) == framing.Scan(4, edges()[-1], None)


def test_some_records_are_read_without_the_others(path):
    everything = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    assert framing.read_records(path, range(4)) == everything
    assert framing.read_records(path, [1, 3]) == [everything[1], everything[3]]
    with pytest.raises(IndexError):
        framing.read_records(path, [2, 4])


def test_every_possible_cut(path):
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        found = framing.scan(path)
        assert found.size == size
        assert found.records == sum(edge <= size for edge in edges()[1:])
        assert (found.damage is None) == (size in edges()), size


@pytest.mark.parametrize("record", range(4))
@pytest.mark.parametrize("byte", [0, 7, 9])
def test_damaged_header_is_found_at_its_record(path, record, byte):
    content = bytearray(path.read_bytes())
    content[edges()[record] + byte] ^= 0x40
    path.write_bytes(content)
    found = framing.scan(path)
    assert found.records == record
    assert f"damaged header at record {record} (byte {edges()[record]})" in found.damage


def test_checksum_of_the_polynomials_check_value():
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720 and every catalogue of CRCs).
    crc = 0xE3069283
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert framing.masked_crc32c(np.frombuffer(b"123456789", np.uint8)[None])[0] == masked


def test_absent_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.tfrecords: cannot be read"):
        framing.scan(tmp_path / "nowhere.tfrecords")


@pytest.mark.parametrize("length", [3, 2**31, 2**60, 2**63])
def test_a_damaged_length_is_told_before_it_is_used(tmp_path, length):
    path = tmp_path / "a"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(3):
            writer.write(b"record %d" % number)
    content = bytearray(path.read_bytes())
    start = len(content) // 3
    content[start : start + 8] = length.to_bytes(8, "little")
    path.write_bytes(content)
    assert framing.read_records(path, [0]) == [b"record 0"]
    with pytest.raises(UserError, match="a: the file has a damaged header at record 1"):
        framing.read_records(path, [2])

"""Frames of motion capture: written as HMR writes them, HMR's own files taken over as they are."""

import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.records import mocap

FEATURES = {
    "pose": tf.io.FixedLenFeature((72,), tf.float32),
    "shape": tf.io.FixedLenFeature((10,), tf.float32),
}


def frames(count=25):
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=72).astype(np.float32), rng.normal(size=10).astype(np.float32)) for _ in range(count)
    ]


def read(files):
    return [tf.io.parse_single_example(record, FEATURES) for record in tf.data.TFRecordDataset(files)]


@pytest.fixture
def original(tmp_path):
    """A file as HMR writes it, without a manifest."""
    path = tmp_path / "original" / "neutrSMPL_jointLim_018.tfrecord"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for pose, shape in frames(7):
            writer.write(mocap.encode_frame(pose, shape))
    return path


def test_frames_come_back_in_order(tmp_path):
    manifest = mocap.write_frames(frames(), tmp_path, "CMU", shard_size=10, options={"fps": 30})
    assert manifest.count == 25
    (found,) = mocap.find_frames(tmp_path, ["CMU"], verify=True)
    assert [file.rpartition("/")[2] for file in found.files] == [
        f"neutrSMPL_CMU_{index:03d}.tfrecord" for index in range(3)
    ]
    for record, (pose, shape) in zip(read(found.files), frames(), strict=True):
        np.testing.assert_array_equal(record["pose"], pose)
        np.testing.assert_array_equal(record["shape"], shape)


def test_sets_whose_names_begin_alike_do_not_touch_each_other(tmp_path):
    mocap.write_frames(frames(3), tmp_path, "CMU", shard_size=1)
    mocap.write_frames(frames(4), tmp_path, "CMU_extra", shard_size=1)
    mocap.write_frames(frames(2), tmp_path, "CMU", shard_size=1)
    assert [found.count for found in mocap.find_frames(tmp_path, ["CMU", "CMU_extra"])] == [2, 4]


def test_files_of_hmr_are_taken_over_byte_by_byte(tmp_path, original):
    manifest = mocap.copy_records([original], tmp_path, "jointLim")
    copy = tmp_path / "mocap_neutrMosh" / original.name
    assert copy.read_bytes() == original.read_bytes()
    assert manifest.count == 7
    (found,) = mocap.find_frames(tmp_path, ["jointLim"])
    assert found.files == (str(copy),)


def test_files_of_hmr_need_no_manifest(tmp_path, original):
    original.parent.rename(tmp_path / "mocap_neutrMosh")
    (found,) = mocap.find_frames(tmp_path, ["jointLim"], verify=True)
    assert (found.count, found.manifest) == (7, None)


@pytest.mark.parametrize("cut", [1, 100])
def test_truncated_file_of_hmr_is_refused(tmp_path, original, cut):
    original.write_bytes(original.read_bytes()[:-cut])
    message = r"neutrSMPL_jointLim_018\.tfrecord: the file ends inside record 6"
    with pytest.raises(UserError, match=message):
        mocap.copy_records([original], tmp_path, "jointLim")
    assert not (tmp_path / "mocap_neutrMosh").exists()
    original.parent.rename(tmp_path / "mocap_neutrMosh")
    with pytest.raises(UserError, match=message):
        mocap.find_frames(tmp_path, ["jointLim"])


def test_damaged_record_is_refused_and_nothing_is_written(tmp_path, original):
    content = bytearray(original.read_bytes())
    content[40] ^= 1
    original.write_bytes(content)
    with pytest.raises(UserError, match=r"018\.tfrecord: record 0 of 7 is damaged"):
        mocap.copy_records([original], tmp_path, "jointLim")
    assert not (tmp_path / "mocap_neutrMosh").exists()


def test_a_damaged_file_among_others_is_left_out_and_named(tmp_path, original):
    damaged = original.with_name("neutrSMPL_jointLim_019.tfrecord")
    damaged.write_bytes((1 << 62).to_bytes(8, "little") + bytes(20))
    manifest = mocap.copy_records([original, damaged], tmp_path, "jointLim")
    assert manifest.count == 7
    assert list(manifest.skipped.values()) == [[damaged.name]]
    assert "damaged header" in next(iter(manifest.skipped))


def test_shard_truncated_at_a_record_edge_is_found_by_the_manifest(tmp_path):
    mocap.write_frames(frames(), tmp_path, "CMU", shard_size=10)
    path = tmp_path / "mocap_neutrMosh" / "neutrSMPL_CMU_001.tfrecord"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 10 * 4])
    with pytest.raises(UserError, match=r"CMU_001\.tfrecord: .* 4 whole records .* with 10 records"):
        mocap.find_frames(tmp_path, ["CMU"])


def test_file_that_the_manifest_does_not_list(tmp_path, original):
    mocap.copy_records([original], tmp_path, "jointLim")
    stranger = tmp_path / "mocap_neutrMosh" / "neutrSMPL_jointLim_019.tfrecord"
    stranger.write_bytes(original.read_bytes())
    with pytest.raises(UserError, match=r"does not list neutrSMPL_jointLim_019\.tfrecord"):
        mocap.find_frames(tmp_path, ["jointLim"])


def test_absent_set_and_foreign_records(tmp_path, dataset):
    mocap.write_frames(frames(3), tmp_path, "CMU")
    with pytest.raises(UserError, match=r"neutrSMPL_jointLim_\*\.tfrecord; found sets: CMU"):
        mocap.find_frames(tmp_path, ["jointLim"])
    people = dataset / "people-00000-of-00003.tfrecords"
    people.rename(tmp_path / "mocap_neutrMosh" / "neutrSMPL_people_000.tfrecord")
    with pytest.raises(UserError, match="holds no records of motion capture: they have no pose, shape"):
        mocap.find_frames(tmp_path, ["people"])


@pytest.mark.parametrize(
    ("limit", "places"), [(None, range(25)), (99, range(25)), (5, [2, 7, 12, 17, 22]), (1, [12])]
)
def test_all_frames_or_evenly_spaced_ones_are_read_across_files(tmp_path, limit, places):
    mocap.write_frames(frames(), tmp_path, "CMU", shard_size=10)
    (found,) = mocap.find_frames(tmp_path, ["CMU"])
    poses, shapes = mocap.read_frames(found, limit=limit)
    for pose, shape, place in zip(poses, shapes, places, strict=True):
        np.testing.assert_array_equal(pose, frames()[place][0])
        np.testing.assert_array_equal(shape, frames()[place][1])


def test_files_without_a_manifest_are_read(original):
    original.parent.rename(original.parent.parent / "mocap_neutrMosh")
    (found,) = mocap.find_frames(original.parent.parent, ["jointLim"])
    np.testing.assert_array_equal(mocap.read_frames(found)[0], [pose for pose, _ in frames(7)])


def test_frames_that_are_damaged_or_not_finite_are_refused(tmp_path, original):
    spoiled = frames(4)
    spoiled[2][0][5] = np.nan
    mocap.write_frames(spoiled, tmp_path, "CMU")
    with pytest.raises(UserError, match=r"CMU_000\.tfrecord: frame 2 is not finite"):
        mocap.read_frames(mocap.find_frames(tmp_path, ["CMU"])[0])
    mocap.copy_records([original], tmp_path, "jointLim")
    (found,) = mocap.find_frames(tmp_path, ["jointLim"])
    path = tmp_path / "mocap_neutrMosh" / original.name
    content = bytearray(path.read_bytes())
    content[12] ^= 0xFF  # the first byte of the first record's data
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"018\.tfrecord: holds a record that is damaged"):
        mocap.read_frames(found)


@pytest.mark.data
def test_real_files_of_hmr(data_dir, tmp_path):
    files = sorted((data_dir / "mocap" / "neutrMosh").glob("neutrSMPL_CMU_*.tfrecord"))
    manifest = mocap.copy_records(files, tmp_path, "CMU")
    assert manifest.count == 10_000
    assert (tmp_path / "mocap_neutrMosh" / files[0].name).read_bytes() == files[0].read_bytes()

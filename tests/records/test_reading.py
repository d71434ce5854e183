"""Datasets are found in every layout, and damage is named before training starts."""

import pathlib

import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.records.encoding import encode_sample
from hpe.records.reading import available, find_shards
from hpe.records.schema import parse_examples


@pytest.fixture
def write_single(make_sample):
    def write(path, count=5):
        path.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for index in range(count):
                writer.write(encode_sample(make_sample(index)))
        return path

    return write


def names_in(dataset):
    records = tf.data.TFRecordDataset(list(dataset.files))
    names = [parse_examples(record, ["name"], skeleton2d="lsp14")["name"] for record in records]
    return [name.numpy().decode() for name in names]


def test_shards_with_a_manifest(dataset):
    (found,) = find_shards(dataset, ["people"], verify=True)
    assert found.count == 10
    assert len(found.files) == 3
    assert found.manifest.skeleton == "lsp14"
    assert names_in(found) == [f"im{index:04d}.jpg" for index in range(10)]


def test_single_file_of_the_original_code(tmp_path, write_single):
    write_single(tmp_path / "lsp_train.tfrecords")
    (found,) = find_shards(tmp_path, ["lsp_train"], verify=True)
    assert (found.name, found.count, found.manifest) == ("lsp_train", 5, None)
    assert len(names_in(found)) == 5


def test_path_to_a_file_and_to_a_manifest(dataset, tmp_path_factory, write_single):
    path = write_single(tmp_path_factory.mktemp("elsewhere") / "other.tfrecord")
    first, second = find_shards("no/such/folder", [str(path), str(dataset / "people.manifest.json")])
    assert (first.name, first.count) == ("other", 5)
    assert (second.name, second.count) == ("people", 10)


def test_folder_of_hmr_shards(tmp_path, write_single):
    write_single(tmp_path / "lsp" / "train_000.tfrecord", 3)
    write_single(tmp_path / "lsp" / "train_001.tfrecord", 2)
    (found,) = find_shards(tmp_path, ["lsp"])
    assert found.count == 5
    assert [pathlib.Path(file).name for file in found.files] == ["train_000.tfrecord", "train_001.tfrecord"]


def test_a_manifest_goes_before_an_original_file_of_the_same_name(dataset, write_single):
    write_single(dataset / "people.tfrecords")
    assert find_shards(dataset, ["people"])[0].count == 10


def test_truncated_shard_is_refused(dataset):
    path = dataset / "people-00002-of-00003.tfrecords"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"people-00002-of-00003\.tfrecords: .*1 whole records"):
        find_shards(dataset, ["people"])


@pytest.mark.parametrize("cut", [1, 8, 30])
def test_original_file_truncated_inside_a_record_is_refused(tmp_path, cut, write_single):
    path = write_single(tmp_path / "lsp_train.tfrecords")
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=r"lsp_train\.tfrecords: the file ends inside record 4 .* 4 whole"):
        find_shards(tmp_path, ["lsp_train"])


def test_damaged_data_of_an_original_file_is_found_by_verify(tmp_path, write_single):
    path = write_single(tmp_path / "lsp_train.tfrecords")
    content = bytearray(path.read_bytes())
    content[200] ^= 4
    path.write_bytes(content)
    find_shards(tmp_path, ["lsp_train"])
    with pytest.raises(UserError, match="record 0 of 5 is damaged: its checksum is wrong"):
        find_shards(tmp_path, ["lsp_train"], verify=True)


def test_interrupted_creation_is_told_apart_from_an_absent_dataset(dataset):
    (dataset / "people.manifest.json").unlink()
    with pytest.raises(UserError, match=r"people\.manifest\.json: is missing, though 3 shards .*interrupt"):
        find_shards(dataset, ["people"])


def test_datasets_may_be_given_by_absolute_paths(dataset, tmp_path, write_single):
    assert find_shards(tmp_path, [str(dataset / "people")])[0].count == 10
    (tmp_path / "original").mkdir()
    write_single(tmp_path / "original" / "a.tfrecords")
    assert find_shards(dataset, [str(tmp_path / "original")])[0].count == 5
    with pytest.raises(UserError, match="there is no dataset /no/such"):
        find_shards(dataset, ["/no/such"])
    (dataset / "people.manifest.json").unlink()
    with pytest.raises(UserError, match=r"people\.manifest\.json: is missing, though 3 shards"):
        find_shards(tmp_path, [str(dataset / "people")])


def test_absent_datasets(dataset, write_single):
    write_single(dataset / "lsp_val.tfrecords")
    assert available(dataset) == ["lsp_val", "people"]
    with pytest.raises(
        UserError, match=r"there is no dataset poeple; found: lsp_val, people\. Did you mean people"
    ):
        find_shards(dataset, ["poeple"])
    with pytest.raises(UserError, match="data_dir: no such folder"):
        find_shards(dataset / "nowhere", ["people"])
    with pytest.raises(UserError, match="no such record file"):
        find_shards(dataset, ["nowhere/a.tfrecords"])


def test_empty_and_foreign_files(tmp_path):
    (tmp_path / "empty.tfrecords").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.tfrecords: holds no records"):
        find_shards(tmp_path, ["empty"])
    (tmp_path / "text.tfrecords").write_text("this is a text and by no means a record file")
    with pytest.raises(UserError, match=r"text\.tfrecords: the file has a damaged header at record 0"):
        find_shards(tmp_path, ["text"])
    example = tf.train.Example()
    example.features.feature["pose"].float_list.value.extend([0.0] * 72)
    with tf.io.TFRecordWriter(str(tmp_path / "mocap.tfrecords")) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(UserError, match="holds no records of people: they have no image/encoded"):
        find_shards(tmp_path, ["mocap"])


@pytest.mark.data
def test_records_of_the_original_code_are_found(data_dir):
    (found,) = find_shards(data_dir / "samples", ["original_lsp_16"], verify=True)
    assert found.count == 16

"""The manifest finds every way in which a dataset can disagree with it."""

import json

import pytest

from hpe.errors import UserError
from hpe.records import framing
from hpe.records.manifest import Manifest
from hpe.records.writing import write_dataset


def shard(dataset, index=1):
    return dataset / f"people-{index:05d}-of-00003.tfrecords"


def load(dataset):
    return Manifest.load(dataset / "people.manifest.json")


def edit(dataset, **changes):
    path = dataset / "people.manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_round_trip(dataset):
    manifest = load(dataset)
    assert manifest.count == 10
    assert [s.records for s in manifest.shards] == [4, 4, 2]
    assert manifest.skeleton == "lsp14"
    assert manifest.skipped == {"image does not decode": ["bad0000.jpg", "bad0004.jpg", "bad0008.jpg"]}
    assert manifest.to_json() == (dataset / "people.manifest.json").read_text()
    manifest.check(dataset, verify=True)


def test_shard_truncated_at_a_record_edge(dataset):
    path = shard(dataset)
    content = path.read_bytes()
    first = framing.OVERHEAD_BYTES + int.from_bytes(content[:8], "little")
    path.write_bytes(content[:first])
    with pytest.raises(UserError) as error:
        load(dataset).check(dataset)
    message = str(error.value)
    assert str(path) in message
    assert f"{first} bytes with 1 whole records" in message
    assert f"expects {len(content)} bytes with 4 records" in message
    assert "run create_datasets" in message
    assert "\n" not in message


def test_shard_truncated_inside_a_record(dataset):
    path = shard(dataset)
    content = path.read_bytes()
    path.write_bytes(content[:-7])
    with pytest.raises(
        UserError, match=r"with 3 whole records .* ends inside record 3 \(7 bytes are missing\)"
    ):
        load(dataset).check(dataset)


def test_missing_shard(dataset):
    shard(dataset).unlink()
    with pytest.raises(UserError, match=r"people-00001-of-00003\.tfrecords: is missing; .* 4 records"):
        load(dataset).check(dataset)


def test_changed_byte_is_found_by_verify_alone(dataset):
    path = shard(dataset)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    load(dataset).check(dataset)
    with pytest.raises(UserError, match="its content is not what was written"):
        load(dataset).check(dataset, verify=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"count": 11}, "disagrees with itself: it counts 11 records, its shards 10"),
        ({"version": 7}, "version 7 is not the known one"),
        ({"version": True}, "version True is not the known one"),
        ({"shards": [{"file": "x"}]}, r"is not a manifest: it has no `shards\[0\]\.bytes`"),
        ({"shards": {}}, "`shards` must be a list"),
        ({"shards": [5]}, r"`shards\[0\]` must be an object"),
        ({"surprise": 1}, "is not a manifest: it has an unknown `surprise`"),
        ({"name": None}, "`name` must be text"),
        ({"skipped": {"why": "a"}}, "`skipped` must be lists of names"),
        ({"notes": []}, "`notes` must be lists of names"),
        ({"options": 3}, "`options` must be an object"),
        ({"fields": {"image": -1}}, "`fields` must be whole numbers"),
        ({"pictures": 0.5}, "`pictures` must be a whole number"),
        ({"provenance": {"gender": "male"}}, r"it has no `provenance\.body_model`"),
    ],
)
def test_manifests_that_make_no_sense(dataset, changes, message):
    edit(dataset, **changes)
    with pytest.raises(UserError, match=message):
        load(dataset)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("file", 5),
        ("file", None),
        ("file", "../x.tfrecords"),
        ("file", ".."),
        ("file", r"c:\x.tfrecords"),
        ("records", 0.5),
        ("records", -24),
        ("records", 0),
        ("records", 10**30),
        ("records", True),
        ("bytes", "1"),
        ("sha256", 5),
        ("sha256", ""),
    ],
)
def test_shards_of_odd_values(dataset, key, value):
    path = dataset / "people.manifest.json"
    content = json.loads(path.read_text())
    content["shards"][1][key] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"people\.manifest\.json: `shards\[1\]\.{key}` must be "):
        load(dataset)


@pytest.mark.parametrize("change", [-2, 50])
def test_a_count_that_is_not_the_shard_s_is_found_without_verify(dataset, change):
    path = dataset / "people.manifest.json"
    content = json.loads(path.read_text())
    content["shards"][0]["records"] += change
    content["count"] += change
    path.write_text(json.dumps(content))
    with pytest.raises(
        UserError, match=rf"with 4 whole records where people\.manifest.* {4 + change} records"
    ):
        load(dataset).check(dataset)


def test_manifests_of_version_1_are_read(dataset):
    path = dataset / "people.manifest.json"
    content = json.loads(path.read_text())
    for key in ("fields", "pictures", "provenance", "skeleton3d"):
        del content[key]
    path.write_text(json.dumps(content | {"version": 1}))
    manifest = load(dataset)
    manifest.check(dataset, verify=True)
    assert (manifest.count, manifest.fields, manifest.provenance.source) == (10, {}, "")


def test_brackets_without_end_are_no_manifest(dataset):
    path = dataset / "people.manifest.json"
    path.write_text(path.read_text().replace("{}", "[" * 100_000 + "]" * 100_000, 1))
    with pytest.raises(UserError, match=r"people\.manifest\.json: is not a manifest"):
        load(dataset)


def test_equal_records_have_equal_digests(dataset, tmp_path, make_stream):
    before = load(dataset).digest
    write_dataset(make_stream(10), dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
    assert load(dataset).digest == before
    write_dataset(make_stream(9), dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
    assert load(dataset).digest != before


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"name": "people"', "\x00"])
def test_files_that_are_no_manifest(dataset, content):
    (dataset / "people.manifest.json").write_text(content)
    with pytest.raises(UserError, match=r"people\.manifest\.json: is not a manifest"):
        load(dataset)

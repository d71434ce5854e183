"""Pose sequences come back from their records; damaged and foreign records are refused."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hpe.datasets.pose_sequence import Keypoints, PoseSequence, SequenceSource, finite_frames
from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from hpe.records import poses
from hpe.records.reading import find_shards


def sequence(name="S9/Walking 1/54138969", frames=5, **changes) -> PoseSequence:
    rng = np.random.default_rng(frames)

    def numbers(*shape):
        return rng.normal(size=shape).astype(np.float32)

    made = PoseSequence(
        name=name,
        subject="S9",
        action="Walking",
        camera="54138969",
        joints3d=numbers(frames, 17, 3),
        keypoints={
            "gt": Keypoints("h36m17", numbers(frames, 17, 2)),
            "sh": Keypoints("mpii16", numbers(frames, 16, 2), numbers(frames, 16)),
        },
        f=numbers(2),
        c=numbers(2),
        k=numbers(3),
        p=numbers(2),
        rotation=numbers(3, 3),
        translation=numbers(3),
        image_size=(1000, 1002),
        frames_per_second=50.0,
    )
    return dataclasses.replace(made, **changes)


def source(*items, **changes) -> SequenceSource:
    return SequenceSource(**({"name": "walks", "count": len(items), "stream": lambda: iter(items)} | changes))


def assert_equal(first: PoseSequence, second: PoseSequence):
    for field in dataclasses.fields(PoseSequence):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if field.name == "keypoints":
            assert list(a) == list(b)
            for name in a:
                assert a[name].skeleton == b[name].skeleton
                np.testing.assert_array_equal(a[name].joints, b[name].joints)
                np.testing.assert_array_equal(a[name].confidence, b[name].confidence)
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert a.dtype == b.dtype
        else:
            assert a == b, field.name


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"joints3d": None, "rotation": None, "translation": None, "image_size": None, "camera": ""},
        {"keypoints": {}, "f": None, "frames_per_second": 0.0},
        {"world_up": (0.0, -1.0, 0.0)},
    ],
)
def test_a_sequence_comes_back(changes):
    original = sequence(**changes)
    assert_equal(poses.decode_sequence(poses.encode_sequence(original)), original)


def test_datasets_are_written_and_read_in_order(tmp_path):
    items = [sequence(f"S9/Walking {n}/1", frames=n + 1, notes=("cut",)) for n in range(3)]
    skipped = Skipped("S9/Eating/1", "no frame has finite joints")
    made = source(*items, skipped, notes={"recording is missing": ["S9/Eating 1"]})
    summary = poses.write_sequences(made, tmp_path, shard_size=2, progress=False)
    assert (summary.kept, summary.read, summary.frames, summary.shards) == (3, 4, 6, 2)
    assert summary.notes == {
        "recording is missing": ["S9/Eating 1"],
        "cut": [item.name for item in items],
    }
    (found,) = poses.find_sequences(tmp_path, ["walks"], verify=True)
    assert found.manifest.options["frames"] == 6
    for read, item in zip(poses.stream_sequences(found), items, strict=True):
        assert_equal(read, dataclasses.replace(item, notes=()))


def test_a_dataset_of_nothing_is_not_written(tmp_path):
    with pytest.raises(UserError, match=r"walks: no sequence could be kept \(1 x holds no frames\)"):
        poses.write_sequences(source(Skipped("a", "holds no frames")), tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_frames_that_are_not_finite_are_left_out():
    broken = sequence()
    broken.joints3d[1, 3, 2] = np.nan
    broken.keypoints["sh"].joints[4, 0, 0] = np.inf
    broken.keypoints["sh"].confidence[0, 2] = np.nan
    kept = finite_frames(broken)
    assert len(kept) == 2
    assert kept.notes == (
        "frames with joints that are not finite: these frames left out",
        "sh: not finite in some frames, which are left out for all others, too",
    )
    np.testing.assert_array_equal(kept.keypoints["sh"].confidence, broken.keypoints["sh"].confidence[[2, 3]])
    broken.joints3d[:] = np.nan
    assert finite_frames(broken) == Skipped(broken.name, "no frame has finite joints")
    whole = sequence()
    assert finite_frames(whole) is whole
    assert finite_frames(sequence(frames=0)) == Skipped(broken.name, "holds no frames")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints3d": np.zeros((5, 16, 3))}, "joints3d must have shape"),
        ({"joints3d": np.full((5, 17, 3), np.nan)}, "joints3d must be finite"),
        ({"keypoints": {"gt": Keypoints("h36m17", np.zeros((4, 17, 2)))}}, "keypoints gt must have shape"),
        ({"rotation": np.zeros(4)}, "rotation must have shape"),
        ({"world_up": (0.0, 0.0, 2.0)}, "world_up must be of length 1"),
    ],
)
def test_arrays_of_the_wrong_shape_are_a_bug(changes, message):
    with pytest.raises(ValueError, match=message):
        poses.encode_sequence(sequence(**changes))


@pytest.fixture
def file(tmp_path):
    poses.write_sequences(source(sequence(), sequence("b")), tmp_path, progress=False)
    (found,) = poses.find_sequences(tmp_path, ["walks"])
    return found


def test_a_flipped_byte_is_found(file):
    (path,) = file.files
    with open(path, "r+b") as opened:
        opened.seek(-200, 2)
        opened.write(b"\xff\x00\xff")
    with pytest.raises(UserError, match="record 1 is damaged"):
        list(poses.stream_sequences(file))


def test_a_shortened_file_is_found(file, tmp_path):
    (path,) = file.files
    with open(path, "r+b") as opened:
        opened.truncate(3000)
    with pytest.raises(UserError, match="damaged or the file ends"):
        list(poses.stream_sequences(file))
    with pytest.raises(UserError, match="3000 bytes with 0 whole records"):
        poses.find_sequences(tmp_path, ["walks"])


def _without(key):
    def change(feature):
        del feature[key]

    return change


def _shortened(feature):
    value = feature["poses/keypoints/gt/xy_px_f32"].bytes_list.value
    value[0] = value[0][:-4]


def _spoiled(feature):
    value = feature[poses._JOINTS3D].bytes_list.value
    value[0] = np.float32(np.nan).tobytes() + value[0][4:]


def _renamed(feature):
    feature["poses/keypoints/gt/skeleton"].bytes_list.value[0] = b"snake"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("poses/frames"), "record 0 has no poses/frames"),
        (_without("poses/keypoints/sh/xy_px_f32"), "has no 5x16x2 numbers as poses/keypoints/sh/xy_px_f32"),
        (_shortened, "has no 5x17x2 numbers"),
        (_spoiled, "not finite"),
        (_renamed, "Unknown skeleton 'snake'"),
    ],
)
def test_records_that_are_no_sequences_are_refused(file, change, message):
    example = tf.train.Example.FromString(poses.encode_sequence(sequence()))
    change(example.features.feature)
    with tf.io.TFRecordWriter(file.files[0]) as writer:
        writer.write(example.SerializeToString())
    with pytest.raises(UserError, match=message):
        list(poses.stream_sequences(file))


def test_records_of_people_and_of_poses_are_told_apart(tmp_path, file):
    with pytest.raises(UserError, match="holds no records of people: they have no image/encoded"):
        find_shards(tmp_path, ["walks"])
    assert poses.is_pose_dataset(file.files[0])
    with tf.io.TFRecordWriter(str(tmp_path / "people.tfrecords")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    assert not poses.is_pose_dataset(tmp_path / "people.tfrecords")
    with pytest.raises(UserError, match="holds no records of pose sequences: they have no poses/name"):
        poses.find_sequences(tmp_path, ["people"])

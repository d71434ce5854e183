import numpy as np
import pytest
import tensorflow as tf

from hpe.errors import UserError
from hpe.pipeline.mocap import mocap_batches
from hpe.records import framing
from hpe.records.mocap import find_frames, write_frames


@pytest.fixture
def files(tmp_path):
    """25 frames; the first pose value is the frame's number."""
    poses = np.zeros((25, 72), np.float32)
    poses[:, 0] = np.arange(25)
    shapes = np.repeat(np.arange(25, dtype=np.float32)[:, None], 10, 1) / 10
    write_frames(zip(poses, shapes, strict=True), tmp_path, "numbers")
    (found,) = find_frames(tmp_path, ["numbers"])
    return found.files


def _take(files, count, **options):
    return list(mocap_batches(files, batch_size=6, **options).take(count).as_numpy_iterator())


def test_batches_are_endless_shuffled_and_complete(files):
    batches = _take(files, 25, seed=0)  # six passes
    numbers = np.concatenate([batch["pose"][:, 0] for batch in batches])
    assert sorted(numbers[:25]) == list(range(25))
    assert list(numbers[:25]) != list(range(25))
    assert list(numbers[:25]) != list(numbers[25:50])
    assert batches[0]["pose"].shape == (6, 72)
    assert batches[0]["shape"].shape == (6, 10)
    for batch in batches:
        np.testing.assert_allclose(batch["shape"][:, 3], batch["pose"][:, 0] / 10, rtol=1e-6)


@pytest.mark.parametrize("start", [1, 4, 5, 13])
def test_resuming_gives_the_batches_of_an_uninterrupted_run(files, start):
    whole = _take(files, 18, seed=3)
    for one, other in zip(whole[start:], _take(files, 18 - start, seed=3, start_step=start), strict=True):
        np.testing.assert_array_equal(one["pose"], other["pose"])


def test_the_known_number_of_records_spares_the_walk_over_their_headers(files, monkeypatch):
    (expected,) = _take(files, 1, seed=3, start_step=5)
    monkeypatch.setattr(framing, "scan", lambda file: pytest.fail(f"{file} was scanned"))
    batches = mocap_batches(files, batch_size=6, seed=3, start_step=5, count=25)
    np.testing.assert_array_equal(next(batches.as_numpy_iterator())["pose"], expected["pose"])


@pytest.mark.parametrize("num_shards", [2, 3])
def test_shards_of_a_batch_are_the_batch(files, num_shards):
    whole = _take(files, 7, seed=3, start_step=2)
    parts = [
        _take(files, 7, seed=3, start_step=2, shard_index=i, num_shards=num_shards) for i in range(num_shards)
    ]
    for batch, same in zip(whole, zip(*parts, strict=True), strict=True):
        for key in ("pose", "shape"):
            np.testing.assert_array_equal(batch[key], np.concatenate([part[key] for part in same]))


def test_files_are_dealt_out_to_readers(tmp_path):
    """Each of two readers shows its own frames, all of them before one comes again, and goes on where it was."""
    poses = np.zeros((24, 72), np.float32)
    poses[:, 0] = np.arange(24)
    files = []
    for part in range(3):
        rows = poses[8 * part :][:8]
        write_frames(zip(rows, np.zeros((8, 10), np.float32), strict=True), tmp_path, f"part{part}")
        files += find_frames(tmp_path, [f"part{part}"])[0].files
    assert len(files) == 3
    # Of three files nobody can have the half: 16 and 8 frames are too unlike.
    whole = _take(files, 4, seed=3)
    shared = [_take(files, 4, seed=3, shard_index=index, num_shards=2) for index in range(2)]
    np.testing.assert_array_equal(
        whole[1]["pose"], np.concatenate([shared[index][1]["pose"] for index in range(2)])
    )
    parts = [_take(files, 8, seed=3, shard_index=index, num_shards=3) for index in range(3)]
    numbers = [np.concatenate([batch["pose"][:, 0] for batch in part]) for part in parts]
    for reader, seen in enumerate(numbers):
        assert seen.shape == (16,)
        for epoch in (seen[:8], seen[8:]):
            assert sorted(epoch) == list(range(8 * reader, 8 * reader + 8))
        later = _take(files, 3, seed=3, shard_index=reader, num_shards=3, start_step=5)
        np.testing.assert_array_equal(np.concatenate([batch["pose"][:, 0] for batch in later]), seen[10:])


def test_the_seed_decides_the_order(files):
    assert not np.array_equal(_take(files, 1, seed=0)[0]["pose"], _take(files, 1, seed=1)[0]["pose"])


def test_no_files_is_an_error_that_names_the_flag():
    with pytest.raises(UserError, match="mocap_datasets"):
        mocap_batches([], batch_size=4, seed=0)


@pytest.mark.data
def test_hmr_mocap_is_read_as_it_is(data_dir):
    file = data_dir / "mocap" / "neutrMosh" / "neutrSMPL_jointLim_018.tfrecord"
    frames = set()
    for record in tf.data.TFRecordDataset(str(file)):
        feature = tf.train.Example.FromString(record.numpy()).features.feature
        frames.add(
            np.float32([*feature["pose"].float_list.value, *feature["shape"].float_list.value]).tobytes()
        )
    batch = next(mocap_batches([file], batch_size=64, seed=0).as_numpy_iterator())
    rows = np.concatenate([batch["pose"], batch["shape"]], axis=1)
    assert all(row.tobytes() in frames for row in rows)
    assert len(np.unique(rows, axis=0)) > 60

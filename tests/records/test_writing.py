"""A dataset is written completely or not at all, and its bytes depend on nothing but its samples."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from hpe.datasets.sample import Skipped
from hpe.errors import UserError
from hpe.records import sharding
from hpe.records.reading import find_shards
from hpe.records.writing import write_dataset


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_summary_counts_everything(tmp_path, make_sample):
    stream = [
        make_sample(0, mask=b"png"),
        Skipped("a", "image is missing"),
        make_sample(1, notes=("mask of another size: left out",)),
        Skipped("b", "image is missing"),
        Skipped("c", "image does not decode"),
    ]
    summary = write_dataset(stream, tmp_path, "people", skeleton="lsp14", progress=False)
    assert (summary.read, summary.kept, summary.with_mask, summary.shards) == (5, 2, 1, 1)
    assert summary.skipped == {"image is missing": ["a", "b"], "image does not decode": ["c"]}
    assert summary.notes == {"mask of another size: left out": ["im0001.jpg"]}
    assert summary.bytes == (tmp_path / "people-00000-of-00001.tfrecords").stat().st_size


def test_equal_streams_give_equal_files(tmp_path, make_stream):
    for name in ("a", "b"):
        write_dataset(
            make_stream(9), tmp_path / name, "people", skeleton="lsp14", shard_size=4, progress=False
        )
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert sorted(contents(tmp_path / "a")) == [
        "people-00000-of-00003.tfrecords",
        "people-00001-of-00003.tfrecords",
        "people-00002-of-00003.tfrecords",
        "people.manifest.json",
    ]


def test_new_dataset_replaces_all_of_the_old_one_and_nothing_else(dataset, make_stream):
    write_dataset(make_stream(3), dataset, "people2", skeleton="lsp14", progress=False)
    write_dataset(make_stream(5), dataset, "people", skeleton="lsp14", shard_size=5, progress=False)
    assert sorted(contents(dataset)) == [
        "people-00000-of-00001.tfrecords",
        "people.manifest.json",
        "people2-00000-of-00001.tfrecords",
        "people2.manifest.json",
    ]
    assert [found.count for found in find_shards(dataset, ["people", "people2"], verify=True)] == [5, 3]


def test_the_same_dataset_again_changes_nothing(dataset, make_stream):
    before = contents(dataset)
    write_dataset(make_stream(10), dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
    assert contents(dataset) == before


def test_other_shards_of_the_same_names_get_a_revision(dataset, make_stream, make_sample):
    for last in (11, 12):
        stream = [*make_stream(9), make_sample(last)]
        write_dataset(stream, dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
        (found,) = find_shards(dataset, ["people"], verify=True)
        assert found.count == 10
        assert len(list(dataset.glob("*.tfrecords"))) == 3
        suffix = "-r1.tfrecords" if last == 11 else "00003.tfrecords"
        assert all(file.endswith(suffix) for file in found.files)


@pytest.mark.parametrize("stop", range(7))
def test_stopped_between_any_two_renames_there_is_the_old_dataset_or_the_new(
    dataset, make_stream, monkeypatch, stop
):
    """Four renames and the removal of three old shards; what remains is what a kill at that point leaves."""
    steps = 0

    def stopping(function):
        def step(*args, **kwargs):
            nonlocal steps
            if steps == stop:
                raise KeyboardInterrupt
            steps += 1
            return function(*args, **kwargs)

        return step

    monkeypatch.setattr(os, "replace", stopping(os.replace))
    monkeypatch.setattr(pathlib.Path, "unlink", stopping(pathlib.Path.unlink))
    monkeypatch.setattr(sharding.shutil, "rmtree", lambda *_, **__: None)
    stream = list(make_stream(12))[1:]
    with pytest.raises(KeyboardInterrupt):
        write_dataset(stream, dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
    monkeypatch.undo()
    (found,) = find_shards(dataset, ["people"], verify=True)
    assert found.count == (10 if stop < 4 else 11)
    write_dataset(make_stream(7), dataset, "people", skeleton="lsp14", shard_size=4, progress=False)
    assert find_shards(dataset, ["people"], verify=True)[0].count == 7
    assert len(list(dataset.iterdir())) == 3


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_stream_that_fails_leaves_the_old_dataset_as_it_was(dataset, make_stream, error):
    before = contents(dataset)

    def failing():
        yield from make_stream(6)
        raise error

    with pytest.raises(error):
        write_dataset(failing(), dataset, "people", skeleton="lsp14", shard_size=2, progress=False)
    assert contents(dataset) == before
    assert not list(dataset.glob(".*"))


def test_a_stream_without_samples_leaves_the_old_dataset_as_it_was(dataset):
    before = contents(dataset)
    stream = [Skipped("a", "image is missing")] * 3
    with pytest.raises(UserError, match=r"people: no sample could be kept \(3 x image is missing\)"):
        write_dataset(stream, dataset, "people", skeleton="lsp14", progress=False)
    assert contents(dataset) == before


def test_what_a_killed_run_left_is_cleared(dataset, make_stream):
    (dataset / ".people.partial").mkdir()
    (dataset / ".people.partial" / "00000").write_bytes(b"half a shard")
    write_dataset(make_stream(3), dataset, "people", skeleton="lsp14", progress=False)
    assert not list(dataset.glob(".*"))
    assert find_shards(dataset, ["people"], verify=True)[0].count == 3


def test_folder_that_cannot_be_written(tmp_path, make_stream):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write people: .*unchanged") as error:
        write_dataset(make_stream(3), tmp_path / "file" / "x", "people", skeleton="lsp14", progress=False)
    assert "\n" not in str(error.value)


def test_shard_size_must_be_positive(tmp_path, make_stream):
    with pytest.raises(UserError, match="shard_size"):
        write_dataset(make_stream(3), tmp_path, "people", skeleton="lsp14", shard_size=0, progress=False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the file size limit of POSIX")
@pytest.mark.parametrize("limit", [3000, 200_000])
def test_disk_that_fills_up(dataset, limit):
    """The system refuses to let files grow further, as it does when a disk or a quota is full."""
    before = contents(dataset)
    program = f"""
        import resource, signal, sys
        import numpy as np
        from hpe.datasets.sample import Sample
        from hpe.errors import UserError
        from hpe.records.writing import write_dataset

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        noise = np.random.default_rng(0)

        def stream():
            for index in range(60):
                yield Sample(
                    name=str(index), image=noise.bytes(5000), height=8, width=8, skeleton="lsp14",
                    joints2d=np.zeros((14, 2)), visibility=np.ones(14), center=np.zeros(2),
                )

        try:
            write_dataset(
                stream(), {str(dataset)!r}, "people", skeleton="lsp14", shard_size=50, progress=False
            )
        except UserError as error:
            print(error, file=sys.stderr)
            sys.exit(1)
        """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 1, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "cannot write" in line]
    assert str(dataset) in line
    assert "MiB free there" in line
    assert "unchanged" in line
    assert "Traceback" not in result.stderr
    assert contents(dataset) == before
    assert not list(dataset.glob(".*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_run_that_is_killed_leaves_the_old_dataset_as_it_was(dataset):
    before = contents(dataset)
    program = f"""
        import os, signal
        import numpy as np
        from hpe.datasets.sample import Sample
        from hpe.records.writing import write_dataset

        def stream():
            for index in range(60):
                if index == 40:
                    os.kill(os.getpid(), signal.SIGKILL)
                yield Sample(
                    name=str(index), image=b"x" * 100, height=8, width=8, skeleton="lsp14",
                    joints2d=np.zeros((14, 2)), visibility=np.ones(14), center=np.zeros(2),
                )

        write_dataset(stream(), {str(dataset)!r}, "people", skeleton="lsp14", shard_size=5, progress=False)
        """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, timeout=120
    )
    assert result.returncode == -signal.SIGKILL
    after = contents(dataset)
    assert {name: data for name, data in after.items() if not name.startswith(".")} == before
    assert find_shards(dataset, ["people"], verify=True)[0].count == 10


def test_a_dataset_has_one_writer(tmp_path, make_stream):
    """The second is refused in one line, whatever becomes of the first; another dataset beside it is not."""
    program = f"""
        import time
        from hpe.datasets.sample import Skipped
        from hpe.records.writing import write_dataset

        def stream():
            print("writing", flush=True)
            time.sleep(600)
            yield Skipped("x", "y")

        write_dataset(stream(), {str(tmp_path)!r}, "people", skeleton="lsp14", progress=False)
        """
    first = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout.readline() == "writing\n"
        with pytest.raises(UserError, match=r"people: is being written by process \d+"):
            write_dataset(make_stream(3), tmp_path, "people", skeleton="lsp14", progress=False)
        write_dataset(make_stream(3), tmp_path, "others", skeleton="lsp14", progress=False)
    finally:
        first.kill()
        first.wait()
    # The lock dies with its process.
    write_dataset(make_stream(3), tmp_path, "people", skeleton="lsp14", progress=False)
    assert not [path.name for path in tmp_path.glob(".*")]

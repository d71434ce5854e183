import errno
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from hpe import files
from hpe.errors import UserError

HOLD = """
import sys, time
from hpe import files
with files.lock(sys.argv[1], sys.argv[2]):
    if "fork" in sys.argv:
        import os
        if os.fork() == 0:
            print(os.getpid(), flush=True)
            time.sleep(60)
            os._exit(0)
    else:
        print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def hold():
    """Starts processes that hold a lock; gives their first line."""
    started = []

    def start(directory, name="", *more):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), directory, name, *more],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_file_is_replaced_in_one_move_and_a_failure_leaves_the_old_one(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "old")
    inode = path.stat().st_ino

    def write_and_fail():
        with files.Replacement(path) as temporary:
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise KeyError("bug")

    with pytest.raises(KeyError):
        write_and_fail()
    assert path.read_text() == "old"
    files.write_text(path, "new é")
    assert path.read_text(encoding="utf-8") == "new é"
    assert path.stat().st_ino != inode
    assert os.listdir(path.parent) == ["a.txt"]


def test_names_as_long_as_the_file_system_has_them_and_the_users_own_rights(tmp_path):
    path = tmp_path / ("ä" * 120 + ".json")
    old = os.umask(0o027)
    try:
        files.write_bytes(path, b"x")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_cannot_be_written_is_a_user_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be written \(.*\); choose another folder\.$"):
        files.write_text(tmp_path / "file" / "a.txt", "x", advice="choose another folder")

    def fill_the_disk():
        with files.Replacement(tmp_path / "a.npz") as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(UserError, match=r"a\.npz: cannot be written \(No space left on device\)\.$"):
        fill_the_disk()
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_has_one_writer(tmp_path, hold):
    process, _ = hold(tmp_path / "run")
    with (
        pytest.raises(UserError, match=rf"run: is being written by process {process.pid} on .*; wait"),
        files.lock(tmp_path / "run"),
    ):
        pass
    with files.lock(tmp_path / "run", "another thing"):
        pass
    # Killed without a chance to tidy up.
    process.send_signal(signal.SIGKILL)
    process.wait()
    with files.lock(tmp_path / "run"):
        assert os.listdir(tmp_path / "run") == [".lock"]
    assert os.listdir(tmp_path / "run") == []


def test_a_lock_dies_with_its_process_even_if_a_child_lives_on(tmp_path, hold):
    process, child = hold(tmp_path, "lsp", "fork")
    try:
        process.kill()
        process.wait()
        os.kill(int(child), 0)
        with files.lock(tmp_path, "lsp"):
            pass
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_one_process_does_not_lock_twice_by_another_name_of_the_folder(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    with (
        files.lock(tmp_path),
        pytest.raises(UserError, match="another part of this process"),
        files.lock(tmp_path / "link"),
    ):
        pass
    with files.lock(tmp_path):
        pass


def test_what_holds_while_others_wait_in_line(tmp_path):
    # Many processes add to one number; none may read it while another is about to write.
    (tmp_path / "number").write_text("0")
    code = """
    import pathlib, sys, time
    from hpe import files
    from hpe.errors import UserError
    path, done = pathlib.Path(sys.argv[1]), 0
    while done < 20:
        try:
            with files.lock(path):
                number = int((path / "number").read_text())
                time.sleep(0.0005)
                (path / "number").write_text(str(number + 1))
                done += 1
        except UserError:
            time.sleep(0.0002)
    """
    started = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), tmp_path]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "60"


def test_the_rule_where_the_file_system_has_no_locks(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refuse)
    path = tmp_path / ".lock"
    with files.lock(tmp_path):
        assert path.read_text() == f"{socket.gethostname()} {os.getpid()}"
    assert not path.exists()
    # Another process of this computer: it counts while it runs.
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    path.write_text(f"{socket.gethostname()} {other.pid}")
    with (
        pytest.raises(UserError, match=rf"process {other.pid} on .*, or delete {path}"),
        files.lock(tmp_path),
    ):
        pass
    other.kill()
    other.wait()
    with files.lock(tmp_path):
        pass
    # What this process's own number was left by has ended, too.
    path.write_text(f"{socket.gethostname()} {os.getpid()}")
    with files.lock(tmp_path):
        pass
    # Of another computer nobody here knows whether it still runs.
    path.write_text("elsewhere 1")
    with pytest.raises(UserError, match="process 1 on elsewhere"), files.lock(tmp_path):
        pass
    assert path.read_text() == "elsewhere 1"


def test_a_lock_of_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be written \("), files.lock(tmp_path / "file"):
        pass

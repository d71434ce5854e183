"""Video files: complete under their name, or not there."""

import os
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.inference.recording import VideoFile

SIZE = (48, 64, 3)


def frame(number):
    return np.full(SIZE, (250, 20 + 2 * number, 20), np.uint8)


def read(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        found, picture = capture.read()
        if not found:
            return capture.get(cv2.CAP_PROP_FPS), frames
        frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


@pytest.mark.parametrize(
    ("count", "rate"),
    [(1, 25), (2, 30), (13, 29.97), (60, 12.5), (90, 240), (5, 119.853), (5, 66.667), (5, 239.866)],
)
def test_all_frames_come_back(tmp_path, count, rate):
    with VideoFile(tmp_path / "deep" / "a.mp4", frames_per_second=rate) as video:
        for number in range(count):
            video.add(frame(number))
        assert not video.path.exists()
    assert (video.frames, video.is_complete) == (count, True)
    assert os.listdir(tmp_path / "deep") == ["a.mp4"]
    found_rate, frames = read(video.path)
    assert found_rate == pytest.approx(rate, rel=1e-3)
    assert len(frames) == count
    for number in (0, count - 1):
        assert np.abs(frames[number].astype(int) - frame(number)).mean() < 12


def fill(video, error):
    """Adds five frames and fails."""
    with video:
        for number in range(5):
            video.add(frame(number))
        raise error


def test_ctrl_c_keeps_the_frames_so_far(tmp_path):
    video = VideoFile(tmp_path / "a.mp4", frames_per_second=25)
    with pytest.raises(KeyboardInterrupt):
        fill(video, KeyboardInterrupt())
    assert video.is_complete
    assert len(read(video.path)[1]) == 5


def test_another_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"before")
    video = VideoFile(tmp_path / "a.mp4", frames_per_second=25)
    with pytest.raises(UserError, match="outside"):
        fill(video, UserError("outside"))
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"
    assert not video.is_complete


def test_no_frame_is_no_file(tmp_path):
    with VideoFile(tmp_path / "a.mp4", frames_per_second=25) as video:
        pass
    assert not video.is_complete
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot be written .*; set `output`"):
        VideoFile(tmp_path / "file" / "a.mp4", frames_per_second=25)


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    video = VideoFile(tmp_path / "a.mp4", frames_per_second=25)
    with pytest.raises(UserError, match=r"a\.mp4: cannot be written"), video:
        video.add(frame(0))
    assert os.listdir(tmp_path) == ["a.mp4"]


_LIMITED = """
import resource, sys
import numpy as np
from hpe.errors import UserError
from hpe.inference.recording import VideoFile

rng = np.random.default_rng(0)
try:
    with VideoFile(sys.argv[1], frames_per_second=25) as video:
        for _ in range(200):
            video.add(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
            # What a full disk does: from here on nothing more can be written.
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
except UserError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit of file sizes")
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "a.mp4"
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
    )
    assert done.returncode == 0, done.stderr
    assert f"{path}: cannot be written, only" in done.stdout
    assert "is the disk full?" in done.stdout
    assert os.listdir(tmp_path) == []

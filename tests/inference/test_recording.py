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


def test_frames_stand_until_the_next_one_and_the_codec_is_named(tmp_path):
    with VideoFile(tmp_path / "a.mp4", frames_per_second=25) as video:
        for number, time in enumerate((0.0, 0.04, 0.2, 0.205, 0.24)):
            video.add(frame(20 * number), time)
    assert video.codec in ("H.264", "MPEG-4 Part 2")
    assert video.frames == 5
    _, frames = read(video.path)
    shown = [round((picture[..., 1].mean() - 20) / 40) for picture in frames]
    # The second one stands from 0.04 to 0.2 seconds; two fall into one interval, of which the last one stays.
    assert shown == [0, 1, 1, 1, 1, 3, 4]


def test_damaged_times_fill_no_disk(tmp_path):
    with VideoFile(tmp_path / "a.mp4", frames_per_second=10) as video:
        video.add(frame(0), 0.0)
        video.add(frame(1), 1e6)
    assert len(read(video.path)[1]) == 101


@pytest.mark.parametrize("size", [(47, 63, 3), (48, 63, 3), (1, 1, 3)])
def test_odd_sizes_grow_by_a_pixel(tmp_path, size):
    with VideoFile(tmp_path / "a.mp4", frames_per_second=25) as video:
        for _ in range(3):
            video.add(np.full(size, 200, np.uint8))
    _, frames = read(video.path)
    assert [picture.shape for picture in frames] == [(size[0] + size[0] % 2, size[1] + size[1] % 2, 3)] * 3
    assert abs(int(frames[0][-1, -1, 0]) - 200) < 12


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

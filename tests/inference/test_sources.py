"""Sources: images in the order of their names, frames of videos in RGB, and what cannot be read."""

import itertools
import wave

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.inference.recording import VideoFile
from hpe.inference.sources import VideoSource, count_pictures, find_images, is_picture
from hpe.visualization.grids import read_image, write_image
from tests.inference import written_videos


def write_video(path, colors, *, fps=25.0, size=(64, 48)):
    """Writes one frame of each RGB colour."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    for color in colors:
        writer.write(np.full((size[1], size[0], 3), color[::-1], np.uint8))
    writer.release()
    return path


def test_images_of_a_folder_in_the_order_of_their_names(tmp_path):
    for name in ("b.JPG", "a.png", "c.txt", "d.tiff", ".hidden.png"):
        (tmp_path / name).touch()
    write_image(tmp_path / "photo.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "photo.png").rename(tmp_path / "photo")
    # What is only called a picture counts, too: whoever reads it says what is wrong.
    assert [path.name for path in find_images(tmp_path)] == ["a.png", "b.JPG", "d.tiff", "photo"]
    assert find_images(tmp_path / "photo") == [tmp_path / "photo"]
    assert find_images(tmp_path / "b.JPG") == find_images(tmp_path / "c.txt") == []
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no image \(\.avif"):
        find_images(tmp_path / "empty")


def test_frames_of_a_video_are_rgb_and_all_there(tmp_path):
    colors = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    source = VideoSource(str(write_video(tmp_path / "video.mp4", colors, fps=10)))
    assert source.frames_per_second == 10
    assert not source.is_camera
    frames = list(source)
    assert len(frames) == 3
    for frame, color in zip(frames, colors, strict=True):
        assert frame.shape == (48, 64, 3)
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), color, atol=12)


@pytest.mark.parametrize("content", [b"", b"just text, which FFmpeg would play", bytes(range(256)) * 40])
def test_what_is_no_video_is_one_line(tmp_path, capfd, content):
    path = tmp_path / "video.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"video\.mp4: is neither an image, a folder nor a video"):
        VideoSource(str(path))
    # FFmpeg takes its level of logging once, from whoever comes first; OpenCV itself is silent.
    assert "VIDEOIO" not in capfd.readouterr().err


def test_a_camera_that_is_not_there_is_one_line(capfd):
    with pytest.raises(UserError, match="camera 97: cannot be opened; is it connected and free"):
        VideoSource(97)
    assert capfd.readouterr().err == ""


class Camera:
    """A camera that delivers numbered frames as fast as they are read."""

    def __init__(self, count):
        self.left, self.released = count, False

    def isOpened(self):
        return True

    def get(self, _):
        return 0.0

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((4, 4, 3), (self.left % 256, 0, 7), np.uint8)

    def release(self):
        self.released = True


def test_a_camera_shows_its_newest_frame_and_ends(monkeypatch):
    camera = Camera(500)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: camera)
    source = VideoSource(0)
    assert source.frames_per_second == 25  # it claims 0
    numbers = [int(frame[0, 0, 2]) for frame in source]
    assert 1 <= len(numbers) <= 500
    # The camera counts down, modulo 256.
    assert all((before - after) % 256 > 0 for before, after in itertools.pairwise(numbers))
    assert camera.released


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.full((5, 7), 90, np.uint8), (90, 90, 90)),  # grey
        (np.dstack([np.full((5, 7, 3), (30, 20, 10), np.uint8), np.full((5, 7), 9, np.uint8)]), (10, 20, 30)),
        (np.full((5, 7, 3), (30 * 256, 20 * 256, 10 * 256), np.uint16), (10, 20, 30)),  # 16 bits
        (np.full((1, 1, 3), (30, 20, 10), np.uint8), (10, 20, 30)),
    ],
)
def test_every_kind_of_png_is_read_as_rgb(tmp_path, pixels, expected):
    cv2.imwrite(str(tmp_path / "image.png"), pixels)
    image = read_image(tmp_path / "image.png")
    assert image.shape == (*pixels.shape[:2], 3)
    np.testing.assert_allclose(image.reshape(-1, 3)[0], expected, atol=1)


def test_photographs_are_turned_upright(tmp_path):
    """EXIF orientation 6: the camera was held upright, its rows are the picture's columns."""
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, :15] = (0, 0, 250)  # BGR: red on the left
    encoded = cv2.imencode(".jpg", picture)[1].tobytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "photo.jpg").write_bytes(encoded[:2] + segment + encoded[2:])
    image = read_image(tmp_path / "photo.jpg")
    assert image.shape == (30, 20, 3)
    assert image[5, 10, 0] > 200  # what was on the left is on top, and red
    assert image[25, 10, 0] < 50


def test_what_is_written_is_what_is_read(tmp_path):
    red = np.zeros((6, 8, 3), np.uint8)
    red[..., 0] = 255
    write_image(tmp_path / "red.png", red)
    np.testing.assert_array_equal(read_image(tmp_path / "red.png"), red)


class Film(Camera):
    """A file that says how its pixels are shown."""

    def __init__(self, aspect):
        super().__init__(2)
        keys = cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN, cv2.CAP_PROP_ORIENTATION_META
        self.said = dict(zip(keys, (*aspect, 0)[:3], strict=True))

    def get(self, key):
        return self.said.get(key, 25.0)

    def read(self):
        self.left -= 1
        return self.left >= 0, np.zeros((60, 40, 3), np.uint8)


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        *[
            ((4, 3), (60, 53)),
            ((3, 4), (80, 40)),
            ((1, 1), (60, 40)),
            ((0, 0), (60, 40)),
            ((99, 1), (60, 40)),
        ],
        # Turned upright, by 90 and 180 degrees.
        *[((4, 3, 90), (80, 40)), ((4, 3, 180), (60, 53))],
    ],
)
def test_frames_have_square_pixels(monkeypatch, tmp_path, aspect, shape):
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Film(aspect))
    (tmp_path / "a.mp4").write_bytes(b"\0")
    frames = list(VideoSource(str(tmp_path / "a.mp4")))
    assert [frame.shape for frame in frames] == [(*shape, 3)] * 2


@pytest.mark.parametrize("ending", [".jpg", ".png", ".bmp", ".webp", ".tiff", ".gif", ".avif"])
def test_pictures_are_told_by_their_first_bytes(tmp_path, ending):
    if not cv2.haveImageWriter(f"a{ending}"):
        pytest.skip(f"this OpenCV writes no {ending}")
    cv2.imwrite(str(tmp_path / f"a{ending}"), np.zeros((8, 8, 3), np.uint8))
    path = (tmp_path / f"a{ending}").rename(tmp_path / "renamed.mp4")
    assert is_picture(path)
    assert count_pictures(path) == 1


def test_what_is_no_picture(tmp_path):
    assert not is_picture(write_video(tmp_path / "v.jpg", [(1, 2, 3)] * 3))
    assert not is_picture(tmp_path / "none.jpg")
    (tmp_path / "sound.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert not is_picture(tmp_path / "sound.wav")


def test_a_colon_in_a_name_is_no_protocol(monkeypatch, tmp_path):
    """FFmpeg takes what stands before a colon for one, unless a slash stands before it."""
    monkeypatch.chdir(tmp_path)
    with VideoFile("12:30.mp4", frames_per_second=25.0) as video:
        video.add(np.zeros((32, 32, 3), np.uint8))
    assert len(list(VideoSource("12:30.mp4"))) == 1


def test_frames_keep_their_times_whatever_the_frame_rate(tmp_path):
    path = write_video(tmp_path / "v.mp4", [(40 * n, 0, 0) for n in range(6)])
    steps = [0.04, 0.04, 0.5, 0.01, 0.2, 0.04]
    clock = written_videos.with_times(path, [1])
    path = write_video(tmp_path / "v.mp4", [(40 * n, 0, 0) for n in range(6)])
    written_videos.with_times(path, [round(step * clock) for step in steps])
    frames = list(VideoSource(str(path)).frames())
    np.testing.assert_allclose([frame.time for frame in frames], np.cumsum([0, *steps[:-1]]), atol=2e-3)
    assert [frame.number for frame in frames] == [*range(6)]
    assert [round(float(frame.image[..., 0].mean()) / 40) for frame in frames] == [*range(6)]


def test_a_film_held_upright_is_upright(tmp_path):
    path = write_video(tmp_path / "v.mp4", [(200, 30, 30)] * 3, size=(96, 64))
    written_videos.turned(path)
    assert [frame.shape for frame in VideoSource(str(path))] == [(96, 64, 3)] * 3


def test_a_film_without_pictures_is_one_line(tmp_path):
    path = tmp_path / "v.mp4"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    with pytest.raises(UserError, match=r"v\.mp4: is neither an image, a folder nor a video"):
        VideoSource(str(path))


def test_a_film_that_was_cut_says_how_much_is_there(tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for n in range(40):
        writer.write(np.full((48, 64, 3), 6 * n, np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = VideoSource(str(path))
    assert 0 < len(list(source)) < 40
    assert source.claimed_frames == 40

"""`python -m preview`: images and videos become pictures, the right way round, and nothing is overwritten."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from hpe.errors import UserError
from hpe.inference import display
from hpe.inference.sources import Frame
from hpe.programs import preview
from hpe.programs.preview import PreviewConfig
from hpe.programs.preview_window import Player
from hpe.visualization import views
from hpe.visualization.grids import read_image, write_image
from hpe.visualization.view import View
from tests.inference.test_sources import write_video
from tests.programs.running import run


@pytest.fixture
def start(trained):
    """Runs preview with the trained run, each frame for one person unless a test says otherwise."""
    return lambda *flags: run(preview, f"--checkpoint={trained.run}", "--detector=none", *flags)


def colored(path, *, color=(230, 20, 20), size=(90, 60)):
    write_image(path, np.full((*size, 3), color, np.uint8))
    return path


def test_an_image_becomes_a_panel(start, tmp_path, capsys):
    image = colored(tmp_path / "red.png")
    start(f"--input={image}", f"--output={tmp_path / 'out'}")
    panel = read_image(tmp_path / "out" / "red.png")
    side = panel.shape[0]
    assert panel.shape == (side, 4 * side, 3)
    assert side >= 224
    # Red has stayed red: no channel was exchanged on the way; beside the picture the panel is plain.
    assert (panel[side // 2, side // 2] == (230, 20, 20)).all()
    assert (panel[:10, :10] == 250).all()
    assert f"wrote {tmp_path / 'out' / 'red.png'}" in capsys.readouterr().out


def test_files_may_be_named_without_a_flag(start, tmp_path, capsys):
    images = [colored(tmp_path / name) for name in ("ein Bild ä 図.png", "b.png")]
    # What a file holds makes it a picture, whatever its name.
    images[1] = images[1].rename(tmp_path / "b.HEIC")
    start(*map(str, images), f"--output={tmp_path / 'out'}")
    assert names(tmp_path / "out") == ["b.png", "ein Bild ä 図.png"]
    assert f"wrote 2 pictures to {tmp_path / 'out'}" in capsys.readouterr().out


def test_several_people_have_a_row_each(start, tmp_path):
    image = colored(tmp_path / "red.png")
    flags = ["--box=0,0,30,40", "--box=20,10,30,70", f"--output={tmp_path / 'out'}"]
    start(f"--input={image}", *flags)
    rows = read_image(tmp_path / "out" / "red.png")
    assert rows.shape[0] > 2 * 224
    start(f"--input={image}", *flags, "--view=mesh")
    assert read_image(tmp_path / "out" / "red.png").shape == (90, 60, 3)


def test_the_folder_of_one_run_means_that_run(trained, tmp_path, capsys):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "training").symlink_to(trained.run)
    image = colored(tmp_path / "red.png")
    run(preview, f"--checkpoint={folder}", f"--input={image}", f"--output={tmp_path / 'out'}")
    assert f"{folder / 'training'}: hybrid_hmr at step 2" in capsys.readouterr().out
    (folder / "another").symlink_to(trained.run)
    with pytest.raises(UserError, match="demo: holds several runs; give one of another, training in it"):
        run(preview, f"--checkpoint={folder}", f"--input={image}", f"--output={tmp_path / 'out'}")


def test_of_a_file_of_pages_the_first_is_taken_and_said(start, tmp_path, capsys):
    pages = [np.full((40, 30, 3), 60 * n, np.uint8) for n in range(3)]
    assert cv2.imwritemulti(str(tmp_path / "scan.tiff"), pages)
    start(str(tmp_path / "scan.tiff"), f"--output={tmp_path / 'out'}")
    assert f"note: {tmp_path / 'scan.tiff'}: holds 3 pictures, of which the first was taken" in (
        capsys.readouterr().out
    )


def test_a_camera_is_opened_before_the_network_is_loaded(tmp_path):
    with pytest.raises(UserError, match="camera 97: cannot be opened"):
        run(preview, "--checkpoint=/no/run", "--input=97")


@pytest.mark.parametrize("view", [view.value for view in View if view is not View.ATTENTION])
def test_a_view_over_the_whole_frame(start, tmp_path, view):
    image = colored(tmp_path / "red.png")
    start(f"--input={image}", f"--output={tmp_path / 'out'}", f"--view={view}", "--box=10,10,40,70")
    picture = read_image(tmp_path / "out" / "red.png")
    assert picture.shape == (90, 120 if view == "both" else 60, 3)
    if view in ("skeleton", "mesh", "both"):
        assert (picture[0, 0] == (230, 20, 20)).all()
    assert (picture != picture[0, 0]).any()


def test_a_turned_image(start, tmp_path):
    picture = np.zeros((90, 60, 3), np.uint8)
    picture[:10] = 255  # the top becomes the right
    write_image(tmp_path / "a.png", picture)
    flags = [f"--input={tmp_path / 'a.png'}", f"--output={tmp_path / 'out'}", "--view=skeleton"]
    start(*flags, "--rotate=90", "--box=80,0,10,10")
    turned = read_image(tmp_path / "out" / "a.png")
    assert turned.shape == (60, 90, 3)
    assert (turned[-5:, -5:] == 255).all()
    assert (turned[-5:, :5] == 0).all()


def test_a_folder_with_a_broken_image_and_equal_names(start, tmp_path, capsys):
    folder = tmp_path / "in"
    colored(folder / "a.png", color=(200, 0, 0))
    colored(folder / "a.jpg", color=(0, 0, 200))
    colored(folder / "b.png", size=(1, 1))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    start(f"--input={folder}", f"--output={tmp_path / 'out'}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png.png", "a.jpg.png", "b.png"}
    panel = read_image(tmp_path / "out" / "a.png.png")
    assert (panel[len(panel) // 2, len(panel) // 2] == (200, 0, 0)).all()
    output = capsys.readouterr().out
    assert f"skipped: {folder / 'broken.jpg'}: picture is truncated" in output
    assert f"wrote 3 pictures to {tmp_path / 'out'}" in output


def test_the_input_is_never_overwritten(start, tmp_path):
    image = colored(tmp_path / "a.png")
    before = image.read_bytes()
    for given in (image, tmp_path):
        with pytest.raises(UserError, match=r"would replace the input .*a\.png; name another"):
            start(f"--input={given}", f"--output={tmp_path}")
    assert image.read_bytes() == before
    video = write_video(tmp_path / "v.mp4", [(9, 9, 9)] * 3)
    before = video.read_bytes()
    with pytest.raises(UserError, match=r"would replace the input .*v\.mp4; name another folder"):
        start(f"--input={video}", f"--output={tmp_path}")
    assert video.read_bytes() == before


def test_a_video_without_a_display_goes_to_a_file(start, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(display, "display_available", lambda: False)
    video = write_video(tmp_path / "v.mp4", [(220, 30, 30)] * 4, fps=10, size=(96, 64))
    start(f"--input={video}", "--view=skeleton")
    assert "no display: the frames are written to files instead (choose where with --output)" in (
        capsys.readouterr().out
    )
    capture = cv2.VideoCapture(str(tmp_path / "runs" / "preview" / "v.mp4"))
    frames = []
    while True:
        found, frame = capture.read()
        if not found:
            break
        frames.append(frame[..., ::-1])
    assert (len(frames), round(capture.get(cv2.CAP_PROP_FPS))) == (4, 10)
    np.testing.assert_allclose(frames[0][:6, :6].mean(axis=(0, 1)), (220, 30, 30), atol=15)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_images_are_saved_in_all_kinds(start, tmp_path, capsys):
    for name in ("a", "b"):
        colored(tmp_path / "in" / f"{name}.png")
    (tmp_path / "in" / "notes.txt").write_text("")
    (tmp_path / "boxes.json").write_text(json.dumps({"a.png": [[0, 0, 30, 40], [20, 10, 30, 70]], "b": []}))
    flags = [f"--output={tmp_path / 'out'}", "--save=json,csv,glb,bvh", f"--boxes={tmp_path / 'boxes.json'}"]
    start(f"--input={tmp_path / 'in'}", *flags)
    files = ["a.csv", "a.glb", "a.json", "a.png", "a_1.bvh", "a_2.bvh", "b.csv", "b.json", "b.png"]
    assert names(tmp_path / "out") == files
    (frame,) = json.loads((tmp_path / "out" / "a.json").read_text())["frames"]
    assert [person["box"] for person in frame["people"]] == [[0, 0, 30, 40], [20, 10, 30, 70]]
    output = capsys.readouterr().out
    assert "1 files that are no images are left out" in output
    assert "b.png: nobody was found" in output
    assert "b.glb was not written: there is nobody to write" in output
    assert f"wrote 2 pictures, 2 json, 2 csv, 1 glb, 2 bvh to {tmp_path / 'out'}" in output


def test_a_video_is_saved_with_its_people(start, tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4", [(220, 30, 30)] * 5, fps=10).rename(tmp_path / "mein ä.mp4")
    flags = [f"--input={video}", f"--output={tmp_path / 'out'}", "--save=json,glb,npz,csv", "--nodraw"]
    start(*flags, f"--json={tmp_path / 'RESULTS.json'}")
    assert names(tmp_path / "out") == ["mein ä.csv", "mein ä.glb", "mein ä.json", "mein ä_1.npz"]
    read = json.loads((tmp_path / "out" / "mein ä.json").read_text())
    assert (read["source"], read["frames_per_second"]) == ("mein ä.mp4", 10)
    assert [[one["track_id"] for one in frame["people"]] for frame in read["frames"]] == [[1]] * 5
    results = json.loads((tmp_path / "RESULTS.json").read_text())
    assert [len(entry["predictions"]) for entry in results["output"]] == [1] * 5
    assert f"wrote 5 frames to {tmp_path / 'RESULTS.json'}" in capsys.readouterr().out


_TERMINATED = """
import os, signal, sys
from hpe.programs import preview_people
from hpe.programs.cli import run

in_video = preview_people.Finder.in_video

def ended(self, name):
    follow, seen = in_video(self, name), []
    def watched(frame, time):
        seen.append(time)
        if len(seen) == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        return follow(frame, time)
    return watched

preview_people.Finder.in_video = ended
run("preview")
"""


def test_what_is_interrupted_is_whole(trained, tmp_path):
    video = write_video(tmp_path / "v.mp4", [(220, 30, 30)] * 100, fps=10)
    flags = [f"--checkpoint={trained.run}", f"--input={video}", f"--output={tmp_path / 'out'}"]
    command = [sys.executable, "-c", _TERMINATED, *flags, "--detector=none", "--save=json,glb"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stderr
    assert "interrupted by SIGTERM: what is written is whole" in done.stdout
    assert names(tmp_path / "out") == ["v.glb", "v.json", "v.mp4"]
    assert len(json.loads((tmp_path / "out" / "v.json").read_text())["frames"]) == 7
    assert cv2.VideoCapture(str(tmp_path / "out" / "v.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 7


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who may not write everywhere")
def test_a_folder_that_may_not_be_written_is_told_first(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=f"output={tmp_path / 'out'}: cannot be written"):
        run(preview, "--checkpoint=/no/run", f"--input={__file__}", f"--output={tmp_path / 'out'}")


class FakeWindow:
    """A screen that presses keys, one per picture."""

    keys: tuple = ()

    def __init__(self, title, *, fullscreen):
        type(self).fullscreen, type(self).shown, type(self).closed = fullscreen, [], False

    def show(self, image, *, seconds=0.0):
        time.sleep(seconds)
        if self.shown and image is self.shown[-1]:
            return -1
        self.shown.append(image)
        return self.keys[len(self.shown) - 1]

    def is_open(self):
        return len(self.shown) < len(self.keys)

    def close(self):
        type(self).closed = True


def play(start, monkeypatch, tmp_path, keys, *flags):
    FakeWindow.keys = keys
    monkeypatch.setattr(display, "Window", FakeWindow)
    monkeypatch.setattr(display, "display_available", lambda: True)
    drawn = []
    draw = views.draw_people

    def watched(frame, people, *, view, **options):
        drawn.append(view)
        return draw(frame, people, view=view, **options)

    monkeypatch.setattr(views, "draw_people", watched)
    monkeypatch.chdir(tmp_path)
    video = write_video(tmp_path / "v.mp4", [(220, 30, 30)] * 12, fps=200)
    start(f"--input={video}", *flags)
    return drawn


def test_the_keys_of_the_live_window(start, monkeypatch, tmp_path):
    keys = [ord("s"), -1, ord("b"), ord("x"), ord("r"), ord("m"), 27, -1, -1]
    views = [View.MESH, View.SKELETON, View.SKELETON, View.BOTH, View.BOTH, View.ROTATED, View.MESH]
    assert play(start, monkeypatch, tmp_path, keys) == views  # ESC ends it
    assert FakeWindow.closed
    assert FakeWindow.fullscreen
    assert FakeWindow.shown[0].shape == (48, 64, 3)
    np.testing.assert_allclose(FakeWindow.shown[0][:4, :4].mean(axis=(0, 1)), (220, 30, 30), atol=15)


def test_closing_the_window_ends_it(start, monkeypatch, tmp_path):
    views = play(start, monkeypatch, tmp_path, [-1] * 3, "--fullscreen=False", "--view=rotated")
    assert views == [View.ROTATED] * 3
    assert not FakeWindow.fullscreen


def test_a_number_of_frames_ends_it(start, monkeypatch, tmp_path):
    assert len(play(start, monkeypatch, tmp_path, [-1] * 9, "--max_frames=2")) == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--input=/no/such"], "input=/no/such: no such file, folder or camera"),
        (["--input={folder}/empty"], "empty: holds no image"),
        (["--input={folder}/text.txt"], r"text\.txt: is neither an image, a folder nor a video"),
        (["--input={folder}/broken.jpg"], r"broken\.jpg: picture is truncated"),
        (["--input={folder}/empty.jpg"], r"empty\.jpg: is neither an image, a folder nor a video"),
        (
            ["--input={folder}/a.png", "--box=200,0,10,10"],
            r"box=200,0,10,10: lies outside the frame of 60 x 90",
        ),
        (["--input={folder}/a.png", "--checkpoint=/no/run"], "/no/run: no such run directory"),
        (
            ["--input={folder}/a.png", "--output={folder}/a.png/x"],
            r"output=.*x: cannot be written \(.*a.png is no",
        ),
        (["--input={folder}/a.png", "--detector=no.onnx"], "detector=no.onnx: must be auto, none or a file"),
        (["--input={folder}/a.png", "--detector={folder}/text.txt"], r"text\.txt: is not an ONNX file"),
        (["--input={folder}/a.png", "--boxes={folder}/text.txt"], r"text\.txt: is no JSON file"),
    ],
)
def test_mistakes_are_one_line(start, tmp_path, flags, message):
    colored(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no video")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(UserError, match=message) as error:
        start(f"--output={tmp_path / 'out'}", *(flag.format(folder=tmp_path) for flag in flags))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotate": 45}, "rotate=45: must be 0, 90, 180 or 270"),
        ({"box": ("1,2,3",)}, "box=1,2,3: must be x,y,width,height"),
        ({"box": ("5,5,5,5", "1,2,0,4")}, "box=1,2,0,4: must have a positive width and height"),
        ({"box": ("1,2,nan,4",)}, "box=1,2,nan,4: must have a positive width and height"),
        ({"refine": -1}, "refine=-1: must not be negative"),
        ({"min_height": -1.0}, "min_height=-1.0: must be finite and not negative"),
        ({"max_frames": 0}, "max_frames=0: must be at least 1"),
        ({"detect_every": 0}, "detect_every=0: must be at least 1"),
        ({"save": ("json", "fbx")}, "save=fbx: must be some of json, csv, npz"),
        (
            {"output": "no/x.glb"},
            "output=no/x.glb: is a folder; files of this kind are made in it by `save=glb`",
        ),
        ({"draw": False}, "save: says nothing, and nothing is drawn"),
        ({"box": ("1,2,3,4",), "boxes": "b.json"}, "boxes=b.json: are given twice"),
    ],
)
def test_wrong_settings_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        PreviewConfig(**{"checkpoint": "runs/x", **values})


def test_a_picture_of_100_megapixels(tmp_path, capsys):
    tile = np.random.default_rng(0).integers(0, 256, (500, 500), np.uint8)
    cv2.imwrite(str(tmp_path / "large.jpg"), np.tile(tile, (20, 20)), [cv2.IMWRITE_JPEG_QUALITY, 30])
    flags = ["--box=2000,1000,3000,7000", "--box=9000,0,999,9999", "--box=5,5,9,9", "--save=json"]
    run(preview, f"--input={tmp_path / 'large.jpg'}", *flags, f"--output={tmp_path}")
    people = json.loads((tmp_path / "large.json").read_text())["frames"][0]["people"]
    assert [person["box"] for person in people] == [
        [2000, 1000, 3000, 7000],
        [9000, 0, 999, 9999],
        [5, 5, 9, 9],
    ]
    # Nobody could see a person of nine pixels.
    assert "1 people lower than 20 pixels are not drawn; --min_height=0 draws them" in capsys.readouterr().out
    assert read_image(tmp_path / "large.png").shape[0] < 3 * 480


def test_after_a_pause_a_camera_goes_on_with_what_is_new(tmp_path):
    config = PreviewConfig()
    for keys in ("p", " "):  # going on, and one frame on
        camera, film = (Player(config, tmp_path / "x", is_camera=is_camera) for is_camera in (True, False))
        for player in (camera, film):
            player.press(ord("p"))
            waited = Frame(np.zeros((4, 4, 3), np.uint8), 3, 0.1, time.monotonic())
            assert not player.is_stale(waited)
            player.press(ord(keys))
            assert player.wants_more
            assert player.is_stale(waited) is player.is_camera
            assert not player.is_stale(dataclasses.replace(waited, read_at=time.monotonic()))

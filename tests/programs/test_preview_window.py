"""The live window for real: on a virtual screen, with keys that are pressed, by the pixels that it shows."""

import os
import shutil
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from hpe.visualization.grids import read_image
from tests.programs.window_script import HEIGHT, WIDTH

SCREEN = (480, 640)
# Seconds for which a change of the screen is waited for, on a machine that is busy.
PATIENCE = 300


class Screen:
    """A virtual X screen whose pixels lie in a file."""

    def __init__(self, folder):
        self._folder = folder
        read, write = os.pipe()
        self._server = subprocess.Popen(
            [
                *("Xvfb", "-nolisten", "tcp", "-screen", "0", f"{SCREEN[1]}x{SCREEN[0]}x24"),
                *("-fbdir", str(folder), "-displayfd", str(write)),
            ],
            pass_fds=[write],
            stderr=subprocess.DEVNULL,
        )
        os.close(write)
        with os.fdopen(read) as number:
            self.display = f":{number.readline().strip()}"

    def pixels(self):
        """(H, W, 3) uint8 RGB of the whole screen: the file is a dump of xwd's layout, blue first."""
        content = (self._folder / "Xvfb_screen0").read_bytes()
        header = np.frombuffer(content, ">u4", 25)
        length, colors, line = int(header[0]), int(header[19]), int(header[12])
        start = length + 12 * colors
        rows = np.frombuffer(content, np.uint8, SCREEN[0] * line, start).reshape(SCREEN[0], line)
        return rows[:, : 4 * SCREEN[1]].reshape(*SCREEN, 4)[..., 2::-1]

    def press(self, key):
        environment = {**os.environ, "DISPLAY": self.display}
        subprocess.run(["xdotool", "mousemove", "60", "60", "key", key], env=environment, check=True)

    def close(self):
        self._server.terminate()
        self._server.wait()


@pytest.fixture
def screen(tmp_path):
    for program in ("Xvfb", "xdotool"):
        if shutil.which(program) is None:
            message = f"{program} is not installed: the live window was not looked at"
            warnings.warn(message, stacklevel=1)
            pytest.skip(message)
    (tmp_path / "screen").mkdir()
    screen = Screen(tmp_path / "screen")
    yield screen
    screen.close()


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value is not None and value is not False:
            return value
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen")


class Film:
    """The window of `window_script`, and what is in it."""

    def __init__(self, screen, folder, seconds, *flags):
        self.screen = screen
        environment = {**os.environ, "DISPLAY": screen.display, "QT_QPA_PLATFORM": "xcb"}
        environment.pop("WAYLAND_DISPLAY", None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.programs.window_script", str(folder), str(seconds), *flags],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def window(self):
        """The picture in the window, found by its background's red and green; None while there is none."""
        pixels = self.screen.pixels()
        ours = (pixels[..., :2] == (90, 160)).all(axis=-1)
        if ours.sum() < 0.3 * HEIGHT * WIDTH:
            return None
        rows, columns = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(ours.any(axis=0))
        return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

    def number(self):
        """Of the frame that is shown, modulo 256, by the corner below on the left."""
        picture = self.window()
        return None if picture is None else int(picture[-3, 3, 2])

    def body(self):
        """How many pixels are not background."""
        picture = self.window()
        return None if picture is None else int((picture[..., :2] != (90, 160)).any(axis=-1).sum())


def test_keys_change_what_the_window_shows(screen, tmp_path):
    film = Film(screen, tmp_path, 0.1)
    try:
        until(lambda: film.number() is not None, "the first picture")
        assert film.window().shape[:2] == (HEIGHT, WIDTH)  # the frame's own size
        # Pause: the frame stays, and a step is one frame.
        screen.press("p")
        time.sleep(0.5)
        paused = film.number()
        time.sleep(0.5)
        assert film.number() == paused
        screen.press("space")
        until(lambda: film.number() == (paused + 1) % 256, "the step")
        # Mesh, skeleton, and one of the two people.
        both = film.body()
        screen.press("s")
        skeleton = until(lambda: film.body() if film.body() != both else None, "the skeleton")
        assert skeleton < both
        screen.press("m")
        until(lambda: film.body() == both, "the mesh")
        screen.press("1")
        one = until(lambda: film.body() if film.body() != both else None, "one person")
        assert 0.3 * both < one < 0.8 * both
        screen.press("0")
        until(lambda: film.body() == both, "all")
        # Help darkens the upper part; the rest is as it was.
        before = film.window()
        screen.press("h")
        until(lambda: (screen.pixels() == 255).all(axis=-1).sum() > 50, "the help")
        screen.press("w")
        (snapshot,) = until(lambda: list(tmp_path.glob("film_*.png")) or None, "the snapshot")
        written = read_image(snapshot)
        assert written.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_array_equal(written[-40:], before[-40:])
        screen.press("h")
        until(lambda: film.body() is not None and film.body() < 1.2 * both, "the end of the help")
        screen.press("p")
        until(lambda: film.number() not in (None, (paused + 1) % 256), "going on")
        screen.press("Escape")
        output, errors = film.process.communicate(timeout=PATIENCE)
        assert film.process.returncode == 0, errors
        assert "frames" in output
    finally:
        film.process.kill()


def test_a_film_is_played_at_its_own_rate(screen, tmp_path):
    film = Film(screen, tmp_path, 0.25, "--fullscreen")
    try:
        # The first frames come as fast as they can: what draws them was being loaded.
        first = until(lambda: film.number() if (film.number() or 0) >= 4 else None, "the first pictures")
        started = time.monotonic()
        last = until(lambda: film.number() if (film.number() or 0) >= first + 8 else None, "eight frames")
        rate = (last - first) / (time.monotonic() - started)
        assert 2.0 < rate < 4.6  # four a second
        screen.press("Escape")
        film.process.communicate(timeout=PATIENCE)
        assert film.process.returncode == 0
    finally:
        film.process.kill()

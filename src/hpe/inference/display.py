"""The live window, and whether there is a display to open it on."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import cv2
import numpy as np

ESCAPE = 27


def display_available() -> bool:
    """Tells whether a window can be opened.

    OpenCV's window library ends the whole process when it finds no display, so another process tries first.
    """
    probe = "import cv2; cv2.namedWindow('probe'); cv2.waitKey(1)"
    try:
        return subprocess.run([sys.executable, "-c", probe], capture_output=True, timeout=20).returncode == 0
    except (subprocess.TimeoutExpired, OSError):
        return False


class Window:
    """A window that shows RGB frames.

    Args:
        title: its title.
        fullscreen: cover the whole screen; else it is as large as the first frame.
    """

    def __init__(self, title: str, *, fullscreen: bool):
        self.title = title
        self._shown = False
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        if fullscreen:
            cv2.setWindowProperty(title, cv2.WND_PROP_FULLSCREEN, cv2.WINDOW_FULLSCREEN)

    def show(self, image: np.ndarray, *, seconds: float = 0.0) -> int:
        """Shows an (H, W, 3) uint8 RGB image for some time and returns the key that was pressed, -1 for none.

        A key ends the time.
        """
        if not self._shown:
            # Where nothing manages windows, one for the whole screen is only as large as this, too.
            cv2.resizeWindow(self.title, image.shape[1], image.shape[0])
            self._shown = True
        cv2.imshow(self.title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        key = cv2.waitKey(max(1, round(1000 * seconds)))
        return key if key < 0 else key & 0xFF

    def is_open(self) -> bool:
        """Tells whether the user has left the window open."""
        return cv2.getWindowProperty(self.title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Closes the window, if the user has not done so."""
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(self.title)
            cv2.waitKey(1)

"""A real browser without a window, driven through the pipe of its debugging protocol; no package is needed."""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

import pytest

from tests.conftest import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="NO BROWSER: install chromium, or the page is not tested in one"
)

_OPTIONS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


class Browser:
    """One page of a browser; a context that ends it.

    Args:
        profile: folder for its own files.
        size: width and height of the window.
    """

    def __init__(self, profile, size=(1280, 900)):
        self._size = size
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
        # It reads from 3 and writes to 4.
        ends = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", ends, "bash", *command],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers, self._received, self._session = itertools.count(1), b"", None

    def __enter__(self):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.resize(*self._size)
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def resize(self, width, height):
        """Makes the window larger or smaller."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **metrics)

    def open(self, address, ready):
        """Opens a page and waits until an expression is true in it."""
        assert "errorText" not in self.send("Page.navigate", url=address)
        self.until(ready)

    def until(self, expression):
        """Waits until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.tell(f"Boolean({expression})"):
            assert time.monotonic() < deadline, expression
            time.sleep(0.05)

    def tell(self, expression):
        """Returns the value of an expression, of a promise what it promises."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def tell_frame(self, expression):
        """Returns the value of an expression in the first frame shut off from its page; None without one."""
        page, targets = self._session, self.send("Target.getTargets")["targetInfos"]
        frame = next((target["targetId"] for target in targets if target["type"] == "iframe"), None)
        if frame is None:
            return None
        self._session = self.send("Target.attachToTarget", targetId=frame, flatten=True)["sessionId"]
        try:
            return self.tell(expression)
        finally:
            self._session = page

    def choose(self, selector, *paths):
        """Chooses files in an input element."""
        found = self.send("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        self.send("DOM.setFileInputFiles", objectId=found["result"]["objectId"], files=[*map(str, paths)])

    def mouse(self, kind, x, y, **options):
        """Moves or presses the mouse: `mouseMoved`, `mousePressed`, `mouseReleased`."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **options)

    def screenshot(self):
        """Returns what is seen, PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])

    def send(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self):
        while b"\0" not in self._received:
            assert select.select([self._in], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._received += part
        first, _, self._received = self._received.partition(b"\0")
        return json.loads(first)

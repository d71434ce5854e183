"""The page of `hpe app` in a browser: files chosen, errors told, jobs called off, results shown."""

import pathlib
import time

import numpy as np

from hpe.errors import UserError
from hpe.export.page import Page
from tests.app.test_server import Quick, serving
from tests.browser import Browser, needs_browser
from tests.conftest import PATIENCE
from tests.export.test_people import person


class Shown(Quick):
    """Makes the page of a made person of any file but a broken one."""

    def page(self, path, name, wishes, job):
        super().page(path, name, wishes, job)
        if pathlib.Path(path).read_bytes() == b"broken":
            raise UserError(f"{name}: is no picture.")
        page = Page(name)
        page.add(0.0, [person()], np.full((60, 80, 3), 200, np.uint8))
        return page.finish()


@needs_browser
def test_files_are_chosen_called_off_and_shown(tmp_path):
    worker = Shown()
    worker.go.clear()
    paths = [tmp_path / name for name in ("she.png", "broken.png", "he.png")]
    for path in paths:
        path.write_bytes(b"broken" if path.stem == "broken" else b"some")
    with serving(worker) as port, Browser(tmp_path / "profile", (400, 700)) as browser:
        browser.open(f"http://127.0.0.1:{port}/", "document.getElementById('preset')?.options.length === 2")
        browser.choose("#files", *paths)
        row = "[...document.querySelectorAll('#jobs li')].find((row) => row.innerText.includes('{}'))".format
        browser.until(f"{row('she')}?.querySelector('progress') && {row('he.png')}")
        # Held until the page has asked again what the jobs do.
        browser.tell(f"{row('he.png')}.scrollIntoView()")
        place = f"{row('he.png')}.querySelector('button').getBoundingClientRect().toJSON()"
        box = browser.tell(place)
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        browser.mouse("mousePressed", x, y, button="left", clickCount=1)
        time.sleep(1)
        browser.mouse("mouseReleased", x, y, button="left", clickCount=1)
        browser.until(f"{row('he.png')}?.innerText.includes('cancelled')")
        worker.go.set()
        browser.until(f"{row('broken')}.innerText.includes('broken.png: is no picture.')")
        # The first result is shown without asking, in a frame that reaches nothing.
        deadline = time.monotonic() + PATIENCE
        while browser.tell_frame("document.body?.dataset.ready") != "yes":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert browser.tell_frame("document.title") == "she.png"
        assert browser.tell("document.documentElement.scrollWidth <= innerWidth")
    assert [received for _, received, _ in worker.seen] == [b"some", b"broken"]

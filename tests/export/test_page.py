"""The page that shows people: it holds everything, asks no network, and draws what the rasteriser draws."""

import base64
import html.parser
import json
import re
import shutil
import subprocess

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.export.glb import to_glb
from hpe.export.motion import BodyMotion
from hpe.export.page import Page, save_page
from hpe.geometry.cameras import frame_camera
from hpe.people.person import BodyParameters
from hpe.visualization.rasterizer import Camera, render_mask
from tests.conftest import PATIENCE
from tests.export.test_people import BARE, person
from tests.export.test_rigs import posed

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PICTURE = np.full((120, 160, 3), 200, np.uint8)


def data_of(text):
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found, parse_constant=pytest.fail)


def test_a_page_holds_the_people_the_picture_and_files(tmp_path):
    someone = person(track_id=7)
    save_page([someone, person(**BARE)], tmp_path / "a.html", picture=PICTURE, attached={"a.csv": b"x,y"})
    data = data_of((tmp_path / "a.html").read_text())
    (frame,) = data["frames"]
    assert [one["id"] for one in frame["people"]] == [7, 1]
    first = frame["people"][0]
    np.testing.assert_allclose(np.array(first["joints2d"])[:, :2], someone.joints2d, atol=0.006)
    np.testing.assert_allclose(first["joints3d"], someone.joints3d, atol=6e-5)
    vertices = np.frombuffer(base64.b64decode(first["vertices"]), "<f4").reshape(-1, 3)
    np.testing.assert_array_equal(vertices, someone.vertices)
    assert data["camera"] == {"focal": [200.0, 200.0], "center": [79.5, 59.5], "size": [160, 120]}
    sides = dict(
        zip(data["skeletons"]["h36m17"]["joints"], data["skeletons"]["h36m17"]["sides"], strict=True)
    )
    assert (sides["left_knee"], sides["right_hip"]) == ("left", "right")
    kind, _, encoded = frame["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), 1).shape == PICTURE.shape
    assert data["files"] == [{"name": "a.csv", "type": "text/csv", "data": base64.b64encode(b"x,y").decode()}]


class Addresses(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("src", "href", "action")]


def test_a_page_asks_no_network(tmp_path):
    save_page([person()], tmp_path / "a.html", picture=PICTURE, attached={})
    text = (tmp_path / "a.html").read_text()
    addresses = Addresses()
    addresses.feed(text)
    assert addresses.found == []
    assert "@import" not in text
    assert len(text) < 1_000_000


def test_a_title_is_text_whatever_it_holds():
    title = "</script><script>alert(1)</script> {{data}} & <b>"
    page = Page(title)
    page.add(0.0, [person()])
    text = page.finish()
    assert data_of(text)["title"] == title
    assert "<script>alert" not in text
    assert "&lt;/script&gt;" in text


def test_another_ending_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"a page is written to a file that ends in \.html"):
        save_page([person()], tmp_path / "a.pdf")


def body_motion():
    """A body that lifts its arms within a second, seen from the front."""
    pose = np.tile(np.eye(3), (5, 24, 1, 1))
    pose[:, 0] = np.diag([1.0, -1.0, -1.0])
    for frame in range(5):
        for joint, sign in ((16, 1), (17, -1)):
            pose[frame, joint] = Rotation.from_rotvec([0, 0, sign * (0.3 * frame - 1)]).as_matrix()
    translation = np.tile([0.1, 0.0, 4.0], (5, 1))
    body = load_body_model("default")
    return BodyMotion(body, pose, np.zeros(10), translation, np.arange(5) / 5, name="person3")


def drawn(path, tmp_path, frame):
    """Returns where a real browser draws bodies over the picture, (H, W) bool of the picture's shape.

    Joints are switched off, the mesh is opaque; the browser is given nothing but the file.
    """
    script = """<script>
      const waiting = setInterval(() => {
        if (document.body.dataset.ready !== "yes") return;
        clearInterval(waiting);
        document.getElementById("opacity").value = 1;
        hpePage.overCamera.layers.set(0);
        hpePage.show(FRAME);
        document.body.dataset.drawn = document.getElementById("mesh-over").toDataURL();
      }, 20);
    </script>""".replace("FRAME", str(frame))
    copy = tmp_path / "opened.html"
    copy.write_text(path.read_text().replace("</body>", script + "</body>"))
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", "--window-size=1280,900", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    (encoded,) = re.findall(r'data-drawn="data:image/png;base64,([^"]+)"', done.stdout)
    image = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., 3] > 127


@pytest.mark.skipif(CHROMIUM is None, reason="NO BROWSER: install chromium, or the page is not tested in one")
@pytest.mark.parametrize("clip", [False, True])
def test_a_browser_draws_the_body_where_the_rasteriser_does(tmp_path, clip):
    motion = body_motion()
    camera = frame_camera((480, 640))
    vertices, _ = posed(motion)
    page = Page("she", frames_per_second=5 if clip else None)
    frame = 3 if clip else 0
    picture = np.full((480, 640, 3), 255, np.uint8)
    for number in range(5 if clip else 1):
        fields = {
            "vertices": vertices[number].astype(np.float32),
            "faces": motion.body.faces,
            "camera": camera,
        }
        body = BodyParameters("default", motion.pose[number], motion.shape)
        someone = person(track_id=3, body=body, translation=motion.translation[number], **fields)
        page.add(number / 5, [someone], picture)
    (tmp_path / "a.html").write_text(page.finish(rig=to_glb([motion]) if clip else None))
    found = drawn(tmp_path / "a.html", tmp_path, frame)
    expected = rasterised(vertices[frame], motion.body.faces, camera, found.shape)
    assert expected.sum() > 5000
    assert (found & expected).sum() / (found | expected).sum() > 0.98


def rasterised(vertices, faces, camera, size):
    """Returns the silhouette in a picture of another size than the camera's, (H, W) bool."""
    own = Camera(*camera.focal, *camera.center).scaled(size[1] / camera.size[0])
    return render_mask(vertices, faces, own, size)

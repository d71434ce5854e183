"""The page that shows people: it holds everything, asks no network, and draws what the rasteriser draws."""

import base64
import csv
import gzip
import html.parser
import io
import json
import re

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hpe.body.data import load_body_model
from hpe.errors import UserError
from hpe.export.clip_page import ClipPage
from hpe.export.motion import BodyMotion
from hpe.export.page import Page, save_page
from hpe.geometry.cameras import frame_camera
from hpe.people.person import BodyParameters
from hpe.visualization.rasterizer import Camera, render_mask
from tests.browser import Browser, needs_browser
from tests.export.test_people import BARE, person
from tests.export.test_rigs import Y_UP, posed, read_glb, skinned

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
    (file,) = data["files"]
    assert (file["name"], file["type"]) == ("a.csv", "text/csv")
    assert gzip.decompress(base64.b64decode(file["data"])) == b"x,y"


def test_a_page_of_several_people_has_a_bvh_file_of_each(tmp_path):
    body = BodyParameters("default", np.tile(np.eye(3, dtype=np.float32), (24, 1, 1)), np.zeros(10))
    one = person(body=body, translation=np.array([0, 0, 4.0]))
    save_page([one, one, person(**BARE)], tmp_path / "a.html")
    names = [file["name"] for file in data_of((tmp_path / "a.html").read_text())["files"]]
    assert names == ["a.json", "a.csv", "a_1.bvh", "a_2.bvh"]


def test_a_long_clip_keeps_as_many_pictures_as_fit():
    noise = np.random.default_rng(0).integers(0, 255, (640, 640, 3), np.uint8)
    page = Page("a", frames_per_second=25)
    for frame in range(40):
        page.add(frame / 25, [], noise)
    whole = page.finish()
    kept = [number for number, frame in enumerate(data_of(whole)["frames"]) if "picture" in frame]
    assert kept == [*range(0, 40, kept[1])]
    assert 5e6 < len(whole) < 11e6


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


# Keeps what a button would save.
KEEPING = """
  window.saved = {};
  URL.createObjectURL = (blob) => ((window.blob = blob), "blob:");
  HTMLAnchorElement.prototype.click = function () {
    const reader = new FileReader();
    reader.onload = () => (window.saved[this.download] = reader.result.split(",")[1]);
    reader.readAsDataURL(window.blob);
  };
"""


def picture_of(uri):
    encoded = base64.b64decode(uri.partition(",")[2])
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)


def saved_by(browser):
    """Presses all buttons that save, and returns the files by name."""
    browser.tell(KEEPING)
    buttons = browser.tell("document.querySelectorAll('#files button').length")
    for number in range(buttons):
        browser.tell(f"document.querySelectorAll('#files button')[{number}].click()")
        browser.until(f"Object.keys(saved).length > {number}")
    return {name: base64.b64decode(text) for name, text in browser.tell("saved").items()}


MIDDLE_OF_THE_BODY = """(() => {
  const { geometry } = [...hpePage.bodies.people.values()][0].mesh;
  geometry.computeBoundingSphere();
  const { x, y } = geometry.boundingSphere.center.clone().project(hpePage.camera);
  const box = document.getElementById("bodies").getBoundingClientRect();
  return [box.left + (x + 1) / 2 * box.width, box.top + (1 - y) / 2 * box.height];
})()"""


def distance_on_the_body(browser):
    """Measures by mouse from the middle of the body to above it; returns what is still told afterwards, cm."""
    browser.tell("document.getElementById('measure').click()")
    x, y = browser.tell(MIDDLE_OF_THE_BODY)
    for up in (0, 8):
        for kind in ("mousePressed", "mouseReleased"):
            browser.mouse(kind, x, y - up, button="left", clickCount=1)
    browser.mouse("mouseMoved", x + 100, y)
    told = browser.tell("hint.hidden ? '' : hint.textContent")
    browser.tell("document.getElementById('measure').click()")
    assert browser.tell("hint.hidden")
    return float(told.removesuffix(" cm"))


@needs_browser
@pytest.mark.parametrize("clip", [False, True])
def test_a_browser_draws_the_body_where_the_rasteriser_does_and_saves_files(tmp_path, clip):
    motion = body_motion()
    camera = frame_camera((480, 640))
    vertices, _ = posed(motion)
    page = ClipPage("she.mp4", "she", frames_per_second=5)
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
        page.add(number, number / 5, [someone], picture)
    if clip:
        (tmp_path / "a.html").write_text(page.finish())
    else:
        save_page([someone], tmp_path / "a.html", picture=picture)
    with Browser(tmp_path / "profile") as browser:
        browser.open((tmp_path / "a.html").as_uri(), "document.body?.dataset.ready === 'yes'")
        # Nothing but an opaque mesh.
        browser.tell("document.getElementById('opacity').value = 1; hpePage.overCamera.layers.set(0)")
        browser.tell(f"hpePage.show({frame})")
        over, space = (f"document.getElementById('{name}').toDataURL()" for name in ("mesh-over", "bodies"))
        found = picture_of(browser.tell(over))[..., 3] > 127
        expected = rasterised(vertices[frame], motion.body.faces, camera, found.shape)
        assert expected.sum() > 5000
        assert (found & expected).sum() / (found | expected).sum() > 0.98
        saved = saved_by(browser)
        front = browser.tell(space)
        if not clip:
            measured = distance_on_the_body(browser)
        browser.tell("document.querySelector('[data-view=side]').click()")
        assert browser.tell(space) != front
        if clip:
            browser.tell("document.getElementById('play').click()")
            browser.until(f"hpePage.frame !== {frame}")
        browser.tell("document.querySelector('#people input').click()")
        assert not picture_of(browser.tell(over))[..., 3].any()
    if not clip:
        assert 3 < measured < 60
    name = "she" if clip else "a"
    bvh = f"{name}_3.bvh" if clip else f"{name}.bvh"
    assert [*saved] == [f"{name}.json", f"{name}.csv", f"{name}.glb", bvh, "picture.png"]
    frames = 5 if clip else 1
    people = json.loads(saved[f"{name}.json"])
    assert len(people["frames"]) == frames
    np.testing.assert_allclose(people["frames"][-1]["people"][0]["joints3d"], someone.joints3d, atol=1e-5)
    assert len(list(csv.DictReader(io.StringIO(saved[f"{name}.csv"].decode())))) == frames * (19 + 3)
    assert f"Frames: {frames}\n".encode() in saved[bvh]
    document, array = read_glb(saved[f"{name}.glb"])
    np.testing.assert_allclose(skinned(document, array, 0, frame) * Y_UP, vertices[frame], atol=1e-4)
    assert cv2.imdecode(np.frombuffer(saved["picture.png"], np.uint8), 1).shape == picture.shape


def rasterised(vertices, faces, camera, size):
    """Returns the silhouette in a picture of another size than the camera's, (H, W) bool."""
    own = Camera(*camera.focal, *camera.center).scaled(size[1] / camera.size[0])
    return render_mask(vertices, faces, own, size)

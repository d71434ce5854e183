"""People as one page (.html) that opens from the disk: their picture with what was found over it, bodies to turn.

The page holds everything itself, also files of other kinds to save from it, and asks no network for anything. Its
sources are in tools/result_page. A body of a single picture is drawn from its vertices; those of a video are rigs,
of which a second takes kilobytes instead of megabytes.
"""

from __future__ import annotations

import base64
import functools
import gzip
import html
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from hpe import files, skeletons
from hpe.errors import UserError
from hpe.export.growing import PackedText
from hpe.export.people import contents

if TYPE_CHECKING:
    from hpe.people.person import Person

_ASSET = pathlib.Path(__file__).parent / "assets" / "result_page.html.gz"

# Of the data inside the page.
_VERSION = 2

# A video's page holds no more pictures than this, nor letters of them: beyond it every second one goes, and so on.
_MOST_PICTURES = 240
_MOST_LETTERS = 9_500_000

# Pictures are shown about this large; more would make the page heavy.
_LONGEST_STILL, _LONGEST_FRAME = 1600, 640
_QUALITY_STILL, _QUALITY_FRAME = 88, 75

_TYPES = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".glb": "model/gltf-binary",
    ".bvh": "text/plain",
}


class Page:
    """Collects the frames of a picture or a video and makes the page.

    Args:
        title: what is written above it, such as the picture's name.
        frames_per_second: of a video; None for a single picture.
    """

    def __init__(self, title: str, *, frames_per_second: float | None = None):
        self._title = title
        self._rate = frames_per_second
        self._frames: list[dict] = []
        self._step = 1  # of frames whose picture is kept
        self._letters = 0  # of pictures
        self._skeletons: dict[str, dict] = {}
        self._camera: dict | None = None
        self._faces: np.ndarray | None = None

    def add(self, time: float, people: Sequence[Person], picture: np.ndarray | None = None) -> None:
        """Adds a frame.

        Args:
            time: seconds from the start.
            people: of the frame.
            picture: (H, W, 3) uint8 RGB, the frame without anything drawn on it; None leaves it out.
        """
        cameras = [person.camera for person in people if person.camera is not None]
        if self._camera is None and cameras:
            camera = cameras[0]
            self._camera = {
                "focal": camera.focal.tolist(),
                "center": camera.center.tolist(),
                "size": list(camera.size),
            }
        still = self._rate is None
        frame = {
            "time": round(float(time), 6),
            "people": [self._person(person, index, mesh=still) for index, person in enumerate(people)],
        }
        if picture is not None and len(self._frames) % self._step == 0:
            frame["picture"] = _data_uri(picture, still=still)
            self._letters += len(frame["picture"])
        self._frames.append(frame)
        if len(self._frames) > _MOST_PICTURES * self._step or (not still and self._letters > _MOST_LETTERS):
            self._step *= 2
            for number, kept in enumerate(self._frames):
                if number % self._step:
                    self._letters -= len(kept.pop("picture", ""))

    def finish(
        self, *, rig: bytes | None = None, attached: Mapping[str, bytes | PackedText] | None = None
    ) -> str:
        """Returns the page.

        Args:
            rig: of a video the animated bodies, as `hpe.export.glb` writes them: `person1` and so on by their
                numbers.
            attached: files by name that can be saved from the page.
        """
        data = {
            "version": _VERSION,
            "title": self._title,
            "rate": self._rate,
            "camera": self._camera,
            "skeletons": self._skeletons,
            "frames": self._frames or [{"time": 0.0, "people": []}],
            "faces": None if self._faces is None else _base64(self._faces.astype("<u4")),
            "rig": None if rig is None else _base64(_packed(rig)),
            "files": [
                {
                    "name": name,
                    "type": _TYPES.get(pathlib.PurePath(name).suffix, "application/octet-stream"),
                    "data": _base64(_packed(content)),
                }
                for name, content in (attached or {}).items()
            ],
        }
        # Text inside a script element must not hold its end; JSON may write < in another way.
        text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        before, between, after = _template()
        title = html.escape(self._title)
        return before.replace("{{title}}", title) + between.replace("{{title}}", title) + text + after

    def _person(self, person: Person, index: int, *, mesh: bool) -> dict:
        entry = {
            "id": index if person.track_id is None else int(person.track_id),
            "score": round(float(person.score), 4),
            "skeleton": self._skeleton(person.skeleton),
            "joints2d": _rounded(
                np.concatenate([person.joints2d, np.asarray(person.confidence)[:, None]], axis=1), 2
            ),
        }
        if person.joints3d is not None:
            entry["skeleton3d"] = self._skeleton(person.joints3d_skeleton)
            entry["joints3d"] = _rounded(person.joints3d, 4)
        if mesh and person.vertices is not None:
            self._faces = person.faces
            entry["vertices"] = _base64(np.asarray(person.vertices, "<f4"))
        return entry

    def _skeleton(self, name: str) -> str:
        if name not in self._skeletons:
            skeleton = skeletons.get(name)
            self._skeletons[name] = {
                "joints": list(skeleton.joints),
                "parents": list(skeleton.parents),
                "sides": [_side(joint) for joint in skeleton.joints],
            }
        return name


def save_page(
    people: Sequence[Person],
    path: str | os.PathLike,
    *,
    picture: np.ndarray | None = None,
    attached: Mapping[str, bytes] | None = None,
) -> None:
    """Writes the people of a picture as a page.

    Args:
        people: of one picture.
        path: a file that ends in .html; its folder is made.
        picture: (H, W, 3) uint8 RGB, the picture; without it bodies stand on a plain ground.
        attached: files by name that can be saved from the page; by default json, csv, glb and bvh as far as
            people have what these hold.

    Raises:
        UserError: the ending is another, or the file cannot be written.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{path}: a page is written to a file that ends in .html.")
    page = Page(path.stem)
    page.add(0.0, people, picture)
    if attached is None:
        attached = contents(people, path.stem, (".json", ".csv", ".glb", ".bvh"))
    files.write_text(path, page.finish(attached=attached))


@functools.cache
def _template() -> tuple[str, str, str]:
    """Returns what stands before the body's title, between it and the data, and behind them."""
    text = gzip.decompress(_ASSET.read_bytes()).decode()
    # The script may hold anything, so the places are looked for in front of it alone.
    head, rest = text.split("{{data}}", 1)
    before, between = head.split("<body>", 1)
    return before, "<body>" + between, rest


def _side(joint: str) -> str:
    words = joint.partition("@")[0].split("_")
    return "left" if "left" in words else "right" if "right" in words else "middle"


def _data_uri(picture: np.ndarray, *, still: bool) -> str:
    longest = _LONGEST_STILL if still else _LONGEST_FRAME
    height, width = picture.shape[:2]
    share = min(1.0, longest / max(height, width))
    if share < 1:
        size = max(1, round(width * share)), max(1, round(height * share))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY_STILL if still else _QUALITY_FRAME]
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)
    return "data:image/jpeg;base64," + _base64(encoded)


def _packed(content: bytes | PackedText) -> bytes:
    """Returns gzip, which browsers unpack."""
    return content.content() if isinstance(content, PackedText) else gzip.compress(content, 6, mtime=0)


def _base64(content: bytes | np.ndarray) -> str:
    return base64.b64encode(content if isinstance(content, bytes) else content.tobytes()).decode()


def _rounded(values: np.ndarray, digits: int) -> list:
    """Returns rows of numbers; those that are not finite are None."""
    rows = np.round(np.asarray(values, np.float64), digits)
    return [[None if not np.isfinite(value) else value for value in row] for row in rows.tolist()]

"""The settings of `hpe preview`."""

from __future__ import annotations

import dataclasses
import enum
import math
import pathlib
from typing import TYPE_CHECKING

from hpe.errors import SettingError
from hpe.options import option
from hpe.visualization.view import View

if TYPE_CHECKING:
    from hpe.people.person import Person

# Values of the setting `detector`.
AUTO, NONE = "auto", "none"

# What `save` takes, as in hpe.export.saving; written down here so that the help need not import it.
KINDS = ("json", "csv", "npz", "glb", "bvh", "obj", "ply", "html")


class JsonLayout(enum.Enum):
    """Layouts of JSON files."""

    HPE = "hpe"
    HEMLETS = "hemlets"


@dataclasses.dataclass(frozen=True)
class PreviewConfig:
    """What to show, with which checkpoint, and where."""

    system: str | None = option(
        None, "Two runs as one system, such as hrnet_lifter; by default the system of the run."
    )
    checkpoint: str = option(
        "lightning",
        "Run directory, one checkpoint in it, a file of released weights, or a preset: lightning, or thunder, "
        "which is slower and more accurate.",
    )
    lifter_checkpoint: str | None = option(None, "The same for the second stage of `system=hrnet_lifter`.")
    body_model: str | None = option(None, "Body model of the run, if its file has moved since the training.")
    input: str = option(
        "0", "Image, folder of images, video file, or number of a camera; or name them without any flag."
    )
    output: str | None = option(
        None, "Folder for what is written, by default runs/preview; for videos it replaces the window."
    )
    save: tuple[str, ...] = option(
        (),
        f"What to write besides pictures and videos, such as json,glb: {', '.join(KINDS)}; of videos, glb, bvh and "
        "npz hold the motion of everybody.",
    )
    json_layout: JsonLayout = option(
        JsonLayout.HPE,
        "Layout of JSON files: that of docs/person.schema.json, or that of HEMlets' RESULTS.json.",
    )
    json: str | None = option(
        None,
        "One file for all inputs in the layout of HEMlets, such as RESULTS.json; images count as frames.",
    )
    draw: bool = option(True, "Draw pictures and videos; without, only what `save` says is written.")
    min_height: float = option(
        20.0, "Pixels; people whose box is less high are not drawn. 0 draws all; files hold everybody anyway."
    )
    view: View | None = option(
        None,
        "View to start with, by default mesh, or both without a mesh; for images, this view over the frame instead "
        "of the panel. In the window the keys s, m, b, r, l and t choose it, h shows all keys.",
    )
    box: tuple[str, ...] = option(
        (),
        "Person's box x,y,width,height in pixels of the turned frame; repeat the flag for several people. By "
        "default people are found by `detector`.",
        repeated=True,
    )
    boxes: str | None = option(
        None,
        "JSON file of such boxes: one list for all, lists by the names of images, or what `save=json` wrote.",
    )
    detector: str = option(
        AUTO,
        "What finds people: auto, the detector of the package, or in an image the whole frame where it finds "
        "nobody; none, the whole frame for one person; an ONNX file of RTMDet's or YOLOX's layout; or a .cfg of "
        "Darknet's YOLOv3 with the .weights beside it.",
    )
    detect_every: int = option(
        10, "Frames of a video from one look of the detector to the next; people are followed in between."
    )
    smooth: bool = option(True, "Smooth the people of videos over time.")
    refine: int | None = option(
        None,
        "Steps by which every body is fitted to the joints found in the picture: ten bring limbs nearer and take "
        "as long again; by default as the settings of the run say, which is 0 for most.",
    )
    focal: float | None = option(
        None,
        "Focal length in pixels; by default that of the picture's EXIF data, or the diagonal of the frame.",
    )
    rotate: int = option(0, "Turn the frames clockwise by 0, 90, 180 or 270 degrees first.")
    fullscreen: bool = option(True, "Cover the whole screen; ESC leaves.")
    max_frames: int | None = option(None, "End a video after this many frames.")

    def __post_init__(self):
        if self.rotate not in (0, 90, 180, 270):
            raise SettingError("rotate", "must be 0, 90, 180 or 270.", self.rotate)
        if self.refine is not None and self.refine < 0:
            raise SettingError("refine", "must not be negative.", self.refine)
        if not 0 <= self.min_height < math.inf:
            raise SettingError("min_height", "must be finite and not negative.", self.min_height)
        for name in ("max_frames", "detect_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingError(name, "must be at least 1.", value)
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise SettingError("focal", "must be a positive number of pixels.", self.focal)
        unknown = [kind for kind in self.save if kind not in KINDS]
        if unknown:
            raise SettingError("save", f"must be some of {', '.join(KINDS)}.", unknown[0])
        kind = pathlib.Path(self.output or "").suffix.lower().removeprefix(".")
        if kind in KINDS and not self.folder.is_dir():
            raise SettingError(
                "output", f"is a folder; files of this kind are made in it by `save={kind}`.", self.output
            )
        if not self.draw and not self.save and not self.json:
            raise SettingError("save", "says nothing, and nothing is drawn; what is wanted?")
        if self.box and self.boxes:
            raise SettingError("boxes", "are given twice, by `box` and by a file; choose one.", self.boxes)
        self.parsed_boxes()

    def parsed_boxes(self) -> list[tuple[float, ...]] | None:
        """Returns the boxes of `box` as four numbers each, or None if there are none."""
        return [_parsed_box(box) for box in self.box] or None

    def drawn(self, people: list[Person]) -> list[Person]:
        """Returns those of a frame who are large enough to be drawn."""
        return [person for person in people if person.box[3] >= self.min_height]

    @property
    def folder(self) -> pathlib.Path:
        """Where files go."""
        return pathlib.Path(self.output or "runs/preview")


def _parsed_box(box: str) -> tuple[float, ...]:
    try:
        x, y, width, height = (float(number) for number in box.split(","))
    except ValueError:
        raise SettingError("box", "must be x,y,width,height in pixels.", box) from None
    if not (all(map(math.isfinite, (x, y, width, height))) and width > 0 and height > 0):
        raise SettingError("box", "must have a positive width and height.", box)
    return x, y, width, height

"""The page of a clip, made frame by frame: its pictures with the people, and files of them to save from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpe.export.bvh import to_bvh
from hpe.export.csv_people import CsvFile
from hpe.export.glb import to_glb
from hpe.export.growing import PackedText
from hpe.export.json_people import JsonFile, PeopleLayout
from hpe.export.page import Page
from hpe.export.tracks import Tracks

if TYPE_CHECKING:
    import numpy as np

    from hpe.people.person import Person


class ClipPage:
    """Collects the frames of a clip and makes its page.

    From the page NAME.json and NAME.csv can be saved, and of people with a rig NAME.glb and a BVH file each, such
    as NAME_1.bvh: what `hpe.export.saving.VideoFiles` would write.

    Args:
        title: what is written above it, such as the name of the clip.
        name: of the files without their endings.
        frames_per_second: of the clip.
    """

    def __init__(self, title: str, name: str, *, frames_per_second: float):
        self._name = name
        self._page = Page(title, frames_per_second=frames_per_second)
        self._tracks = Tracks(frames_per_second)
        self._texts = {f"{name}.json": PackedText(), f"{name}.csv": PackedText()}
        layout = PeopleLayout(source=title, frames_per_second=frames_per_second)
        json, csv = self._texts.values()
        self._streams = JsonFile(json, layout), CsvFile(csv)

    def add(
        self, number: int, time: float, people: Sequence[Person], picture: np.ndarray | None = None
    ) -> None:
        """Adds a frame.

        Args:
            number: of the frame, from 0.
            time: of the frame in seconds.
            people: in it.
            picture: (H, W, 3) uint8 RGB, the frame without anything drawn on it; None leaves it out.
        """
        self._page.add(time, people, picture)
        self._tracks.add(number, time, people)
        for stream in self._streams:
            stream.add(number, time, people)

    def finish(self) -> str:
        """Returns the page, to which nothing can be added then."""
        for stream in self._streams:
            stream.finish()
        attached = dict(self._texts)
        tracks = self._tracks.finish()
        motions = [track.motion for track in tracks]
        if motions:
            attached[f"{self._name}.glb"] = to_glb(motions, together=True)
        for track in tracks:
            attached[f"{self._name}_{track.number}.bvh"] = to_bvh(track.motion).encode()
        return self._page.finish(rig=to_glb(motions) if motions else None, attached=attached)

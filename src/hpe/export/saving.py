"""What a program writes about people beside its pictures: files of several kinds, of a picture or of a whole video.

| kind | of a picture | of a video |
|---|---|---|
| json | NAME.json, docs/person.schema.json | the same with all frames |
| csv | NAME.csv, a row for each joint | the same with all frames |
| npz | NAME.npz, everything | NAME_1.npz and so on, each person's motion under AMASS' keys |
| glb | NAME.glb, bodies with their joints | the same, animated |
| bvh | NAME_1.bvh and so on, a file for each person | the same, animated |
| html | NAME.html, a page to look with | the same, with a timeline |
| obj, ply | NAME.obj, the meshes | a folder NAME_obj with a file for each frame |
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hpe import files
from hpe.export.bvh import write_bvh
from hpe.export.clip_page import ClipPage
from hpe.export.csv_people import CsvFile
from hpe.export.glb import write_glb
from hpe.export.json_people import JsonFile, Layout, PeopleLayout, to_json
from hpe.export.page import save_page
from hpe.export.people import Lacking, save_people
from hpe.export.tracks import Track, Tracks, to_amass

if TYPE_CHECKING:
    from hpe.people.person import Person

KINDS = ("json", "csv", "npz", "glb", "bvh", "obj", "ply", "html")

# Kinds that say of nobody that there is nobody; the others are not written then.
_OF_NOBODY = ("json", "csv", "npz", "html")
_MESHES = ("obj", "ply")
_MOTIONS = ("npz", "glb", "bvh")
_PAGE = "html"


def save_picture(
    people: Sequence[Person],
    path: str | os.PathLike,
    kinds: Sequence[str],
    *,
    layout: Layout | None = None,
    picture: np.ndarray | None = None,
) -> tuple[list[pathlib.Path], list[str]]:
    """Writes the people of a picture.

    Args:
        people: of the picture.
        path: of the files without their endings.
        kinds: some of `KINDS`.
        layout: of the JSON file; by default that of docs/person.schema.json.
        picture: (H, W, 3) uint8 RGB, for the page.

    Returns:
        What was written, and of kinds that were not why.

    Raises:
        UserError: a file cannot be written.
    """
    written, notes = [], []
    for kind in kinds:
        path_of_kind = _with_ending(path, f".{kind}")
        try:
            if kind == "json":
                files.write_text(path_of_kind, to_json(people, layout=layout))
            elif kind == _PAGE:
                save_page(people, path_of_kind, picture=picture)
            elif not people and kind not in _OF_NOBODY:
                raise Lacking(path_of_kind, "there is nobody to write")
            elif kind == "bvh":
                for number, person in enumerate(people, start=1):
                    path_of_kind = _with_ending(path, f"_{number}.bvh")
                    save_people([person], path_of_kind)
                    written.append(path_of_kind)
                continue
            else:
                save_people(people, path_of_kind)
        except Lacking as error:
            notes.append(f"{_with_ending(path, f'.{kind}')} was not written: {error.reason}.")
            continue
        written.append(path_of_kind)
    return written, notes


class VideoFiles:
    """What is written about the people of a video, frame by frame; the files get their names at the end.

    As a context manager it is finished at the end of the block; an exception discards what is not finished.

    Args:
        path: of the files without their endings; their folder is made.
        kinds: some of `KINDS`.
        frames_per_second: of the video.
        layout: of the JSON file; by default that of docs/person.schema.json.

    Raises:
        UserError: a file cannot be written, here or later.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        kinds: Sequence[str],
        *,
        frames_per_second: float,
        layout: Layout | None = None,
    ):
        self._path = pathlib.Path(path)
        self._kinds = kinds
        self._streams: dict[pathlib.Path, JsonFile | CsvFile] = {}
        layout = layout or PeopleLayout(source=self._path.name, frames_per_second=frames_per_second)
        makers: dict[str, Callable] = {"json": lambda path: JsonFile(path, layout), "csv": CsvFile}
        for kind, make in makers.items():
            if kind in kinds:
                name = _with_ending(path, f".{kind}")
                self._streams[name] = make(name)
        self._meshes = [kind for kind in kinds if kind in _MESHES]
        self._folders: dict[pathlib.Path, int] = {}
        self._lacking: dict[str, str] = {}
        wanted = any(kind in _MOTIONS for kind in kinds)
        self._tracks = Tracks(frames_per_second) if wanted else None
        name = self._path.name
        self._page = ClipPage(name, name, frames_per_second=frames_per_second) if _PAGE in kinds else None

    def __enter__(self) -> VideoFiles:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None:
            self.discard()

    def add(
        self, number: int, time: float, people: Sequence[Person], picture: np.ndarray | None = None
    ) -> None:
        """Adds the people of a frame.

        Args:
            number: of the frame, from 0.
            time: of the frame in seconds.
            people: in it.
            picture: (H, W, 3) uint8 RGB, the frame, for the page.
        """
        if self._page is not None:
            self._page.add(number, time, people, picture)
        for stream in self._streams.values():
            stream.add(number, time, people)
        if self._tracks is not None:
            self._tracks.add(number, time, people)
        for kind in self._meshes if people else ():
            folder = _with_ending(self._path, f"_{kind}")
            try:
                save_people(people, folder / f"{number:06d}.{kind}")
                self._folders[folder] = self._folders.get(folder, 0) + 1
            except Lacking as error:
                self._lacking[kind] = error.reason

    def finish(self) -> tuple[list[str], list[str]]:
        """Gives all files their names.

        Returns:
            What was written, and of kinds that were not why.
        """
        written = []
        for path, stream in self._streams.items():
            stream.finish()
            written.append(str(path))
        tracks = self._tracks.finish() if self._tracks is not None else []
        for kind in self._kinds:
            if kind in _MOTIONS and not tracks:
                reasons = sorted(self._tracks.lacking) or ["nobody was found"]
                self._lacking[kind] = reasons[0]
            elif kind in _MOTIONS:
                written += [str(path) for path in self._write_motions(kind, tracks)]
        if self._page is not None:
            path = _with_ending(self._path, f".{_PAGE}")
            files.write_text(path, self._page.finish())
            written.append(str(path))
        written += [f"{count} meshes to {folder}" for folder, count in self._folders.items()]
        return written, [f"no {kind} was written: {reason}." for kind, reason in self._lacking.items()]

    def discard(self) -> None:
        """Removes what is not finished."""
        for stream in self._streams.values():
            stream.discard()

    def _write_motions(self, kind: str, tracks: list[Track]) -> Iterator[pathlib.Path]:
        if kind == "glb":
            path = _with_ending(self._path, ".glb")
            write_glb(path, [track.motion for track in tracks], together=True)
            yield path
            return
        for track in tracks:
            path = _with_ending(self._path, f"_{track.number}.{kind}")
            if kind == "bvh":
                write_bvh(path, track.motion)
            else:
                with files.Replacement(path) as temporary, open(temporary, "wb") as file:
                    np.savez_compressed(file, **to_amass(track))
            yield path


def _with_ending(path: str | os.PathLike, ending: str) -> pathlib.Path:
    """Appends to a name, which may hold points itself."""
    path = pathlib.Path(path)
    return path.with_name(path.name + ending)

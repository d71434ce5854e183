"""Finding the pictures that an annotation file names, wherever a tool has put them.

Tools write paths of the machine that they ran on, with either slash, or none at all; disks of other systems change
capitals, and how accents are encoded. A name is followed below the folder of the dataset alone: an annotation file
cannot make anybody read other files.
"""

from __future__ import annotations

import os
import pathlib
import unicodedata
import urllib.parse
from collections.abc import Iterable

# Why a name that `ImageFolders.find_all` calls doubtful has no file.
SHARED_FILE = "file of the picture is that of other names, too"


class ImageFolders:
    """Finds files by the ends of their paths.

    Args:
        folders: where paths may begin, the likeliest first.
    """

    def __init__(self, folders: Iterable[pathlib.Path]):
        self.folders = list(dict.fromkeys(folder for folder in folders if folder.is_dir()))
        self._listings: dict[pathlib.Path, dict[str, str | None]] = {}

    def find_all(self, names: Iterable[str]) -> tuple[dict[str, str | None], set[str]]:
        """Finds the files that some annotations name.

        Returns:
            As `find`, by the names; and the names that are left without a file, as only their ends fit to one, and
            those of others do so, too: `cam1/001.jpg` and `cam2/001.jpg` where there is a file `001.jpg` alone.
        """
        found = {name: self.find(name) for name in names}
        claims: dict[str, list[str]] = {}
        for name, path in found.items():
            if path is not None:
                claims.setdefault(path, []).append(name)
        doubtful = {
            name
            for path, claimants in claims.items()
            if len({_written(name) for name in claimants}) > 1
            for name in claimants
            if not f"/{path}".endswith(f"/{_written(name)}")
        }
        return found | dict.fromkeys(doubtful), doubtful

    def find(self, name: str) -> str | None:
        """Returns the path of a file that an annotation names, None where it is in none of the folders."""
        for parts in _spellings(name):
            for start in range(len(parts)):
                for folder in self.folders:
                    parent = folder.joinpath(*parts[start:-1])
                    names = self._names(parent)
                    found = names.get(parts[-1]) or names.get(_plain(parts[-1]))
                    if found:
                        return str(parent / found)
        return None

    def outside(self, name: str) -> str | None:
        """Returns how a name leads out of the folders, None if it does not.

        It does so if it climbs above where it begins, or is the whole path of a file that is there, but not in the
        folders. A whole path of another machine does not: its end may be below the folders.
        """
        depth = 0
        for part in name.replace("\\", "/").split("/"):
            depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
            if depth < 0:
                return "leads upwards out of"
        if not name.startswith("/") and not pathlib.Path(name).is_absolute():
            return None
        try:
            strange = pathlib.Path(name).exists() and self.find(name) is None
        except (OSError, ValueError):
            strange = False
        return "is a whole path, and not one of a file in" if strange else None

    def _names(self, folder: pathlib.Path) -> dict[str, str | None]:
        """Returns the files of a folder by their names, and by what `_plain` makes of these where that is one's."""
        if folder not in self._listings:
            try:
                names = os.listdir(folder)
            except (OSError, ValueError):
                names = []
            found: dict[str, str | None] = {}
            for name in names:
                found[_plain(name)] = None if _plain(name) in found else name
            self._listings[folder] = found | {name: name for name in names}
        return self._listings[folder]


def _plain(name: str) -> str:
    """Returns a name without capitals, its accents encoded in one way."""
    return unicodedata.normalize("NFC", name).casefold()


def _written(name: str) -> str:
    """Returns a name with slashes, without what says that it begins here."""
    return name.replace("\\", "/").removeprefix("./").lstrip("/")


def _spellings(name: str) -> Iterable[list[str]]:
    """Yields the parts of a path as it is, with back-slashes for slashes, and as the part of an address."""
    seen = []
    # Label Studio: /data/local-files/?d=folder/name.jpg
    address = name.rpartition("?d=")[2] if "?d=" in name else name.partition("?")[0]
    for text in (name, name.replace("\\", "/"), urllib.parse.unquote(address).replace("\\", "/")):
        parts = [part for part in text.split("/") if part not in ("", ".")]
        # What leads upwards would lead out of the dataset.
        while ".." in parts:
            parts = parts[parts.index("..") + 1 :]
        if parts and parts not in seen:
            seen.append(parts)
            yield parts

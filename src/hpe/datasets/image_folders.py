"""Finding the pictures that an annotation file names, wherever a tool has put them.

Tools write paths of the machine that they ran on, with either slash, or none at all. A name is followed below the
folder of the dataset alone: an annotation file cannot make anybody read other files.
"""

from __future__ import annotations

import os
import pathlib
import urllib.parse
from collections.abc import Iterable


class ImageFolders:
    """Finds files by the ends of their paths.

    Args:
        folders: where paths may begin, the likeliest first.
    """

    def __init__(self, folders: Iterable[pathlib.Path]):
        self.folders = list(dict.fromkeys(folder for folder in folders if folder.is_dir()))
        self._listings: dict[pathlib.Path, frozenset[str]] = {}

    def find(self, name: str) -> str | None:
        """Returns the path of a file that an annotation names, None where it is in none of the folders."""
        for parts in _spellings(name):
            for start in range(len(parts)):
                for folder in self.folders:
                    parent = folder.joinpath(*parts[start:-1])
                    if parts[-1] in self._names(parent):
                        return str(parent / parts[-1])
        return None

    def _names(self, folder: pathlib.Path) -> frozenset[str]:
        if folder not in self._listings:
            try:
                found = frozenset(os.listdir(folder))
            except (OSError, ValueError):
                found = frozenset()
            self._listings[folder] = found
        return self._listings[folder]


def _spellings(name: str) -> Iterable[list[str]]:
    """Yields the parts of a path as it is, with back-slashes for slashes, and as the part of an address."""
    seen = []
    # Label Studio: /data/local-files/?d=folder/name.jpg
    for text in (
        name,
        name.replace("\\", "/"),
        urllib.parse.unquote(name.rpartition("?d=")[2]).replace("\\", "/"),
    ):
        parts = [part for part in text.split("/") if part not in ("", ".")]
        # What leads upwards would lead out of the dataset.
        while ".." in parts:
            parts = parts[parts.index("..") + 1 :]
        if parts and parts not in seen:
            seen.append(parts)
            yield parts

"""Texts that grow frame by frame: files, which get their name when they are complete, and packed ones in memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
from collections.abc import Iterator

from hpe import files
from hpe.errors import UserError


class GrowingFile:
    """A text file, UTF-8, that is written bit by bit under another name; see `hpe.files.Replacement`.

    Args:
        path: of the file; its folder is made.

    Raises:
        UserError: the file cannot be written, here or later.
    """

    def __init__(self, path: str | os.PathLike):
        self._file = files.Replacement(path)
        with self._explaining():
            # Closed by commit or discard.
            self._stream = open(self._file.temporary, "w", encoding="utf-8", newline="")  # noqa: SIM115

    def write(self, text: str) -> None:
        """Adds text at the end."""
        with self._explaining():
            self._stream.write(text)

    def commit(self) -> None:
        """Moves the file into place."""
        with self._explaining():
            self._stream.close()
        self._file.commit()

    def discard(self) -> None:
        """Removes what has been written and is not in place."""
        with contextlib.suppress(OSError):
            self._stream.close()
        self._file.discard()

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._file.discard()
            raise UserError(f"{self._file.path}: cannot be written ({error.strerror or error}).") from error


class PackedText:
    """A text in memory, UTF-8, that is packed while it grows, so that long ones stay small."""

    def __init__(self):
        self._packed = io.BytesIO()
        # Without a time in it, the same text is the same bytes.
        self._stream = gzip.GzipFile(fileobj=self._packed, mode="wb", compresslevel=6, mtime=0)

    def write(self, text: str) -> None:
        """Adds text at the end."""
        self._stream.write(text.encode())

    def commit(self) -> None:
        """Ends the text."""
        self._stream.close()

    def discard(self) -> None:
        """Ends it, too; there is nothing to remove."""
        self._stream.close()

    def content(self) -> bytes:
        """Returns the text as gzip, after `commit`."""
        return self._packed.getvalue()

"""Files that are whole or absent, and folders with one writer.

A file is written under another name beside its own and moved into place when it is complete: whoever reads sees the
old file or the new one, never a part, and a failure leaves the old one as it was.

A folder is locked by an operating system's lock on a file in it, which ends with its process however that ends
(also `kill -9`), and which child processes do not inherit. On file systems without such locks the file itself is
the lock, by this rule: it names a computer and a process, and it holds while that process runs there; what another
computer left behind has to be deleted by hand.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import secrets
import socket
from collections.abc import Iterator

from hpe.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a file system, or a server behind it, answers that has no locks.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}
_HELD_BY_OTHERS = {errno.EACCES, errno.EAGAIN}

# Locks of this process, by file: the operating system gives a process what it holds once more.
_held: dict[str, int] = {}


class Replacement:
    """A file that is written under another name and takes its place by `commit`.

    Used in a `with` statement it gives the path to write to; the end of the statement commits, an error discards.

    Args:
        path: of the file; its folder is made.
        advice: what the user can do if it cannot be written, such as `set another folder`.

    Attributes:
        temporary: the path to write to; it has the ending of `path`.

    Raises:
        UserError: the folder, or in the `with` statement or by `commit` the file, cannot be written.
    """

    def __init__(self, path: str | os.PathLike, *, advice: str = ""):
        self.path = pathlib.Path(path)
        self._advice = advice
        # Names have a limit, which a long one would pass here.
        name = f".{self.path.stem[:40]}.{os.getpid()}-{secrets.token_hex(4)}.tmp{self.path.suffix}"
        self.temporary = self.path.with_name(name)
        with self._explaining(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)

    def commit(self) -> None:
        """Moves the file into place, on the disk too."""
        try:
            with self._explaining(self.path):
                sync(self.temporary)
                os.replace(self.temporary, self.path)
                sync(self.path.parent)
        finally:
            self.discard()

    def discard(self) -> None:
        """Removes what has been written and is not in place."""
        with contextlib.suppress(OSError):
            self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> pathlib.Path:
        return self.temporary

    def __exit__(self, kind, error, _) -> None:
        if kind is None:
            self.commit()
            return
        self.discard()
        if isinstance(error, OSError):
            with self._explaining(self.path):
                raise error

    @contextlib.contextmanager
    def _explaining(self, path: pathlib.Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            advice = f"; {self._advice}" if self._advice else ""
            raise UserError(f"{path}: cannot be written ({error.strerror or error}){advice}.") from error


def write_bytes(path: str | os.PathLike, content: bytes, *, advice: str = "") -> None:
    """Writes a file in one move, see `Replacement`."""
    with Replacement(path, advice=advice) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike, text: str, *, advice: str = "") -> None:
    """Writes a text file, UTF-8, in one move, see `Replacement`."""
    write_bytes(path, text.encode(), advice=advice)


def why_not_writable(folder: str | os.PathLike) -> str:
    """Returns why files cannot be written to a folder that may be made first, empty if nothing is known against it.

    What is there is looked at and left as it is, so that a disk that is full is no reason yet.
    """
    folder = pathlib.Path(folder).absolute()
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        return f"{folder} is no folder"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} may not be written to"


def sync(path: str | os.PathLike) -> None:
    """Makes the system write a file, or the entries of a folder, to the disk; raises OSError."""
    is_folder = os.path.isdir(path)
    if is_folder and os.name == "nt":
        return  # Windows opens no folders; its renames are journaled.
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems do not sync folders.
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lock(directory: str | os.PathLike, name: str = "", *, what: str | None = None) -> Iterator[None]:
    """Holds a folder, or one thing in it, so that no other process writes there; see the module for the rule.

    Args:
        directory: the folder; it is made.
        name: of the thing in the folder, for example of a dataset; empty for the whole folder.
        what: the thing in words, for the message.

    Raises:
        UserError: another process, or another part of this one, holds it; or the folder cannot be written.
    """
    directory = pathlib.Path(directory)
    what = what or (f"{directory}: {name}" if name else f"{directory}")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path = os.path.join(os.path.realpath(directory), f".{name}.lock" if name else ".lock")
        if _held.get(path) == os.getpid():
            raise UserError(f"{what}: is being written by another part of this process; let it finish.")
        descriptor, is_system_lock = _acquire(path, what)
    except OSError as error:
        raise UserError(f"{directory}: cannot be written ({error.strerror or error}).") from error
    _held[path] = os.getpid()
    try:
        yield
    finally:
        # A fork of this process, which holds nothing, leaves everything as it is.
        if _held.get(path) == os.getpid():
            # Removed while it is held: `_acquire` looks whether what it locked still has its name.
            with contextlib.suppress(OSError):
                os.unlink(path)
            del _held[path]
        if is_system_lock:
            os.close(descriptor)


def _acquire(path: str, what: str) -> tuple[int, bool]:
    """Returns an open descriptor of the locked file and True, or 0 and False where there are no locks."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _system_lock(descriptor)
            # Its holder may have removed it between the two calls.
            if _is_named(descriptor, path):
                os.truncate(descriptor, 0)
                os.write(descriptor, _owner().encode())
                return descriptor, True
            os.close(descriptor)
        except OSError as error:
            owner = os.read(descriptor, 200).decode(errors="replace")
            os.close(descriptor)
            if error.errno in _HELD_BY_OTHERS:
                raise UserError(_refusal(what, owner)) from None
            if error.errno not in _NO_LOCKS:
                raise
            _acquire_by_name(path, what, owner)
            return 0, False


def _system_lock(descriptor: int) -> None:
    """Locks an open file for this process; OSError tells that others hold it, or that there are no locks."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "no locks")
    # Not flock(2), whose locks go over to child processes and outlive their parent with them.
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _acquire_by_name(path: str, what: str, owner: str) -> None:
    """Takes the lock by the rule for file systems without locks."""
    host, _, process = owner.partition(" ")
    here = host == socket.gethostname()
    # What has this process's number was left by one before it, as in containers, which count from 1.
    if process.isdecimal() and not (here and (int(process) == os.getpid() or not _runs(int(process)))):
        raise UserError(f"{_refusal(what, owner)[:-1]}, or delete {path} if that has ended.")
    with open(path, "w") as file:
        file.write(_owner())


def _owner() -> str:
    return f"{socket.gethostname()} {os.getpid()}"


def _refusal(what: str, owner: str) -> str:
    host, _, process = owner.partition(" ")
    by = f"process {process} on {host}" if process else "another process"
    return f"{what}: is being written by {by}; wait until it ends."


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # It is another user's.
    return True


def _is_named(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False

"""Files that are whole or not there, after power loss too: write aside, fsync, rename, fsync the directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any

from models.looking import look_until

Stamp = tuple[int, int, int]


def write_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Writes and fsyncs a file that nobody reads yet; `mode` is that of a new one, before the umask."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """A reader sees the old bytes or the new ones, never a mixture and never nothing."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        write_durably(aside, data, mode)
    except OSError:  # on a full disk the half of it would take what is left
        aside.unlink(missing_ok=True)
        raise
    aside.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes names in it survive power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def stamp(path: Path) -> Stamp:
    """(inode, ctime in ns, size): changes when the file is replaced, rewritten or made readable; zeros when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0)
    return (status.st_ino, status.st_ctime_ns, status.st_size)


def read_regular(path: Path, bytes_max: int) -> bytes | None:
    """At most so many bytes of a file; None where there is none, or a pipe or device that would never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with open(descriptor, "rb") as file:  # noqa: PTH123  # of a descriptor, so that what was looked at is what is read
        return file.read(bytes_max)


@contextmanager
def exclusively(path: Path, within_s: float | None = None) -> Iterator[None]:
    """Holds `<path>.lock` while the block runs; waits for whoever holds it. Raises TimeoutError after `within_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("a") as file:
        if within_s is None:
            fcntl.flock(file, fcntl.LOCK_EX)
        elif look_until(lambda: _locked(file) or None, within_s) is None:
            raise TimeoutError(f"{path}: another process has held its lock for {within_s:g} s; nothing was changed")
        yield


def _locked(file: IO[Any]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

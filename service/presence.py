"""Which processes of this home are alive, and what they say of themselves: one file each, held by a lock while they live.

`<home>/workers/<pid>.json` is a worker that is loaded and warm, `<home>/service.json` the supervisor.

Laws
- A file counts only while the process that wrote it holds its lock; the kernel lets that go whatever way the process ends, so a
  number that was given to another process later is never mistaken for it.
- What is read is whole: written in place by one call, over all that stood there; what does not parse is not there yet.
- A file is removed only by who holds its exclusive lock, and only where its path still leads to it: a sweeper never takes one
  away that a process has just begun to hold, nor does a process hold one that was taken away.
"""

import fcntl
import os
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from models.errors import UNDECODABLE

# A file that nobody holds for so long is not about to be locked by its writer: it is left from kill -9.
SWEEP_AFTER_S = 60
T = TypeVar("T", bound=msgspec.Struct)


class WorkerSign(msgspec.Struct, frozen=True):
    """A worker; `models`: model → stable version, `versions`: name:version → digest, `problems` as in `/readyz`, `states`: what
    became of each pin: loaded, loading, evicted, or refused or ejected and why.
    """

    pid: int
    started_us: int
    generation: int
    models: dict[str, str]
    versions: dict[str, str]
    problems: tuple[str, ...] = ()
    states: dict[str, str] = {}


class Reload(msgspec.Struct, frozen=True):
    """A rolling restart that ended; `begun_ns` is monotonic, `failed` empty where every worker was replaced."""

    begun_ns: int
    took_s: float
    replaced: int
    failed: str = ""


class ServiceSign(msgspec.Struct, frozen=True):
    """The supervisor, where it listens, and how its last reload ended. `hold`: workers that start now accept nothing until
    it is taken back.
    """

    pid: int
    started_us: int
    workers: int
    hold: bool = False
    reload: Reload | None = None
    url: str = ""


class Presence:
    """This process's file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._length = 0

    def say(self, sign: msgspec.Struct) -> bool:
        """Writes what holds now; False while another process holds the file."""
        if self._fd < 0 and not self._take():
            return False
        data = msgspec.json.encode(sign)
        self._length = max(self._length, len(data))
        os.pwrite(self._fd, data.ljust(self._length), 0)  # JSON may end in spaces: what is shorter needs no second call
        return True

    def close(self) -> None:
        """Takes the file away, if it is ours."""
        if self._fd >= 0:
            if _stands_at(self._path, self._fd):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1

    def _take(self) -> bool:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _locked(descriptor, fcntl.LOCK_EX):
                os.close(descriptor)
                return False
            if _stands_at(self._path, descriptor):
                break
            os.close(descriptor)  # it was swept before it was locked: nobody would find it
        os.ftruncate(descriptor, 0)
        self._fd = descriptor
        return True


def read_sign(path: Path, kind: type[T]) -> T | None:
    """What a living process says in this file; None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        if _locked(descriptor, fcntl.LOCK_SH):
            _sweep(path, descriptor)
            return None
        return msgspec.json.decode(os.pread(descriptor, os.fstat(descriptor).st_size, 0), type=kind)
    except UNDECODABLE:
        return None
    finally:
        os.close(descriptor)


def worker_signs(directory: Path) -> list[WorkerSign]:
    """Every worker that is alive and ready, oldest first."""
    found = [read_sign(path, WorkerSign) for path in directory.glob("*.json")]
    return sorted((sign for sign in found if sign is not None), key=lambda sign: (sign.started_us, sign.pid))


def _locked(descriptor: int, how: int) -> bool:
    """Takes the lock; False where another process has it."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stands_at(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to this file; with the exclusive lock that stays so: nobody else removes it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sweep(path: Path, descriptor: int) -> None:
    if time.time() - os.fstat(descriptor).st_mtime <= SWEEP_AFTER_S:
        return
    if _locked(descriptor, fcntl.LOCK_EX) and _stands_at(path, descriptor):
        path.unlink()

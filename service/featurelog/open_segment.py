"""The segment that is being written: its bytes, its end, its fsync. In which order, the writer decides.

Laws
- A segment appears under its name with its HEAD in it, or not at all.
- Of a write that ends early the whole frames stay, for a reader may have them; only the torn rest is cut.
- After a failed fsync or cut it is suspect: nothing more is written, and it is never fsynced again.
"""

import errno
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate, takewhile
from pathlib import Path

from models.disk import Disk
from service.featurelog.framing import frame
from service.featurelog.record import Seal, encode


class OpenSegment:
    """One file, open for appending. `sync` runs in a thread, everything else on the writer's event loop."""

    def __init__(self, disk: Disk, path: Path, number: int, first: Sequence[bytes], first_seq: int) -> None:
        """Makes it aside with its first frames; `publish` gives it its name. Raises OSError and leaves nothing."""
        self._disk, self.path, self.number, self.first_seq = disk, path, number, first_seq
        self._aside = path.with_name(f"{path.name}.new")
        self.size = 0
        self.declared = 0  # schemas
        self.suspect = False
        self.opened_s = time.monotonic()
        self._named = False  # its name survives power loss
        self._doubtful = False  # an fsync failed
        self._fd = disk.create(self._aside)
        try:
            self.write(b"".join(first))
        except OSError:
            self.abandon()
            raise

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def publish(self) -> None:
        """Gives it its name. Raises OSError and leaves nothing."""
        try:
            self._disk.rename(self._aside, self.path)
        except OSError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Takes away what nobody has seen."""
        self.close()
        with suppress(OSError):
            self._disk.unlink(self._aside)

    def write(self, data: bytes) -> None:
        """Appends; `size` says how much of it when OSError is raised."""
        written = self._disk.write(self._fd, data)
        self.size += written
        while written < len(data):
            view = memoryview(data)[written:]
            more = self._disk.write(self._fd, view)
            self.size += more
            written += more

    def cut_after_whole(self, frames: Sequence[bytes], start: int) -> int:
        """After a failed write from `start` it ends behind its last whole frame; returns how many of these it holds."""
        borders = list(takewhile(lambda end: end <= self.size, accumulate(map(len, frames), initial=start)))
        torn, self.size = self.size > borders[-1], borders[-1]
        try:
            if torn:
                self._disk.truncate(self._fd, self.size)
        except OSError:
            self.suspect = True
        return len(borders) - 1

    def seal(self, seq: int) -> bool:
        """Says that it ends here; without it the next segment says so. False where there was no space for it."""
        if self.closed or self.suspect:
            return True
        seal, start = frame(encode(Seal(seq - self.first_seq, seq - 1)), seq), self.size
        try:
            self.write(seal)
        except OSError as error:
            self.cut_after_whole([seal], start)
            return error.errno != errno.ENOSPC
        return True

    def sync(self) -> None:
        """Bytes, then the name, onto the device, unless that has failed before. Raises OSError."""
        if self._doubtful:
            return
        self._doubtful = True
        self._disk.fsync(self._fd)
        if not self._named:
            for directory in (self.path.parent, self.path.parent.parent, self.path.parent.parent.parent):
                self._disk.sync_directory(directory)
            self._named = True
        self._doubtful = False

    def close(self) -> None:
        """Gives the descriptor back: its number may belong to another file soon."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            with suppress(OSError):  # given back all the same; whether the bytes are safe, fsync has said
                self._disk.close(descriptor)


def sync_all(retired: Sequence[OpenSegment], segment: OpenSegment) -> OSError | None:
    """In a thread: everything onto the device; the first error. Who is retired is closed."""
    found: OSError | None = None
    for one in (*retired, segment):
        try:
            one.sync()
        except OSError as error:
            found = found or error
    for one in retired:
        one.close()
    return found


def reason_of(error: OSError) -> str:
    """Why records were not written: a fixed word, so that a metric label stays bounded."""
    known = {errno.ENOSPC: "no_space", errno.EDQUOT: "no_space", errno.EIO: "io_error", errno.EROFS: "read_only"}
    return known.get(error.errno or 0, "os_error")

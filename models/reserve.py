"""Space held back on a disk, for the few bytes that must still be written when it is full.

Laws
- `release` gives the space back at once; only `refill`, which takes all of it or nothing, makes it held again.
- A disk that is full at the start leaves the reserve spent, never the owner unstarted; one that cannot allocate has none.
"""

import errno
from contextlib import suppress
from pathlib import Path

from models.disk import Disk

FULL = (errno.ENOSPC, errno.EDQUOT)


class Reserve:
    """One file with allocated space; one process owns it. Size 0: none is wanted, and none is ever held."""

    def __init__(self, path: Path, size: int, disk: Disk) -> None:
        self._size, self._disk, self._fd = size, disk, -1
        self.spent = size > 0  # wanted and not held: the disk is full
        if not size:
            return
        try:
            self._fd = disk.create(path)
        except OSError as error:
            self._cannot(error)
        self.refill()

    @property
    def held_bytes(self) -> int:
        return 0 if self.spent else self._size

    def release(self) -> bool:
        """Gives the space back; returns whether there was any."""
        if self.spent or self._fd < 0:
            return False
        self.spent = True
        with suppress(OSError):
            self._disk.truncate(self._fd, 0)
        return True

    def refill(self) -> bool:
        """Tries to hold the space again; returns whether it is held, or not wanted any more."""
        if self.spent and self._fd >= 0:
            try:
                self._disk.allocate(self._fd, self._size)
                self.spent = False
            except OSError as error:
                with suppress(OSError):  # an allocation that stopped half-way keeps nothing
                    self._disk.truncate(self._fd, 0)
                self._cannot(error)
        return not self.spent

    def _cannot(self, error: OSError) -> None:
        """A file system that is not full and still gives no space never will: the owner goes on without a reserve."""
        if error.errno not in FULL:
            self._size, self.spent = 0, False

    def close(self) -> None:
        """Lets the file go; its space stays taken for the next owner."""
        descriptor, self._fd = self._fd, -1
        if descriptor >= 0:
            with suppress(OSError):
                self._disk.close(descriptor)

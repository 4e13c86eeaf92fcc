"""Disks that fail, forget, wait, or end the process, for the place of `models.disk.Disk`."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from models.disk import Disk

PAGE_BYTES = 64  # of the model: small, so that a few records span several


class WatchedDisk(Disk):
    """Says before and after each call that changes the disk which one it is."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def before(self, call: str) -> None:
        """Raises what the call shall raise."""

    def after(self, call: str) -> None:
        """The call has been done."""

    @contextmanager
    def _said(self, call: str) -> Iterator[None]:
        self.calls[call] += 1
        self.before(call)
        yield
        self.after(call)

    def create(self, path: Path) -> int:
        with self._said("create"):
            return super().create(path)

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        with self._said("write"):
            return super().write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        with self._said("truncate"):
            super().truncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        with self._said("fsync"):
            super().fsync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        with self._said("rename"):
            super().rename(source, target)

    def unlink(self, path: Path) -> None:
        with self._said("unlink"):
            super().unlink(path)

    def sync_directory(self, directory: Path) -> None:
        with self._said("sync_directory"):
            super().sync_directory(directory)

    def allocate(self, descriptor: int, size: int) -> None:
        with self._said("allocate"):
            super().allocate(descriptor, size)

    def close(self, descriptor: int) -> None:
        with self._said("close"):
            super().close(descriptor)


class FaultyDisk(WatchedDisk):
    """Each call asks `fault`, whose OSError it raises in place of being done; `None`: it is done."""

    def __init__(self, fault: Callable[[str, int], OSError | None]) -> None:
        super().__init__()
        self.fault = fault

    def before(self, call: str) -> None:
        if (error := self.fault(call, self.calls[call])) is not None:
            raise error

    def close(self, descriptor: int) -> None:
        os.close(descriptor)  # one that fails has given the descriptor back all the same
        with self._said("close"):
            return


class ExitingDisk(WatchedDisk):
    """Ends the process, with nothing cleaned up, at its `border`: an even one before a call, an odd one after it."""

    def __init__(self, border: int) -> None:
        super().__init__()
        self._left = border

    def _pass(self) -> None:
        if self._left == 0:
            os._exit(0)
        self._left -= 1

    def before(self, call: str) -> None:
        self._pass()

    def after(self, call: str) -> None:
        self._pass()


class ForgettingDisk(WatchedDisk):
    """Keeps of a file what was fsynced, and of the pages that were not a random part; `lose_power` makes what is left.

    A name survives when its directory was synced after it; without that, at random. An fsync that fails writes a random part
    of the dirty pages, and no later one writes the others: so the kernel does it.
    """

    def __init__(self, dice: random.Random, *, failing_share: float = 0.0, snapshot: Callable[[], None]) -> None:
        super().__init__()
        self._dice, self._failing_share, self._snapshot = dice, failing_share, snapshot
        self._safe: dict[int, bytes] = {}  # inode → what is on the device
        self._forgotten: dict[int, set[int]] = {}  # inode → pages that no fsync will write
        self._names: dict[Path, dict[str, int]] = {}  # directory → what its last sync kept
        self._one_at_a_time = RLock()  # the loop and the thread of fsync; a loss shows one moment

    @contextmanager
    def _said(self, call: str) -> Iterator[None]:
        with self._one_at_a_time, super()._said(call):
            yield

    def before(self, call: str) -> None:
        self._snapshot()

    def after(self, call: str) -> None:
        self._snapshot()

    def fsync(self, descriptor: int) -> None:
        with self._said("fsync"):
            inode, present = os.fstat(descriptor).st_ino, _content(descriptor)
            safe, forgotten = self._safe.get(inode, b""), self._forgotten.setdefault(inode, set())
            failing = self._dice.random() < self._failing_share
            dirty = [page for page in range(_pages(present)) if _page(present, page) != _page(safe, page)]
            written = {page for page in dirty if page not in forgotten and (not failing or self._dice.random() < 0.5)}
            self._safe[inode] = _mixed(present, safe, written)
            if failing:
                forgotten.update(page for page in dirty if page not in written)
                raise OSError(5, "Input/output error")

    def sync_directory(self, directory: Path) -> None:
        with self._said("sync_directory"):
            self._names[directory] = {entry.name: entry.stat().st_ino for entry in directory.iterdir()}

    def lose_power(self, directory: Path, target: Path) -> None:
        """What is left of `directory` after power loss now, in `target`."""
        target.mkdir(parents=True, exist_ok=True)
        there = {entry.name: entry for entry in directory.iterdir() if entry.is_file()}
        kept = self._names.get(directory, {})
        for name, entry in there.items():
            if name not in kept and self._dice.random() < 0.5:
                continue
            present, safe = entry.read_bytes(), self._safe.get(entry.stat().st_ino, b"")
            by_chance = {page for page in range(_pages(present)) if self._dice.random() < 0.5}
            by_chance -= self._forgotten.get(entry.stat().st_ino, set())
            left = _mixed(present, safe, by_chance)
            (target / name).write_bytes(left[: self._dice.randint(min(len(safe), len(left)), len(left))])


def _content(descriptor: int) -> bytes:
    return Path(f"/proc/self/fd/{descriptor}").read_bytes()


def _pages(data: bytes) -> int:
    return -(-len(data) // PAGE_BYTES)


def _page(data: bytes, page: int) -> bytes:
    return data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]


def _mixed(present: bytes, safe: bytes, new: set[int]) -> bytes:
    """The pages `new` as they are now, the others as they were on the device; zeros where nothing was."""
    pages = [_page(present if page in new else safe, page).ljust(PAGE_BYTES, b"\0") for page in range(_pages(present))]
    length = max((min((page + 1) * PAGE_BYTES, len(present)) for page in new), default=0)
    return b"".join(pages)[: max(length, min(len(safe), len(present)))]

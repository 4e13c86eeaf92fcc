"""What does each worker run at this moment? Told in memory that outlives it, so that its supervisor can say what it died of.

Laws
- A worker's row holds, for each of its threads that run graphs, the mark of the version that runs there now; 0: none.
- To tell it takes no call of the system: two stores into shared memory, 0.07 µs a run (measured).
- The memory is the supervisor's own (memfd): no disk can make a run wait, and it goes with the supervisor.

A worker without a supervisor (tests, benchmarks) tells it to itself. What a crash says is faulthandler's: it names the thread.
"""

import faulthandler
import fcntl
import mmap
import os
import re
from threading import get_ident
from typing import TypeAlias

import structlog

from service.ejection import Left

# No setting: where a worker finds the memory of its supervisor, `/proc/PID/fd/N` twice.
BOARD = "PLUMBLINE_BOARD"
ROWS_MAX = 1024  # workers alive, starting and leaving at once: four times the most that can be set
FAULT_BYTES_MAX = 1 << 16  # read of what a crash says; a dump of twenty threads has 20 KiB
LOOP, THREAD, SHADOW, LOADING = range(4)  # places in a row: who runs graphs in a worker
SLOTS = range(32)
SHADOWS = (SHADOW, *SLOTS[4:])  # each shadow has a thread of its own; what further ones run is not told
IDENTS, PID, CELLS = 32, 64, 72  # from 32 on the thread of each place, the worker, and the size of a row
_CRASHED = re.compile(rb"^Current thread 0x([0-9a-f]+)", re.MULTILINE)
_CRASHED_MAX = 64  # threads remembered until their worker's death is looked into

Cells: TypeAlias = memoryview
_log = structlog.get_logger()


class Board:
    """The supervisor's side: one row a worker."""

    def __init__(self) -> None:
        self._rows, self._faults = os.memfd_create("plumbline-rows"), os.memfd_create("plumbline-faults")
        os.ftruncate(self._rows, ROWS_MAX * CELLS * 8)
        self._cells = _shared(self._rows)
        self._crashed: dict[int, None] = {}

    @property
    def place(self) -> str:
        """For the environment of the workers."""
        return f"/proc/{os.getpid()}/fd/{self._rows} /proc/{os.getpid()}/fd/{self._faults}"

    def take(self, pid: int) -> tuple[Left, str]:
        """What a dead worker left behind, and in which words; its row is free after that."""
        words = self._read_faults()
        for row in _rows(self._cells):
            if row[PID] == pid:
                ran = {row[IDENTS + slot]: row[slot] for slot in SLOTS if row[slot]}
                row[:] = unshared()
                return Left(ran, frozenset(self._crashed)), words
        return Left({}, frozenset()), words

    def close(self) -> None:
        """Gives the memory back; workers that still live keep theirs."""
        os.close(self._rows)
        os.close(self._faults)

    def _read_faults(self) -> str:
        """New words of those who crashed; their threads are kept, since two may have died before the first is looked into."""
        said = os.pread(self._faults, FAULT_BYTES_MAX, 0)
        if said:
            os.ftruncate(self._faults, 0)
            self._crashed |= {int(ident, 16): None for ident in _CRASHED.findall(said)}
            for ident in list(self._crashed)[:-_CRASHED_MAX]:
                del self._crashed[ident]
        return said.decode(errors="replace")


def joined(place: str | None) -> Cells:
    """This worker's row on the board of its supervisor; memory of its own where there is none."""
    if not place:
        return unshared()
    rows, faults = place.split()
    try:
        descriptor = os.open(rows, os.O_RDWR)
        cells = _shared(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # two that start at once do not take the same row
        row = next((row for row in _rows(cells) if row[PID] in (0, os.getpid())), None)
        if row is not None:
            row[:] = unshared()
            row[PID] = os.getpid()
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing would not do it: the mapping has a descriptor of its own
        os.close(descriptor)
        if row is not None:
            faulthandler.enable(os.open(faults, os.O_WRONLY | os.O_APPEND), all_threads=True)
    except OSError as error:  # it serves all the same; whatever kills it is then not found out
        _log.error("worker.unmarked", reason=str(error))
        return unshared()
    if row is None:
        _log.error("worker.unmarked", reason=f"{ROWS_MAX} workers are on the board")
        return unshared()
    return row


def unshared() -> Cells:
    """A row that nobody else reads."""
    return memoryview(bytearray(CELLS * 8)).cast("Q")


def begin(cells: Cells, slot: int, mark: int) -> None:
    """This thread runs a version from now on; the event loop's own runs store the mark by themselves (service/batching.py)."""
    cells[IDENTS + slot] = get_ident()
    cells[slot] = mark


def end(cells: Cells, slot: int) -> None:
    """It runs none any more."""
    cells[slot] = 0


def mark_of(digest: str) -> int:
    """A version's bytes as a number that fits in a cell, never 0; the same bytes under two names are one."""
    return int(digest.removeprefix("sha256:")[:16], 16) or 1


def _shared(descriptor: int) -> Cells:
    return memoryview(mmap.mmap(descriptor, ROWS_MAX * CELLS * 8)).cast("Q")


def _rows(cells: Cells) -> list[Cells]:
    return [cells[start : start + CELLS] for start in range(0, len(cells), CELLS)]

"""The archiver's rows of the fault table: it ends anywhere, or the disk refuses, and each row is in the archive exactly once.

Rows are those of the sealed segments, found are those that the manifest names in the end; both by (writer, epoch, seq, row).
"""

import errno
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from models.disk import Disk
from service.featurelog.archive_plan import Keep
from service.featurelog.segments import Rotation
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.archiving import (
    DAY_US,
    RAW_GOES,
    START_US,
    EndingDisk,
    archive,
    asked,
    manifest_of,
    on_disk,
    rows_in,
    write_log,
)
from tests.unit.service.featurelog.writing import write

KILLS_IN_A_ROW = 3


def every_border(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """Archiving, merging, retention, sweeping: the process ends before or after each call that changes the disk."""
    fresh, tally = folder / "fresh", Tally()
    _small(fresh)
    expected = _undisturbed(fresh, folder / "undisturbed")
    ended, border = True, 0
    while ended:
        border += 1
        for after in (False, True):
            place = folder / f"{border}{after}"
            shutil.copytree(fresh, place)
            ended = ends_at(place, border, after=after)
            what = f"border {border}, {'after' if after else 'before'} the call"
            tally.expect(_once(place), f"{what}: rows twice before the next pass")
            _hold(tally, place, expected, what)
            shutil.rmtree(place)
    gone = manifest_of(folder / "undisturbed").let_go.segments
    tally.expect(gone > 0, "no raw segment was let go")
    tally.note = f"{border - 1} borders; {gone} raw segments go"
    return tally


def _small(home: Path) -> None:
    """Three commits, of which the last closes the day of the others: so there is a merge, and after it something to let go."""
    for number, day in enumerate((0, 0, 1)):
        records = [asked(2 * number + one, -1, at_us=START_US + day * DAY_US) for one in (0, 1)]
        write(home / "log", records, rotation=Rotation(1, 1e9))


def ends_at(place: Path, border: int, *, after: bool, keep: Keep = RAW_GOES, now_us: int = START_US) -> bool:
    """Whether the pass came to the border."""
    pid = os.fork()
    if pid == 0:  # the real end of a process: nothing is flushed, nothing is cleaned up
        archive(place, keep=keep, now_us=now_us, disk=EndingDisk(border, after=after))
        os._exit(0)
    return os.waitpid(pid, 0)[1] != 0


def killed(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """kill -9 at a random moment, and again in the pass that takes up from there."""
    fresh, tally = folder / "fresh", Tally()
    write_log(fresh / "log", requests=200, rotation=Rotation(8_000, 1e9))
    begun_s = time.monotonic()
    expected = _undisturbed(fresh, folder / "undisturbed")
    longest_s = time.monotonic() - begun_s
    for number in range(repetitions):
        place = folder / f"{number}"
        shutil.copytree(fresh, place)
        for _ in range(KILLS_IN_A_ROW):
            child = multiprocessing.get_context("fork").Process(
                target=archive, args=(place,), kwargs={"keep": RAW_GOES}
            )
            child.start()
            child.join(dice.uniform(0, longest_s))
            child.kill()
            child.join()
            tally.expect(_once(place), f"repetition {number}: rows twice between two passes")
        _hold(tally, place, expected, f"repetition {number}")
        shutil.rmtree(place)
    tally.note = f"{KILLS_IN_A_ROW} kills a repetition, each within {longest_s:.2f} s of the start of a pass"
    return tally


class RefusingDisk(Disk):
    """Takes so many writes; then none, as a full disk or a broken one."""

    def __init__(self, writes: int, number: int) -> None:
        self._left, self._number = writes, number
        self.refused = False

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self._left <= 0:
            self.refused = True
            raise OSError(self._number, os.strerror(self._number))
        self._left -= 1
        return super().write(descriptor, data)


def refused(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """ENOSPC and EIO at every write of a pass: it says so, leaves the segments, and the next one finishes."""
    fresh, tally = folder / "fresh", Tally()
    _small(fresh)
    expected = _undisturbed(fresh, folder / "undisturbed")
    for number in (errno.ENOSPC, errno.EIO):
        for place, disk in _refusals(fresh, folder, number):
            said = ""
            try:
                archive(place, keep=RAW_GOES, disk=disk)
            except OSError as error:
                said = error.strerror or ""
            if not disk.refused:
                break
            tally.expect(said == os.strerror(number), f"{place.name}: said {said!r}")
            _hold(tally, place, expected, place.name)
    return tally


def _refusals(fresh: Path, folder: Path, number: int) -> Iterator[tuple[Path, RefusingDisk]]:
    writes = 0
    while True:
        place = folder / f"{errno.errorcode[number]} after {writes} writes"
        shutil.copytree(fresh, place)
        yield place, RefusingDisk(writes, number)
        shutil.rmtree(place)
        writes += 1


def _undisturbed(fresh: Path, place: Path) -> list[str]:
    shutil.copytree(fresh, place)
    archive(place, keep=RAW_GOES)
    return rows_of(place)


def _hold(tally: Tally, place: Path, expected: list[str], what: str) -> None:
    """After one more pass everything is there once, and nothing else lies about."""
    archive(place, keep=RAW_GOES)
    tally.add(expected, rows_of(place))
    tally.expect(
        on_disk(place) == [file.path for file in manifest_of(place).files], f"{what}: files without a name left"
    )


def rows_of(place: Path) -> list[str]:
    """Every row that the manifest names."""
    return [f"{table} {key}" for table, key in rows_in(place)]


def _once(place: Path) -> bool:
    found = rows_of(place)
    return len(found) == len(set(found))


ROWS = (
    Row("archiver: exit at every call", "before and after each call that changes the disk", every_border),
    Row("archiver: kill -9", f"at random moments, {KILLS_IN_A_ROW} in a row", killed, repetitions=100, few=2),
    Row("archiver: ENOSPC and EIO", "from the n-th write of a pass on, for every n", refused),
)

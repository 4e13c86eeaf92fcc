"""The disk refuses: EIO at each call, writes that end after each number of bytes, a disk that is really full."""

import asyncio
import errno
import random
from functools import partial
from pathlib import Path

from service.featurelog.commit import Durability
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.disks import FaultyDisk, WatchedDisk
from tests.promises.faults.row import Impossible, Row, Tally
from tests.small_disk import CannotMount, fill, small_disk
from tests.unit.service.featurelog.test_writer import adds_up
from tests.unit.service.featurelog.writing import request, writer

CALLS = ("create", "write", "truncate", "fsync", "rename", "unlink", "sync_directory", "close")
RECORDS, EACH_MAX, RESERVE_BYTES = 12, 40, 1 << 16
SMALL = Rotation(400, 1e9)


class ShortDisk(WatchedDisk):
    """One write takes `size` bytes, and the next says that there is no space; then the disk is well again."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size, self._begun, self._cut = size, False, False

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self._begun and not self._cut:
            if self._size == 0:
                self._cut = True
                raise OSError(errno.ENOSPC, "No space left on device")
            taken = super().write(descriptor, data[: self._size])
            self._size -= taken
            return taken
        self._begun = True
        return super().write(descriptor, data)


async def _burst(log: FeatureLog) -> list[str]:
    """Writes some records by threes; the names of those that were acknowledged."""
    told: list[str] = []
    for first in range(0, RECORDS, 3):
        waiting = {number: log.append_request(request(number)) for number in range(first, first + 3)}
        told += [f"r{number}" for number, one in waiting.items() if await one]
        adds_up(log)
    return told


def each_call_fails(folder: Path, repetitions: int, dice: random.Random, *, durability: Durability) -> Tally:
    """EIO once, at the n-th call of each kind, for every n that occurs."""
    tally = Tally()
    for call in CALLS:
        for nth in range(2, EACH_MAX):  # the first of each makes the log, whose failure is another row's

            def fault(said: str, n: int, call: str = call, nth: int = nth) -> OSError | None:
                return OSError(errno.EIO, "Input/output error") if (said, n) == (call, nth) else None

            disk, root, told = FaultyDisk(fault), folder / f"{call}-{nth}", list[str]()

            async def run(root: Path = root, disk: FaultyDisk = disk, told: list[str] = told) -> None:
                async with writer(root, durability=durability, disk=disk, rotation=SMALL) as log:
                    told += await _burst(log)

            asyncio.run(run())
            if disk.calls[call] < nth:
                break
            tally.add_log(told, root, f"{call} {nth}")
    return tally


def short_writes(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """A write ends after each number of bytes of a tick's; what is whole stays, the rest is counted as no_space."""
    tally = Tally()
    for size in range(400):
        told: list[str] = []
        root = folder / str(size)

        async def run(root: Path = root, size: int = size, told: list[str] = told) -> None:
            async with writer(root, disk=ShortDisk(size)) as log:
                told += await _burst(log)
                tally.expect(len(told) + log.dropped["answered"]["no_space"] == RECORDS, f"{size} bytes: not counted")

        asyncio.run(run())
        tally.add_log(told, root, f"{size} bytes")
    return tally


def full_disk(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """A small tmpfs is filled at a random record, and emptied again; the reserve keeps the account going."""
    tally = Tally()
    try:
        for round_ in range(repetitions):
            with small_disk(folder / str(round_), 4 << 20) as place:
                _fill_and_empty(place, tally, dice)
    except CannotMount as error:
        raise Impossible(str(error)) from error
    return tally


def _fill_and_empty(place: Path, tally: Tally, dice: random.Random) -> None:
    told: list[str] = []
    full, empty = sorted(dice.sample(range(1, 400), 2))

    async def run() -> None:
        durability = dice.choice([Durability.PROCESS, Durability.DISK])
        async with writer(place / "log", reserve_bytes=RESERVE_BYTES, durability=durability) as log:
            for number in range(500):
                if number == full:
                    filler = fill(place)
                elif number == empty:
                    log.append_ledger()
                    tally.expect(log.dropped["answered"].keys() <= {"no_space"}, "lost for another reason")
                    filler.unlink()
                if await log.append_request(request(number, text="x" * dice.randint(0, 600))):
                    told.append(f"r{number}")
            tally.expect("r499" in told, "no record is written though there is space again")

    asyncio.run(run())
    tally.add_log(told, place / "log", "full disk")


ROWS = (
    *(
        Row(
            f"EIO, {durability}", "once, at the n-th call of each kind", partial(each_call_fails, durability=durability)
        )
        for durability in (Durability.PROCESS, Durability.DISK)
    ),
    Row("short write", "after every number of bytes", short_writes),
    Row("ENOSPC", "a tmpfs of 4 MiB, full for a while", full_disk, repetitions=50, few=3),
)

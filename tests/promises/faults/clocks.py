"""Time misbehaves: an fsync that takes two seconds, a wall clock that jumps by an hour."""

import asyncio
import itertools
import random
import time
from functools import partial
from pathlib import Path

from service.featurelog.commit import Durability
from service.featurelog.record import Ledger
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.disks import WatchedDisk
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.writing import read, request, writer

FSYNC_S, TICK_S = 2.0, 0.005
GAP_S_MAX = 0.05
HOUR_US = 3_600_000_000
RECORDS, LEDGERS_EACH = 50, 2
DEADLINE_S = 20.0


class SlowDisk(WatchedDisk):
    """Each fsync takes its time."""

    def before(self, call: str) -> None:
        if call == "fsync":
            time.sleep(FSYNC_S)


def slow_fsync(folder: Path, repetitions: int, dice: random.Random, *, durability: Durability) -> Tally:
    """Records are written while fsyncs hang; the longest gap between two turns of the loop is told."""
    tally, told, gaps_s = Tally(), list[str](), list[float]()

    async def tick() -> None:
        last_s = time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            gaps_s.append((now_s := time.perf_counter()) - last_s - TICK_S)
            last_s = now_s

    async def run() -> None:
        disk = SlowDisk()
        async with writer(folder, durability=durability, disk=disk, fsync_interval_s=0.01) as log:
            tasks = [asyncio.create_task(tick()), asyncio.create_task(log.keep())]
            waiting = {}
            for number in range(RECORDS):
                waiting[number] = log.append_request(request(number))
                log.flush()
                tally.expect(waiting[number].done() is not (durability is Durability.DISK), "told at the wrong time")
                await asyncio.sleep(TICK_S)
            told.extend([f"r{number}" for number, one in waiting.items() if await one])
            for task in tasks:
                task.cancel()
            tally.expect(disk.calls["fsync"] > 0, "no fsync was begun")

    asyncio.run(run())
    tally.add_log(told, folder, "slow fsync")
    tally.note = (
        f"longest gap between two turns of the event loop: {max(gaps_s) * 1e3:.0f} ms (bar: {GAP_S_MAX * 1e3:.0f} ms)"
    )
    tally.slow = max(gaps_s) >= GAP_S_MAX
    return tally


def clock_steps(folder: Path, repetitions: int, dice: random.Random) -> Tally:
    """The wall clock jumps; ledgers go on, segments rotate by the clock that does not jump, the log adds up."""
    tally, told, now_us = Tally(), list[str](), [1_764_000_000_000_000]

    async def run() -> None:
        rotation = Rotation(2000, 1e9)
        clock = {"fsync_interval_s": 0.002, "clock_us": lambda: now_us[0], "rotation": rotation}
        async with writer(folder, **clock) as log:
            keeping = asyncio.create_task(log.keep())
            numbers = itertools.count()
            for _ in range(repetitions):
                now_us[0] += dice.choice([-HOUR_US, HOUR_US]) + dice.randint(-1000, 1000)
                told.extend(await _until_ledgers(folder, log, numbers, now_us[0]))
                tally.injections += 1
            keeping.cancel()

    asyncio.run(run())
    tally.add_log(told, folder, "clock steps", 0)
    return tally


async def _until_ledgers(folder: Path, log: FeatureLog, numbers: "itertools.count[int]", now_us: int) -> list[str]:
    """Writes until the account of this time is written; what was acknowledged."""
    told = []
    end_s = time.monotonic() + DEADLINE_S
    while not any(isinstance(one, Ledger) and one.at_us == now_us for one in read(folder)[0]):
        assert time.monotonic() < end_s, "no ledger after the clock stepped"
        number = next(numbers)
        if await log.append_request(request(number, at_us=now_us)):
            told.append(f"r{number}")
        await asyncio.sleep(0.001)
    return told


ROWS = (
    *(
        Row(f"slow fsync, {durability}", f"each takes {FSYNC_S:g} s", partial(slow_fsync, durability=durability))
        for durability in (Durability.PROCESS, Durability.DISK)
    ),
    Row("clock steps", "± 1 h, at random", clock_steps, repetitions=50, few=5),
)

"""Power loss at random moments on a disk that keeps only what was fsynced, and of the rest a random part (`disk`)."""

import asyncio
import random
from functools import partial
from pathlib import Path

from service.featurelog.commit import Durability
from service.featurelog.segments import Rotation
from tests.disks import ForgettingDisk
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.writing import ids, read, request, write, writer

SNAPSHOT_SHARE = 0.1  # of the calls that change the disk: before or after so many the power is lost
BURSTS = 12


def power_lost(folder: Path, repetitions: int, dice: random.Random, *, failing_share: float) -> Tally:
    """Until so many losses were tried: one writer's life each, and what every loss left; then the next writer takes over."""
    tally, life = Tally(), 0
    while tally.injections < repetitions:
        life += 1
        for target, told in _losses(folder / str(life), dice, failing_share):
            tally.add(told, ids(read(target)[0]))
            write(target, [request(1_000_000)])
            tally.add([*told, "r1000000"], ids(read(target)[0]), 0)
    return tally


def _losses(root: Path, dice: random.Random, failing_share: float) -> list[tuple[Path, list[str]]]:
    """What each loss left of a log, and what had been acknowledged by then."""
    told: list[str] = []
    found: list[tuple[Path, list[str]]] = []
    log_root = root / "home" / "log"
    log_root.mkdir(parents=True)

    def snapshot() -> None:
        if dice.random() < SNAPSHOT_SHARE and (log_root / "w0").is_dir():
            target = root / f"after-{len(found)}"
            found.append((target, list(told)))
            disk.lose_power(log_root / "w0", target / "w0")

    disk = ForgettingDisk(dice, failing_share=failing_share, snapshot=snapshot)

    async def run() -> None:
        rotation = Rotation(dice.choice([300, 2000, 1 << 30]), 1e9)
        async with writer(log_root, durability=Durability.DISK, disk=disk, rotation=rotation) as log:
            for burst in range(BURSTS):
                numbers = range(burst * 10, burst * 10 + dice.randint(1, 6))
                waiting = []
                for number in numbers:
                    one = log.append_request(request(number, text="x" * dice.randint(0, 90)))
                    one.add_done_callback(lambda one, name=f"r{number}": told.append(name) if one.result() else None)
                    waiting.append(one)
                await asyncio.gather(*waiting)
                if dice.random() < 0.2:
                    log.append_ledger()

    asyncio.run(run())
    return found


ROWS = (
    Row(
        "power loss, disk",
        "at a random call; unsynced pages survive at random",
        partial(power_lost, failing_share=0.0),
        repetitions=3000,
        few=200,
    ),
    Row(
        "failed fsync, then power loss",
        "as above, and three in ten fsyncs fail",
        partial(power_lost, failing_share=0.3),
        repetitions=3000,
        few=200,
    ),
)

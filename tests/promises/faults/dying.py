"""A writer that ends at the n-th border of a call that changes the disk, for every n; forks, so it has a process of its own.

    python -m tests.promises.faults.dying FOLDER DURABILITY

One line of JSON a border: what was acknowledged before it, and where the log lies.
"""

import asyncio
import itertools
import json
import os
import sys
from pathlib import Path

from service.featurelog.commit import Durability
from service.featurelog.framing import frame
from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.disks import ExitingDisk
from tests.unit.service.featurelog.writing import request, write

RECORDS = 8
RESERVE_BYTES = 4096
FINISHED = 7  # exit code of a writer that reached no border


async def live(root: Path, durability: Durability, border: int, say: int) -> None:
    """One writer's life: takes over a torn directory, writes two segments, closes."""
    log = FeatureLog(
        root,
        rotation=Rotation(500, 1e9),
        fsync_interval_s=1.0,
        clock_us=lambda: 0,
        durability=durability,
        reserve_bytes=RESERVE_BYTES,
        disk=ExitingDisk(border),
    )
    for number in range(RECORDS):
        if await log.append_request(request(number)):
            os.write(say, f"r{number}\n".encode())
    await log.close()


def leave_torn(root: Path) -> None:
    """What a writer before left: one record, and a frame that is cut short."""
    write(root, [request(1000)])
    with (root / "w0" / "00000001-00000000.seg").open("ab") as file:
        file.write(frame(b"torn", 9)[:-2])


def main(folder: Path, durability: Durability) -> None:
    """Every border until one writer finishes."""
    for border in itertools.count():
        root = folder / str(border)
        leave_torn(root)
        heard, say = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(heard)
            asyncio.run(live(root, durability, border, say))
            os._exit(FINISHED)
        os.close(say)
        with os.fdopen(heard, "rb") as file:
            told = file.read().decode().split()
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print(json.dumps({"border": border, "told": ["r1000", *told], "root": str(root), "code": code}), flush=True)
        if code == FINISHED:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), Durability(sys.argv[2]))

"""A writer for `test_kill.py`: says an id on stdout when, and only when, its record is acknowledged."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from service.featurelog.segments import Rotation
from service.featurelog.writer import FeatureLog
from tests.unit.service.featurelog.writing import request

BURST = 20  # records of one tick


async def main(root: Path, first: int) -> None:
    """Writes until it is killed."""
    log = FeatureLog(root, rotation=Rotation(20_000, 1e9), fsync_interval_s=0.01, clock_us=lambda: 0)
    keeping = asyncio.create_task(log.keep())
    for start in itertools.count(first, BURST):
        waiting = {
            number: log.append_request(request(number, text="x" * (number % 700)))
            for number in range(start, start + BURST)
        }
        for number, written in waiting.items():
            if await written:
                os.write(1, f"r{number}\n".encode())
        await asyncio.sleep(0)
    await keeping


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

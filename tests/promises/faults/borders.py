"""The process ends before or after each call of the writer that changes the disk: every border, in each mode that promises."""

import json
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

from service.featurelog.commit import Durability
from tests.processes import ROOT
from tests.promises.faults.dying import FINISHED
from tests.promises.faults.row import Row, Tally
from tests.unit.service.featurelog.writing import request, write

DEADLINE_S = 300.0


def every_border(folder: Path, repetitions: int, dice: random.Random, *, durability: Durability) -> Tally:
    """Recovery, opening, writing, rotating, sealing, closing; then the next writer takes the directory over."""
    tally = Tally()
    argv = [sys.executable, "-m", "tests.promises.faults.dying", str(folder), durability.value]
    said = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=True).stdout
    for line in map(json.loads, said.splitlines()):
        what, root = f"border {line['border']}", Path(line["root"])
        tally.expect(line["code"] in (0, FINISHED), f"{what}: exit code {line['code']}")
        tally.add_log(line["told"], root, what)
        write(root, [request(2000)])
        tally.add_log([*line["told"], "r2000"], root, f"{what}, taken over", 0)
    tally.note = f"{tally.injections - 1} borders, each also after the next writer has taken over"
    return tally


ROWS = tuple(
    Row(
        f"exit at every call, {durability}",
        "before and after each call that changes the disk",
        partial(every_border, durability=durability),
    )
    for durability in (Durability.PROCESS, Durability.DISK)
)

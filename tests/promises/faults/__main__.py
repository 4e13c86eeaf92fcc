"""P1 to P3, and erasure, under every fault, one line each: what was injected how often, what was found of what must be there.

    python -m tests.promises.faults [--repetitions N] [--only WORD] [--seed N]

`bound`: with no loss in n injections, a rate of losing injections above 3/n is ruled out at 95 %.
Exit code 1 where a row missed.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.promises.faults.row import Impossible, Row
from tests.promises.faults.rows import ROWS

SEED = 20_261_121
LINE = "{:<28} {:<52} {:>7} {:>9} {:>9} {:>5} {:>5} {:>8} {:<6} {:>6}"


def main() -> int:
    """Runs the rows and prints the table."""
    arguments = _arguments()
    print(LINE.format("fault", "injection", "times", "acked", "found", "lost", "twice", "bound", "", "s"))
    rows = [row for row in ROWS if arguments.only in row.fault]
    missed = [row.fault for row in rows if not _run(row, arguments)]
    print(f"seed {arguments.seed}; " + (f"MISSED: {', '.join(missed)}" if missed else f"all {len(rows)} rows held"))
    return 1 if missed else 0


def _run(row: Row, arguments: argparse.Namespace) -> bool:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plumbline-faults-") as folder:
        try:
            repetitions = arguments.repetitions or row.repetitions
            tally = row.run(Path(folder), repetitions, random.Random(arguments.seed))
        except Impossible as error:
            print(f"{row.fault:<28} left out: {error}", flush=True)
            return True
    held = tally.held and not tally.slow
    numbers = (tally.injections, tally.acknowledged, tally.found, tally.lost, tally.duplicated, f"{tally.bound:.2g}")
    took_s = round(time.monotonic() - begun_s)
    print(LINE.format(row.fault, row.injection, *numbers, "held" if held else "MISSED", took_s), flush=True)
    for line in (*([tally.note] if tally.note else []), *tally.broken[:10]):
        print(f"    {line}", flush=True)
    return held


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=0, help="of the rows that repeat; default: each row's own")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--seed", type=int, default=SEED)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

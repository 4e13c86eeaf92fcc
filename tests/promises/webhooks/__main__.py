"""P6 under everything that a receiver can do, one line each: posts, ids, and what was taken, of so many incidents.

    python -m tests.promises.webhooks [--only WORD] [--repetitions N]

Exit code 1 where a row missed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.promises.webhooks.row import Row, Seen
from tests.promises.webhooks.rows import ROWS

LINE = "{:<36} {:<52} {:>9} {:>6} {:>5} {:>6} {:>8} {:<7} {:>6}"


def main() -> int:
    """Runs the rows and prints the table."""
    arguments = _arguments()
    print(LINE.format("what happens", "what must follow", "incidents", "posts", "ids", "taken", "pending", "", "s"))
    rows = [row for row in ROWS if arguments.only in row.fault for _ in range(arguments.repetitions)]
    missed = [row.fault for row in rows if not _run(row)]
    print(f"MISSED: {', '.join(missed)}" if missed else f"all {len(rows)} rows held")
    return 1 if missed else 0


def _run(row: Row) -> bool:
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="plumbline-webhooks-") as folder:
        try:
            seen = row.run(Path(folder))
        except AssertionError as error:  # what a row waits for did not come
            seen = Seen(incidents=0, broken=[str(error)])
    broken, took_s = row.verdict(seen), time.monotonic() - begun_s
    numbers = (seen.incidents, seen.posts, seen.ids, seen.taken, seen.pending)
    print(LINE.format(row.fault, row.expected, *numbers, "MISSED" if broken else "held", f"{took_s:.1f}"), flush=True)
    for line in (*([seen.note] if seen.note else []), *broken):
        print(f"    {line}", flush=True)
    return not broken


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--repetitions", type=int, default=1, help="of each row")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

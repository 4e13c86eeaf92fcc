"""How fast and how large is the fold: rows a second of one core, and the memory it has after as many rows as a month brings.

    python -m tests.promises.fold --rows 50000000

Twenty features and an output, four writers, records of 1 row and of 100 rows: each shape in a process of its own, spread over
`--days`, so that the longest window fills and forgets. The records of some minutes are made once; for each chunk they are
copied, moved on in time and given ids of their own, in seconds that are measured apart and are no part of the rate. Judging is
part of it: it costs the same each minute, however many rows the minute has. Exit code 1 where a bar is missed.
"""

import argparse
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from time import process_time

import numpy as np

from monitoring.fold import fold
from monitoring.rules import Rules
from monitoring.state import State
from service.featurelog.chunk import Chunk, Run
from service.featurelog.record import Block, Record, Request
from tests.unit.monitoring.made import MINUTE_US, START_MINUTE, heartbeat, model, request, rows

ROWS_PER_S_MIN = 300_000  # DESIGN §5
PEAK_MIB_MAX = 200
FLOATS = 19  # and the city: 20 features
WRITERS = 4
CHUNK_RECORDS = 50_000  # about the monitor's `records_max`: what a monitor that catches up holds at once
LATENESS_US = 5_000_000
TEMPLATE_RECORDS = 10_000  # made once, and moved on


@dataclass(frozen=True)
class Shape:
    """`rows` in all, in records of `rows_per_record`, over `days`."""

    rows: int
    rows_per_record: int
    days: float

    @property
    def records_per_minute(self) -> int:
        """At least one a writer."""
        return max(1, round(self.rows / (self.days * 1440) / self.rows_per_record / WRITERS)) * WRITERS

    @property
    def rows_per_minute(self) -> int:
        return self.records_per_minute * self.rows_per_record

    @property
    def template_minutes(self) -> int:
        return max(1, TEMPLATE_RECORDS // max(self.records_per_minute, 10 * self.rows_per_record))

    @property
    def templates_per_chunk(self) -> int:
        return max(
            1, CHUNK_RECORDS // (self.template_minutes * max(self.records_per_minute, 10 * self.rows_per_record))
        )

    @property
    def chunk_minutes(self) -> int:
        return self.template_minutes * self.templates_per_chunk


@dataclass(frozen=True)
class Folded:
    """What one shape came to; seconds are of this process's core, MiB its high water."""

    shape: Shape
    rows: int
    minutes: int
    evaluations: int
    events: int
    fold_s: float
    move_s: float
    before_mib: float
    peak_mib: float

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.fold_s

    @property
    def holds(self) -> bool:
        return self.rows_per_s >= ROWS_PER_S_MIN and self.peak_mib <= PEAK_MIB_MAX

    def __str__(self) -> str:
        shape, per_s = self.shape, f"{self.rows_per_s:,.0f} rows/s a core (bar {ROWS_PER_S_MIN:,})"
        return (
            f"{shape.rows_per_record:>4} rows a record, {shape.rows_per_minute:,} rows a minute: {self.rows:,} rows in "
            f"{self.minutes:,} minutes, {self.evaluations:,} evaluations, {self.events} events\n"
            f"     {per_s} in {self.fold_s:.1f} s; making the records took {self.move_s:.1f} s, which are not in it\n"
            f"     peak RSS {self.peak_mib:.0f} MiB (bar {PEAK_MIB_MAX}), {self.before_mib:.0f} before the first chunk"
        )


class Traffic:
    """Chunks of whole minutes, one after the other."""

    def __init__(self, shape: Shape, seed: int = 1) -> None:
        self.made = model(floats=FLOATS)
        self._shape, self._ids = shape, count()
        self._template = self._made(np.random.default_rng(seed))
        self._seqs = [0] * WRITERS
        self._passed = 0

    def chunk(self) -> Chunk:
        """The next minutes; the heartbeats of all writers close the last of them."""
        end = self._passed + self._shape.chunk_minutes
        shifts_us = [minute * MINUTE_US for minute in range(self._passed, end, self._shape.template_minutes)]
        end_us = (START_MINUTE + end) * MINUTE_US + LATENESS_US
        schemas = {0: self.made.schema}
        runs = []
        for writer in range(WRITERS):
            records: list[Record] = [*self._moved(writer, shifts_us), heartbeat(end_us)]
            runs.append(Run(f"w{writer}", 1, list(enumerate(records, self._seqs[writer])), schemas))
            self._seqs[writer] += len(records)
        self._passed = end
        return Chunk(tuple(runs), (), caught_up=True)

    def _moved(self, writer: int, shifts_us: list[int]) -> Iterator[Record]:
        for shift_us in shifts_us:
            for r in self._template[writer::WRITERS]:
                assert r.features is not None
                own = Block(r.features.n, bytes(bytearray(r.features.cells)))  # as if it had been read
                yield Request(
                    r.at_us + shift_us, f"{next(self._ids):032x}", r.outcome, r.status, r.code, r.protocol, r.schema,
                    r.model, r.arm, r.bucket, r.generation, r.rows, r.queue_us, r.compute_us, r.total_us, own, r.outputs,
                )  # fmt: skip

    def _made(self, rng: np.random.Generator) -> list[Request]:
        """In order."""
        minutes, each = self._shape.template_minutes, self._shape.rows_per_record
        n = minutes * self._shape.records_per_minute
        data = rows(n * each, rng, FLOATS)
        at_us = (START_MINUTE * MINUTE_US + np.arange(n) * minutes * MINUTE_US // n).tolist()
        took_us = rng.lognormal(7, 0.5, n).astype(int).tolist()
        return [request(at_us[i], data.part(i * each, (i + 1) * each), total_us=took_us[i]) for i in range(n)]


def measure(shape: Shape) -> Folded:
    """Folds all of it, in this process."""
    traffic, state, rules = Traffic(shape), State(), Rules()
    references = traffic.made.references()
    before_mib, folded, minutes, events = _mib("VmRSS"), 0, 0, 0
    fold_s = move_s = 0.0
    while folded < shape.rows:
        began_s = process_time()
        chunk = traffic.chunk()
        made_s = process_time()
        events += len(fold(state, chunk, settled=True, rules=rules, references=references))
        fold_s, move_s = fold_s + process_time() - made_s, move_s + made_s - began_s
        folded += shape.chunk_minutes * shape.rows_per_minute
        minutes += shape.chunk_minutes
        del chunk
    peak_mib = _mib("VmHWM")
    return Folded(shape, folded, minutes, state.counters.evaluations, events, fold_s, move_s, before_mib, peak_mib)


def _mib(line: str) -> float:
    """Of this process; its own high water, which `getrusage` would begin with the parent's."""
    status = Path("/proc/self/status").read_text()
    return next(int(words.split()[1]) / 1024 for words in status.splitlines() if words.startswith(f"{line}:"))


def main() -> int:
    """Prints a paragraph a shape."""
    arguments = _arguments()
    missed = False
    for rows_per_record in arguments.rows_per_record:
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # its memory is of this shape alone
            folded = pool.apply(measure, (Shape(arguments.rows, rows_per_record, arguments.days),))
        print(folded, flush=True)
        missed = missed or not folded.holds
    return 1 if missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000_000, help="of each shape")
    parser.add_argument("--days", type=float, default=10, help="over which they are spread; the longest window is 7")
    parser.add_argument(
        "--rows-per-record", type=lambda text: [int(word) for word in text.split(",")], default=[1, 100]
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())

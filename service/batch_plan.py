"""How many rows now, inline or in a thread? Decided from the measured cost of earlier runs; knows no clock and no queue.

Laws
- The estimate for n rows is never negative and never falls with n; between sizes that were measured it is a straight line.
- What was not measured is estimated dear: below the smallest size as that size, above the largest in proportion.
- One run moves an estimate by at most a factor of 1 + WEIGHT · (OUTLIER - 1): an interrupted run says nothing of the model.
  Nor does it where little is known: of the FIRST runs the quickest counts.
- A batch is never empty, and exceeds `max_batch_rows` only where it is one request that cannot be divided.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import ceil, inf

WEIGHT = 0.05  # of a new measurement: about the last 20 runs of its size count
OUTLIER = 4.0  # times the mean: what a measurement counts for at most
FIRST = 3  # runs before a mean is one; a process that stood still in the very first would be believed for dozens
DRAIN_WEIGHT = 0.2  # the load changes faster than the model: about the last 5 runs count
SHORTEST_US = 0.001  # the clock may have stood still; nothing is divided by nothing
TIMER_SLACK_US = 5_000  # timers have a millisecond, a busy machine a few: a run must begin before its deadline
SHARE = 0.4  # of the time that is left may be planned: estimates are of quiet times, and with all of it most came late
RETRY_S_MAX = 30  # whoever is told to stay away for longer is not told of a queue but of an outage
# Times `inline_below_us`: what is run inline stays so until it costs more. In a thread it takes 0.2 ms longer, so a version
# at the border would jump back and forth, and a canary, whose few requests find cold caches, be slower than its stable twin.
STAYS_INLINE = 2.0
SIZES_MAX = 32  # classes by power of two: more rows than any tensor of this process can hold


class Release(StrEnum):
    """Why a batch was run just then; a label of the metrics."""

    FULL = "full"  # as many rows as a batch may have
    IDLE = "idle"  # the runtime was free and there was nothing to wait for
    TIMER = "timer"  # the first in it had waited for `max_queue_delay_us`
    DEADLINE = "deadline"  # with a longer wait the first deadline in it would not have been met


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is run before this time, unless more comes."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class BatchRules:
    """The settings of the batcher; what each does when it is reached stands in service/settings.py."""

    max_batch_rows: int
    max_queue_rows: int
    max_queue_bytes: int
    max_queue_delay_us: int
    inline_below_us: float


@dataclass(slots=True)
class _Size:
    """Runs of one power of two of rows: decayed means."""

    runs: int = 0
    rows: float = 0.0
    took_us: float = 0.0


class Cost:
    """What a run of one version costs by its size: a moving average for each power of two of rows."""

    __slots__ = ("_curve", "_sizes", "runs")

    def __init__(self) -> None:
        self._sizes = [_Size() for _ in range(SIZES_MAX)]
        self._curve: list[tuple[float, float]] = []
        self.runs = 0

    def learn(self, rows: int, took_us: float) -> None:
        """One more measured run."""
        took_us = max(SHORTEST_US, took_us)
        size = self._sizes[min(rows.bit_length(), SIZES_MAX - 1)]
        self.runs += 1
        self._curve = []
        size.runs += 1
        if size.runs <= FIRST:
            if size.runs == 1 or took_us < size.took_us:
                size.rows, size.took_us = rows, took_us
            return
        size.rows += WEIGHT * (rows - size.rows)
        size.took_us += WEIGHT * (min(took_us, OUTLIER * size.took_us) - size.took_us)

    def estimate_us(self, rows: int) -> float:
        """Expected duration of a run of so many rows; inf before anything was measured."""
        below: tuple[float, float] | None = None
        for point in self._points():
            if rows <= point[0]:
                return point[1] if below is None else _between(below, point, rows)
            below = point
        return inf if below is None else below[1] * rows / below[0]

    def rows_within(self, budget_us: float) -> int:
        """The most rows whose run is expected to be shorter than this; 0 where none is, or nothing was measured."""
        below: tuple[float, float] | None = None
        for point in self._points():
            if point[1] >= budget_us:
                break
            below = point
        else:
            point = None
        if below is None:
            return 0
        if point is None:
            most = int(below[0] * budget_us / below[1])
        else:
            most = int(below[0] + (point[0] - below[0]) * (budget_us - below[1]) / (point[1] - below[1]))
        return most if self.estimate_us(most) < budget_us else most - 1

    def _points(self) -> list[tuple[float, float]]:
        """(rows, µs) of every size seen, ascending in both."""
        if not self._curve:
            highest = 0.0
            for size in self._sizes:
                if size.runs:
                    highest = max(highest, size.took_us)
                    self._curve.append((size.rows, highest))
        return self._curve


class Drain:
    """How fast a queue empties while something waits in it: a run, and what the event loop does between two of them."""

    __slots__ = ("_row_us", "_runs")

    def __init__(self) -> None:
        self._row_us, self._runs = 0.0, 0

    def learn(self, rows: int, took_us: float) -> None:
        """So many rows were run, from the end of the run before to the end of theirs."""
        row_us = took_us / rows
        self._runs += 1
        if self._runs <= FIRST:
            self._row_us = row_us if self._runs == 1 else min(row_us, self._row_us)
            return
        self._row_us += DRAIN_WEIGHT * (min(row_us, OUTLIER * self._row_us) - self._row_us)

    def estimate_us(self, rows: int) -> float:
        """Expected time until so many rows have been run; 0 before anything was measured."""
        return self._row_us * rows


def _between(low: tuple[float, float], high: tuple[float, float], rows: int) -> float:
    """Not above the higher point either, whatever the rounding."""
    return min(high[1], low[1] + (high[1] - low[1]) * (rows - low[0]) / (high[0] - low[0]))


def release(
    rules: BatchRules, cost: Cost, *, rows: int, oldest_ns: int, deadline_ns: int, now_ns: int
) -> Release | Wait:
    """What to do with `rows` waiting rows while the runtime is free; `deadline_ns` is the earliest among them."""
    if rows >= rules.max_batch_rows:
        return Release.FULL
    if not rules.max_queue_delay_us or not cost.runs:  # unknown cost: no telling how long may be waited
        return Release.IDLE
    timer_ns = oldest_ns + rules.max_queue_delay_us * 1000
    if now_ns >= timer_ns:
        return Release.TIMER
    latest_ns = deadline_ns - int((cost.estimate_us(rows) + TIMER_SLACK_US) * 1000)
    return Release.DEADLINE if now_ns >= latest_ns else Wait(min(timer_ns, latest_ns))


def inline_rows(rules: BatchRules, cost: Cost, before: int) -> int:
    """Up to so many rows a run is short enough for the event loop; `before`: as many were, of this version or another of
    its model.
    """
    budget_us = rules.inline_below_us
    return max(cost.rows_within(budget_us), min(before, cost.rows_within(STAYS_INLINE * budget_us)))


def portion(rows: int, room: int, *, first: bool, divisible: bool) -> int:
    """How many rows of the next request join a batch that has room for so many; 0 ends the batch."""
    if divisible:
        return min(rows, room)
    return rows if first or rows <= room else 0


def rows_admitted(rules: BatchRules, cost: Cost, drain: Drain, remaining_us: float) -> int:
    """How many rows may wait so that the last is run in a SHARE of `remaining_us`; never more than the queue holds."""
    expected_us = max(cost.estimate_us(rules.max_batch_rows), drain.estimate_us(rules.max_batch_rows))
    if expected_us == inf:
        return rules.max_queue_rows
    return min(rules.max_queue_rows, int(max(0.0, remaining_us) * SHARE * rules.max_batch_rows / expected_us))


def retry_after_s(rules: BatchRules, cost: Cost, rows: int) -> int:
    """Whole seconds after which what waits now has been run; at least one, for the header knows nothing shorter."""
    expected_us = cost.estimate_us(rules.max_batch_rows)
    if expected_us == inf:
        return 1
    return min(RETRY_S_MAX, max(1, ceil(rows / rules.max_batch_rows * expected_us / 1e6)))

"""What did the callers see, second by second? Counts by outcome, and latency on bins that add up over processes.

Laws
- Merging is addition: what two workers saw is what one would have seen of both.
- A quantile is the upper end of its bin: at most 5 % more than what was seen, never less.
- A status falls into the same outcome as on the server; what has none is `unanswered`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

STEP = 1.05  # each bin ends so much above the one before; the first at FIRST_MS
FIRST_MS = 0.1


class Outcome(StrEnum):
    """Of a request, in the words of the feature log, and what only a caller knows."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    SHED = "shed"
    FAILED = "failed"
    UNANSWERED = "unanswered"


SHED = frozenset({503, 504})
Row = tuple[int, str, bool, int, int]
"""Second since the Unix epoch, outcome, whether it went wrong, bin, count: how workers tell the master."""


def outcome_of(status: int) -> Outcome:
    """0: no answer came."""
    if status in SHED:
        return Outcome.SHED
    if status < 200:
        return Outcome.UNANSWERED
    return Outcome.ANSWERED if status < 400 else Outcome.REJECTED if status < 500 else Outcome.FAILED


def bin_of(latency_ms: float) -> int:
    return max(math.ceil(math.log(max(latency_ms, FIRST_MS) / FIRST_MS) / math.log(STEP) - 1e-9), 0)


def upper_ms(place: int) -> float:
    return FIRST_MS * STEP**place


@dataclass(frozen=True, slots=True)
class Second:
    """What ended in one second of the run; quantiles are of what went right, None without anything."""

    at_s: int
    outcomes: Mapping[str, int]
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(slots=True)
class Seen:
    """Adds up; bounded by seconds × outcomes × bins."""

    counts: Counter[tuple[int, str, bool, int]] = field(default_factory=Counter)

    def note(self, *, ended_s: float, status: int, wrong: bool, latency_ms: float) -> None:
        """One prediction that a caller asked for; `ended_s` since the Unix epoch."""
        self.counts[int(ended_s), outcome_of(status), wrong, bin_of(latency_ms)] += 1

    def rows(self) -> list[Row]:
        return [(*key, n) for key, n in self.counts.items()]

    def add(self, rows: Iterable[Sequence[int | str | bool]]) -> None:
        """What another process saw; a row may have become a list on its way."""
        for second, outcome, wrong, place, n in rows:
            self.counts[int(second), str(outcome), bool(wrong), int(place)] += int(n)

    def drain(self) -> list[Row]:
        """What was seen since the last time."""
        rows = self.rows()
        self.counts.clear()
        return rows

    @property
    def n(self) -> int:
        return self.counts.total()

    @property
    def errors(self) -> int:
        return sum(n for (_, _, wrong, _), n in self.counts.items() if wrong)

    @property
    def wrong_answers(self) -> int:
        """With a good status and a wrong content."""
        return sum(n for (_, outcome, wrong, _), n in self.counts.items() if wrong and outcome == Outcome.ANSWERED)

    def outcomes(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for (_, outcome, _, _), n in self.counts.items():
            found[outcome] += n
        return found

    def quantile_ms(self, share: float) -> float | None:
        """Of what went right: right answers, and refusals of what must be refused."""
        return _quantile_ms(self._bins(self.counts), share)

    def seconds(self, began_s: float) -> list[Second]:
        """From the first to the last in which something ended, those without anything too; `at_s` from when the run began."""
        if not self.counts:
            return []
        apart: dict[int, Counter[tuple[int, str, bool, int]]] = {}
        for key, n in self.counts.items():
            apart.setdefault(key[0], Counter())[key] += n
        first, last = min(apart), max(apart)
        return [self._second(second - int(began_s), apart.get(second, Counter())) for second in range(first, last + 1)]

    def _second(self, at_s: int, counts: Counter[tuple[int, str, bool, int]]) -> Second:
        part = Seen(counts)
        p50, p95, p99 = (part.quantile_ms(share) for share in (0.5, 0.95, 0.99))
        return Second(at_s, dict(part.outcomes()), part.errors, p50, p95, p99)

    @staticmethod
    def _bins(counts: Mapping[tuple[int, str, bool, int], int]) -> Counter[int]:
        bins: Counter[int] = Counter()
        for (_, _, wrong, place), n in counts.items():
            if not wrong:
                bins[place] += n
        return bins


def _quantile_ms(bins: Counter[int], share: float) -> float | None:
    rank, so_far = math.ceil(share * bins.total()), 0
    for place in sorted(bins):
        so_far += bins[place]
        if so_far >= rank:
            return upper_ms(place)
    return None
